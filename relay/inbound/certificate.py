"""The certificate the relay shows to its clients (RFC 3207, RFC 8996): PEM files become a context.

Knows no connection and no configuration key but the two it blames.
"""

import ssl
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from relay.errors import RelayError
from relay.immutable import immutable


class CertificateError(RelayError):
    """Certificate or key cannot be used; the text names the key of the configuration."""


@immutable
class CertificateFiles:
    """PEM files: the server's certificate with those above it, and its key (may be one file)."""

    certificate: Path
    key: Path


# RFC 8996, RFC 9325 §3: TLS 1.2 and later, no renegotiation; the ciphers are Python's choice
def server_context(files: CertificateFiles, now: float) -> ssl.SSLContext:
    """A context for the server's side of TLS; `now` in seconds since 1970.

    Raises CertificateError where the files do not make up a certificate that is valid now.
    """
    certificate = _certificate(files.certificate)
    _check_time(files.certificate, certificate, datetime.fromtimestamp(now, UTC))
    if _public(_key(files.key)) != _public(certificate):
        raise CertificateError(
            f"server.tls_key: {files.key} is not the key of the first certificate in "
            f"{files.certificate}"
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    try:
        # never the terminal that OpenSSL would ask for a passphrase
        context.load_cert_chain(files.certificate, files.key, password="")
    except (OSError, ssl.SSLError) as error:
        why = getattr(error, "reason", None) or error.strerror
        text = f"server.tls_cert: {files.certificate} cannot be used: {why}"
        raise CertificateError(text) from None
    return context


def _certificate(path: Path) -> x509.Certificate:
    content = _read("tls_cert", path)
    try:
        return x509.load_pem_x509_certificates(content)[0]
    except ValueError:
        what = "a broken" if b"-----BEGIN CERTIFICATE-----" in content else "no"
        raise CertificateError(f"server.tls_cert: {path} holds {what} PEM certificate") from None


def _check_time(path: Path, certificate: x509.Certificate, now: datetime) -> None:
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now > end:
        raise CertificateError(f"server.tls_cert: the certificate in {path} expired on {end:%F}")
    if now < begin:
        raise CertificateError(
            f"server.tls_cert: the certificate in {path} is not valid before {begin:%F %H:%M} UTC"
        )


def _key(path: Path) -> PrivateKeyTypes:
    content = _read("tls_key", path)
    try:
        return load_pem_private_key(content, None)
    except TypeError:
        raise CertificateError(
            f"server.tls_key: the key in {path} is encrypted; the relay cannot ask for a passphrase"
        ) from None
    except ValueError:
        what = "a broken" if b"PRIVATE KEY-----" in content else "no"
        raise CertificateError(f"server.tls_key: {path} holds {what} PEM private key") from None


def _read(key: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CertificateError(f"server.{key}: {path} cannot be read: {error.strerror}") from None


def _public(holder: x509.Certificate | PrivateKeyTypes) -> bytes:
    return holder.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
