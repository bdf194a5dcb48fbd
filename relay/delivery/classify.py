"""TLS failures as reasons of RFC 8460 §4.3 and one sentence for a person. Knows no connection."""

import ssl

from relay.delivery.attempt import Flaw
from relay.evidence import Failure
from relay.reply import Reply

# OpenSSL's verify codes; everything about the certificate not named here is a question of trust
_EXPIRED = 10
_HOST_MISMATCH = (62, 64)  # name, address
_NOT_YET_VALID = 9


def flaw_of_handshake(host: str, error: Exception) -> Flaw:
    """Why a TLS handshake with `host` failed."""
    if not isinstance(error, ssl.SSLCertVerificationError):
        why = getattr(error, "reason", None) or str(error) or type(error).__name__
        return Flaw(Failure.VALIDATION_FAILURE, f"the TLS handshake with {host} failed: {why}")
    match error.verify_code:
        case code if code == _EXPIRED:
            return Flaw(Failure.CERTIFICATE_EXPIRED, f"the certificate of {host} has expired")
        case code if code in _HOST_MISMATCH:
            detail = f"the certificate {host} shows is not for that name"
            return Flaw(Failure.CERTIFICATE_HOST_MISMATCH, detail)
        case code if code == _NOT_YET_VALID:
            detail = f"the certificate of {host} is not yet valid"
            return Flaw(Failure.CERTIFICATE_NOT_TRUSTED, detail)
        case _:
            detail = f"the certificate of {host} is not trusted: {error.verify_message}"
            return Flaw(Failure.CERTIFICATE_NOT_TRUSTED, detail)


# RFC 8460 §4.3.1: not offered, or refused after the command
def flaw_of_starttls(host: str, refusal: Reply | None) -> Flaw:
    """No STARTTLS: `refusal` is the reply to the command, None where it was not offered."""
    how = f"answered STARTTLS with {refusal}" if refusal else "does not offer STARTTLS"
    return Flaw(Failure.STARTTLS_NOT_SUPPORTED, f"{host} {how}")
