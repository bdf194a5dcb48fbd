"""What a failed handshake has shown: the certificate as it came, whatever is in it, in bounds."""

import contextlib
import ssl
import warnings
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import example, given
from hypothesis import strategies as st

from relay.clock import SystemClock
from relay.delivery.classify import flaw_of_handshake
from relay.delivery.contexts import TlsContexts
from relay.delivery.tls import Level
from relay.evidence import Failure
from relay.lab.ca import Certificate, CertificateAuthority
from relay.witness import handshake_of, read_certificate

HOST = "mx.d.test"
KEY = ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def authority(tmp_path: Path) -> CertificateAuthority:
    return CertificateAuthority(tmp_path / "ca", SystemClock().now())


def failed(
    authority: CertificateAuthority, certificate: Certificate, newest: ssl.TLSVersion
) -> ssl.SSLCertVerificationError:
    """Why the strict handshake with a host that shows this certificate fails."""
    here, there = (ssl.MemoryBIO(), ssl.MemoryBIO()), (ssl.MemoryBIO(), ssl.MemoryBIO())
    context = TlsContexts(authority.ca_file).at(Level.VERIFIED)
    client = context.wrap_bio(*here, server_hostname=HOST)
    server = certificate.server_context(newest).wrap_bio(*there, server_side=True)
    while True:
        try:
            client.do_handshake()
        except ssl.SSLWantReadError:
            there[0].write(here[1].read())
        except ssl.SSLCertVerificationError as error:
            return error
        with contextlib.suppress(ssl.SSLWantReadError):
            server.do_handshake()
        here[0].write(there[1].read())


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_certificate_is_that_of_the_handshake_that_failed(
    authority: CertificateAuthority, newest: ssl.TLSVersion
) -> None:
    """Fails where ssl no longer gives the chain out amid a handshake."""
    certificate = authority.issue(["other.test", "192.0.2.1"], common_name="other")
    handshake = handshake_of(failed(authority, certificate, newest))
    assert handshake is not None
    assert handshake.tls == newest.name.replace("_", ".")
    assert handshake.error.startswith("Hostname mismatch")
    shown = handshake.certificate
    assert shown is not None
    assert shown.subject == "CN=other,O=mta-sts-relay lab"
    assert shown.issuer == "CN=lab root,O=mta-sts-relay lab"
    assert (shown.names, shown.names_count) == (("other.test", "192.0.2.1"), 2)
    assert shown.not_before < SystemClock().now() < shown.not_after
    loaded = x509.load_pem_x509_certificate(certificate.path.read_bytes().partition(b"KEY-----")[2])
    assert shown.sha256 == loaded.fingerprint(hashes.SHA256()).hex()


def test_a_flaw_takes_it_along(authority: CertificateAuthority) -> None:
    certificate = authority.issue([HOST], self_signed=True)
    error = failed(authority, certificate, ssl.TLSVersion.TLSv1_3)
    flaw = flaw_of_handshake(HOST, error)
    assert flaw.failure is Failure.CERTIFICATE_NOT_TRUSTED
    assert flaw.handshake == handshake_of(error) is not None


def test_without_a_witness_nothing_is_made_up() -> None:
    assert handshake_of(ssl.SSLCertVerificationError()) is None


def certificate_with(*names: str, subject: str = "x", serial: int = 1) -> bytes:
    """In DER, by its own word."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    now = datetime.fromtimestamp(SystemClock().now(), UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name)
    builder = builder.public_key(KEY.public_key()).serial_number(serial)
    builder = builder.not_valid_before(now).not_valid_after(now + timedelta(days=1))
    if names:
        alternatives = x509.SubjectAlternativeName(map(x509.DNSName, names))
        builder = builder.add_extension(alternatives, critical=False)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(Encoding.DER)


def test_thousands_of_names_are_counted_and_a_hundred_kept() -> None:
    shown = read_certificate(certificate_with(*(f"h{number}.test" for number in range(4000))))
    assert shown is not None
    assert (len(shown.names), shown.names[-1], shown.names_count) == (100, "h99.test", 4000)


@pytest.mark.parametrize(
    "der",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x30\x03\x02\x01\x01", id="no certificate"),
        pytest.param(certificate_with(*(f"h{n}.test" for n in range(10_000))), id="over the bound"),
        pytest.param(certificate_with("a.test")[:-1], id="cut short"),
    ],
)
def test_what_cannot_be_read_is_none(der: bytes) -> None:
    assert read_certificate(der) is None


GOOD = certificate_with("a.test", "b.test", subject="\N{SNOWMAN}" * 20)


def test_nothing_of_it_drives_a_terminal() -> None:
    """Neither an escape, nor a C1 control, nor what turns the direction of text round."""
    shown = read_certificate(certificate_with(subject="a\x1b[31m\x9b2J\u202eb\nc"))
    assert shown is not None
    odd = "\N{REPLACEMENT CHARACTER}"
    assert shown.subject == shown.issuer == f"CN=a{odd}[31m{odd}2J{odd}b{odd}c"


@example(12, b"\x01")  # a version that there is not
@given(st.integers(0, len(GOOD) - 1), st.binary(min_size=1, max_size=4))
def test_whatever_octets_come_the_facts_are_text_in_bounds(place: int, octets: bytes) -> None:
    changed = GOOD[:place] + octets + GOOD[place + 1 :]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shown = read_certificate(changed)
    if shown is None:
        return
    for field in fields(shown):
        value = getattr(shown, field.name)
        for text in value if isinstance(value, tuple) else [value]:
            assert len(str(text).encode()) <= 1200
            assert str(text).isprintable()
