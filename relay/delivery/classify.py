"""TLS failures as reasons of RFC 8460 §4.3 and one sentence for a person. Knows no connection."""

import ssl
from dataclasses import replace

from relay.delivery.hop import Flaw
from relay.evidence import Failure
from relay.reply import Reply
from relay.witness import handshake_of

# X509_V_ERR_* of OpenSSL; every code not named here is a question of trust
_NOT_YET_VALID = 9
_EXPIRED = 10
_SELF_SIGNED = 18
_HOST_MISMATCH = 62
_ADDRESS_MISMATCH = 64


def flaw_of_handshake(host: str, error: Exception) -> Flaw:
    """Why a TLS handshake with `host` failed."""
    if not isinstance(error, ssl.SSLCertVerificationError):
        return Flaw(Failure.VALIDATION_FAILURE, f"TLS with {host} failed: {_words(error)}")
    return replace(_flaw_of_certificate(host, error), handshake=handshake_of(error))


def _flaw_of_certificate(host: str, error: ssl.SSLCertVerificationError) -> Flaw:
    match error.verify_code:
        case code if code == _EXPIRED:
            detail = f"the certificate of {host} has expired"
            return Flaw(Failure.CERTIFICATE_EXPIRED, detail)
        case code if code in (_HOST_MISMATCH, _ADDRESS_MISMATCH):
            detail = f"the certificate of {host} is not valid for that name"
            return Flaw(Failure.CERTIFICATE_HOST_MISMATCH, detail)
        case code if code == _NOT_YET_VALID:
            detail = f"the certificate of {host} is not valid yet"
        case code if code == _SELF_SIGNED:
            detail = f"the certificate of {host} is self-signed"
        case _:
            detail = f"the certificate of {host} is not trusted: {error.verify_message}"
    return Flaw(Failure.CERTIFICATE_NOT_TRUSTED, detail)


# RFC 8460 §4.3.1: not offered, or refused when asked for
def flaw_of_starttls(host: str, refusal: Reply | None) -> Flaw:
    """No STARTTLS: `refusal` is the reply to it (or to EHLO), None where it was not offered."""
    how = f"refuses STARTTLS: {refusal}" if refusal else "does not offer STARTTLS"
    return Flaw(Failure.STARTTLS_NOT_SUPPORTED, f"{host} {how}")


def _words(error: Exception) -> str:
    reason = getattr(error, "reason", None)  # of ssl.SSLError: "WRONG_VERSION_NUMBER"
    if isinstance(reason, str):
        return reason.replace("_", " ").lower()
    return str(error) or type(error).__name__
