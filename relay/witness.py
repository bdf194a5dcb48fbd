"""What a host showed in a TLS handshake that verification ended (RFC 5280). Judges nothing.

OpenSSL still has the certificate then, but Python gives it out only after a handshake that went
well. So the record tells of the very handshake that failed, and no second one is made for it.
"""

import hashlib
import ssl
import warnings

from cryptography import x509

from relay.evidence import Certificate, Handshake

_LARGEST = 65_536  # octets of a certificate that is read
_NAMES = 100  # kept of a SAN
_TEXT = 300  # characters kept of one name
_DER = 2  # `_ssl.ENCODING_DER`
_UNREADABLE = (
    ValueError,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


class Witness(ssl.SSLObject):
    """A TLS connection whose failed verification keeps what `handshake_of` reads."""

    def do_handshake(self) -> None:
        """Begin or go on with the handshake, as any other."""
        try:
            super().do_handshake()
        except ssl.SSLCertVerificationError as error:
            error.__dict__["shown"] = (self._leaf(), self._version())
            raise

    def _leaf(self) -> bytes | None:
        # public from Python 3.13 on
        chain = self._sslobj.get_unverified_chain()  # type: ignore[attr-defined]
        return bytes(chain[0].public_bytes(_DER)) if chain else None

    # Amid a handshake the version is not told, but a cipher is chosen by then in TLS 1.3 alone, and
    # below 1.2 nothing is spoken
    def _version(self) -> str:
        return "TLSv1.3" if self.cipher() else "TLSv1.2"


def handshake_of(error: ssl.SSLCertVerificationError) -> Handshake | None:
    """What a Witness saw; None where there was none."""
    leaf, version = error.__dict__.get("shown", (None, None))
    if version is None:
        return None
    return Handshake(version, error.verify_message, read_certificate(leaf) if leaf else None)


def read_certificate(der: bytes) -> Certificate | None:
    """The facts of a certificate; None where it cannot be read. Nothing of it is believed."""
    if len(der) > _LARGEST:
        return None
    try:
        # of what is sloppy about it nobody is to be warned on stderr
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _read(x509.load_der_x509_certificate(der), hashlib.sha256(der).hexdigest())
    except _UNREADABLE:
        return None


def _read(shown: x509.Certificate, fingerprint: str) -> Certificate:
    names = _names(shown)
    return Certificate(
        subject=_text(shown.subject.rfc4514_string()),
        issuer=_text(shown.issuer.rfc4514_string()),
        names=tuple(map(_text, names[:_NAMES])),
        names_count=len(names),
        not_before=shown.not_valid_before_utc.timestamp(),
        not_after=shown.not_valid_after_utc.timestamp(),
        sha256=fingerprint,
    )


def _names(shown: x509.Certificate) -> list[str]:
    try:
        found = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return [str(one.value) for one in found.value if isinstance(one, x509.DNSName | x509.IPAddress)]


# A log that somebody looks at in a terminal must not drive it
def _text(text: str) -> str:
    clean = (char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text[:_TEXT])
    return "".join(clean)
