"""Each certificate is as bad as asked for and no worse, even to strict verification."""

import contextlib
import ssl
from pathlib import Path
from typing import Any

import pytest

from relay.clock import SystemClock
from relay.lab.ca import Certificate, CertificateAuthority

NAME = "mx.d.test"

# OpenSSL's X509_V_ERR numbers
EXPIRED, NOT_YET_VALID, SELF_SIGNED, UNKNOWN_ISSUER, OTHER_NAME = 10, 9, 18, 20, 62


@pytest.fixture
def now() -> float:
    """The real present: OpenSSL asks no other clock."""
    return SystemClock().now()


def verdict(certificate: Certificate, ca_file: Path, name: str = NAME) -> int | None:
    """What a strict client says about it: OpenSSL's error number, None where it is content."""
    trust = ssl.create_default_context(cafile=ca_file)
    trust.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
    trust.hostname_checks_common_name = False
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trust.wrap_bio(to_client, to_server, server_hostname=name)
    server = certificate.server_context().wrap_bio(to_server, to_client, server_side=True)
    try:
        for side in (client, server, client, server):
            _shake(side)
    except ssl.SSLCertVerificationError as error:
        return error.verify_code
    client.getpeercert()  # raises ValueError unless the handshake is done
    return None


def _shake(side: ssl.SSLObject) -> None:
    with contextlib.suppress(ssl.SSLWantReadError):
        side.do_handshake()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({}, None, id="good"),
        pytest.param({"intermediate": True}, None, id="good-with-intermediate"),
        pytest.param({"names": ["*.d.test"]}, None, id="good-wildcard"),
        pytest.param({"names": ["other.test", NAME]}, None, id="good-second-name"),
        pytest.param({"names": ["other.test"]}, OTHER_NAME, id="other-name"),
        pytest.param({"names": [], "common_name": NAME}, OTHER_NAME, id="STS-43-cn-only"),
        pytest.param({"common_name": "other.test"}, None, id="STS-43-san-before-cn"),
        pytest.param({"names": ["127.0.0.1"]}, OTHER_NAME, id="TLS-13-address-only"),
        pytest.param({"expired": True}, EXPIRED, id="expired"),
        pytest.param({"not_yet_valid": True}, NOT_YET_VALID, id="not-yet-valid"),
        pytest.param({"self_signed": True}, SELF_SIGNED, id="self-signed"),
        pytest.param({"intermediate": True, "expired": True}, EXPIRED, id="expired-below-good"),
    ],
)
def test_a_certificate_is_what_was_asked_for(
    tmp_path: Path, now: float, options: dict[str, Any], expected: int | None
) -> None:
    ca = CertificateAuthority(tmp_path, now)
    certificate = ca.issue(**{"names": [NAME], **options})
    assert verdict(certificate, ca.ca_file) == expected


def test_a_foreign_authority_is_trusted_by_nobody(tmp_path: Path, now: float) -> None:
    ca, foreign = (CertificateAuthority(tmp_path / name, now) for name in ("ca", "foreign"))
    certificate = foreign.issue([NAME])
    assert verdict(certificate, foreign.ca_file) is None
    assert verdict(certificate, ca.ca_file) in (UNKNOWN_ISSUER, 7)


def test_an_address_in_the_san_verifies_for_that_address(tmp_path: Path, now: float) -> None:
    ca = CertificateAuthority(tmp_path, now)
    assert verdict(ca.issue(["127.0.0.1"]), ca.ca_file, "127.0.0.1") is None


def test_validity_counts_from_the_time_given(tmp_path: Path) -> None:
    long_ago = CertificateAuthority(tmp_path, 1_000_000_000.0)
    assert verdict(long_ago.issue([NAME]), long_ago.ca_file) == EXPIRED


def test_only_the_owner_may_read_a_key(tmp_path: Path, now: float) -> None:
    certificate = CertificateAuthority(tmp_path, now).issue([NAME])
    assert certificate.path.stat().st_mode & 0o077 == 0
