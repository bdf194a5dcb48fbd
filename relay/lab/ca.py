"""The lab's certificate authority (RFC 5280): good certificates and every kind of bad one.

It does not know what the certificates are for; the names are given.
"""

import ssl
import warnings
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from relay.immutable import immutable

_DAY = timedelta(days=1)
_Key = ec.EllipticCurvePrivateKey
_Builder = x509.CertificateBuilder


@immutable
class Certificate:
    """A certificate; `path` is a PEM file of its key, itself and the CA between it and the root."""

    names: tuple[str, ...]
    path: Path

    def server_context(self, maximum_tls: ssl.TLSVersion | None = None) -> ssl.SSLContext:
        """A new context of a server that shows it; build it once per host and keep it.

        `maximum_tls` may be an outdated version; None means the newest.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path)
        if maximum_tls:
            _lower(context, maximum_tls)
        return context


# RFC 8996: what is outdated must be asked for in three places, and Python warns of each
def _lower(context: ssl.SSLContext, maximum: ssl.TLSVersion) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.maximum_version = maximum
    if maximum < ssl.TLSVersion.TLSv1_2:
        context.set_ciphers("DEFAULT@SECLEVEL=0")


@immutable
class _Party:
    """Somebody who is certified or certifies: a name and its key."""

    name: x509.Name
    key: _Key


class CertificateAuthority:
    """A root, an intermediate below it, and what they sign; `ca_file` has the root in PEM.

    Validity counts from `now`, in seconds since 1970. A second authority is a foreign one: what
    it signs is in order, but nobody trusts it.
    """

    def __init__(self, directory: Path, now: float) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.ca_file = directory / "ca.pem"
        self._directory = directory
        self._now = datetime.fromtimestamp(now, UTC)
        self._issued = 0
        self._root, root = self._authority("root", None)
        self._middle, self._between = self._authority("intermediate", self._root)
        self.ca_file.write_bytes(_pem(root))

    def issue(
        self,
        names: list[str],
        *,
        expired: bool = False,
        not_yet_valid: bool = False,
        common_name: str | None = None,
        self_signed: bool = False,
        intermediate: bool = False,
    ) -> Certificate:
        """A server certificate, good but for what is asked.

        `names` become its SAN: DNS names and IP addresses; none means no SAN at all. `common_name`
        None means that the subject has no CN. `intermediate` has the CA below the root sign it.
        """
        subject = _Party(_subject(common_name), ec.generate_private_key(ec.SECP256R1()))
        begin = self._now + (_DAY if not_yet_valid else -30 * _DAY)
        end = self._now + (-_DAY if expired else 30 * _DAY)
        builder = _for_server(_lasting(begin, end), names)
        signer = self._middle if intermediate else self._root
        chain = [_sign(builder, subject, subject if self_signed else signer)]
        return self._store(tuple(names), chain + [self._between] * intermediate, subject.key)

    def _authority(self, title: str, above: _Party | None) -> tuple[_Party, x509.Certificate]:
        party = _Party(_subject(f"lab {title}"), ec.generate_private_key(ec.SECP256R1()))
        builder = _lasting(self._now - 365 * _DAY, self._now + 3650 * _DAY)
        builder = builder.add_extension(_constraints(ca=True), critical=True)
        builder = builder.add_extension(_key_usage(ca=True), critical=True)
        return party, _sign(builder, party, above or party)

    def _store(
        self, names: tuple[str, ...], chain: list[x509.Certificate], key: _Key
    ) -> Certificate:
        self._issued += 1
        path = self._directory / f"{self._issued}.pem"
        path.touch(mode=0o600)
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + b"".join(map(_pem, chain))
        )
        return Certificate(names, path)


def _subject(common_name: str | None) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "mta-sts-relay lab")]
    if common_name is not None:
        attributes.append(x509.NameAttribute(NameOID.COMMON_NAME, common_name))
    return x509.Name(attributes)


def _lasting(begin: datetime, end: datetime) -> _Builder:
    return _Builder().not_valid_before(begin).not_valid_after(end)


def _for_server(builder: _Builder, names: list[str]) -> _Builder:
    purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    builder = builder.add_extension(_constraints(ca=False), critical=True)
    builder = builder.add_extension(_key_usage(ca=False), critical=True)
    builder = builder.add_extension(purpose, critical=False)
    if not names:
        return builder
    alternatives = x509.SubjectAlternativeName([_general_name(name) for name in names])
    return builder.add_extension(alternatives, critical=False)


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _constraints(*, ca: bool) -> x509.BasicConstraints:
    return x509.BasicConstraints(ca=ca, path_length=None)


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


# RFC 5280 §4.2.1: without both key identifiers strict verification (Python 3.13) refuses a chain
def _sign(builder: _Builder, subject: _Party, issuer: _Party) -> x509.Certificate:
    own, above = subject.key.public_key(), issuer.key.public_key()
    return (
        builder.subject_name(subject.name)
        .issuer_name(issuer.name)
        .public_key(own)
        .serial_number(x509.random_serial_number())
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(own), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(above), critical=False)
        .sign(issuer.key, hashes.SHA256())
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
