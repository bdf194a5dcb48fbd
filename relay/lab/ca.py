"""The lab's certificate authority: good certificates, and bad ones of every kind."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key as one PEM file."""

    names: tuple[str, ...]
    path: Path

    def server_context(self) -> ssl.SSLContext:
        """A new context of a server that shows it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path)
        return context


class CertificateAuthority:
    """A root whose certificate `ca_file` holds, and what it issues into a directory."""

    def __init__(self, directory: Path, now: float, name: str = "Lab Root") -> None:
        """Make the root; `now` in seconds since 1970 is what validity counts from."""
        self._directory = directory
        self._now = datetime.fromtimestamp(now, UTC)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._count = 0
        public = self._key.public_key()
        root = (
            self._begin(self._name, public, self._now - 365 * _DAY, self._now + 3650 * _DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_usage(signs=True), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.ca_file = directory / f"{name.lower().replace(' ', '-')}.pem"
        self.ca_file.write_bytes(root.public_bytes(serialization.Encoding.PEM))

    def issue(
        self,
        names: list[str],
        *,
        expired: bool = False,
        not_yet_valid: bool = False,
        common_name: str | None = None,
        self_signed: bool = False,
    ) -> Certificate:
        """A server certificate for DNS names (none: no SAN at all), good but for what is asked."""
        key = ec.generate_private_key(ec.SECP256R1())
        title = common_name or (names[0] if names else "nobody")
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, title[:64])])
        begin = self._now + (_DAY if not_yet_valid else -30 * _DAY)
        end = self._now + (-_DAY if expired else 30 * _DAY)
        builder = self._begin(subject, key.public_key(), begin, end)
        builder = builder.add_extension(
            x509.BasicConstraints(ca=False, path_length=None), critical=True
        ).add_extension(_usage(signs=False), critical=True)
        if names:
            alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
            builder = builder.add_extension(alternatives, critical=False)
        certificate = builder.sign(key if self_signed else self._key, hashes.SHA256())
        return self._store(tuple(names), certificate, key)

    def _begin(
        self,
        subject: x509.Name,
        public: ec.EllipticCurvePublicKey,
        begin: datetime,
        end: datetime,
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(end)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
        )

    def _store(
        self, names: tuple[str, ...], certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
    ) -> Certificate:
        self._count += 1
        path = self._directory / f"{self._count}.pem"
        path.touch(mode=0o600)
        path.write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return Certificate(names, path)


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )
