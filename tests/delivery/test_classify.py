"""TLS failures as reasons of RFC 8460."""

import ssl

import pytest

from relay.delivery.classify import flaw_of_handshake, flaw_of_starttls
from relay.evidence import Failure
from relay.reply import Reply


def verification_error(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, "what OpenSSL says"
    return error


@pytest.mark.parametrize(
    ("code", "failure", "words"),
    [
        pytest.param(10, Failure.CERTIFICATE_EXPIRED, "has expired", id="expired"),
        pytest.param(62, Failure.CERTIFICATE_HOST_MISMATCH, "that name", id="name"),
        pytest.param(64, Failure.CERTIFICATE_HOST_MISMATCH, "that name", id="address"),
        pytest.param(9, Failure.CERTIFICATE_NOT_TRUSTED, "not valid yet", id="not yet valid"),
        pytest.param(18, Failure.CERTIFICATE_NOT_TRUSTED, "self-signed", id="self-signed"),
        pytest.param(19, Failure.CERTIFICATE_NOT_TRUSTED, "what OpenSSL says", id="unknown root"),
        pytest.param(20, Failure.CERTIFICATE_NOT_TRUSTED, "what OpenSSL says", id="no issuer"),
        pytest.param(23, Failure.CERTIFICATE_NOT_TRUSTED, "what OpenSSL says", id="revoked"),
    ],
)
def test_certificate(code: int, failure: Failure, words: str) -> None:
    flaw = flaw_of_handshake("mx.d.test", verification_error(code))
    assert flaw.failure is failure
    assert "mx.d.test" in flaw.detail
    assert words in flaw.detail


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionResetError("Connection reset"), "Connection reset"),
        (TimeoutError(), "TimeoutError"),
        (ValueError("label empty or too long"), "label empty"),
    ],
)
def test_other_handshake_trouble(error: Exception, words: str) -> None:
    flaw = flaw_of_handshake("mx.d.test", error)
    assert flaw.failure is Failure.VALIDATION_FAILURE
    assert words in flaw.detail


def test_starttls() -> None:
    missing = flaw_of_starttls("mx.d.test", None)
    refused = flaw_of_starttls("mx.d.test", Reply(454, "4.7.0", "no"))
    assert missing.failure is refused.failure is Failure.STARTTLS_NOT_SUPPORTED
    assert missing.detail == "mx.d.test does not offer STARTTLS"
    assert refused.detail == "mx.d.test refuses STARTTLS: 454 4.7.0 no"
