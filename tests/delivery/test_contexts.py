"""What the TLS client contexts ask for: nothing is left to Python's defaults."""

import re
import ssl

import pytest

from relay.delivery.contexts import TlsContexts
from relay.delivery.tls import Level

CRL = ssl.VERIFY_CRL_CHECK_LEAF | ssl.VERIFY_CRL_CHECK_CHAIN


def test_tls_15_verified() -> None:
    context = TlsContexts(None).at(Level.VERIFIED)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert not context.hostname_checks_common_name
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT


def test_tls_15_encrypted_asks_for_nothing_but_tls() -> None:
    context = TlsContexts(None).at(Level.ENCRYPTED)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_NONE, False)


@pytest.mark.parametrize("level", [Level.VERIFIED, Level.ENCRYPTED])
def test_sts_52_and_53_no_old_tls_and_no_revocation(level: Level) -> None:
    context = TlsContexts(None).at(level)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert not context.verify_flags & CRL


@pytest.mark.parametrize("level", [Level.VERIFIED, Level.ENCRYPTED])
def test_tls_11_forward_secrecy_and_nothing_weak(level: Level) -> None:
    context = TlsContexts(None).at(level)
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert context.options & ssl.OP_NO_COMPRESSION
    for suite in context.get_ciphers():
        assert suite["kea"] in ("kx-any", "kx-ecdhe", "kx-dhe"), suite["name"]
        assert suite["strength_bits"] >= 128
        assert not re.search("NULL|RC4|EXP|ADH|AECDH|3DES|MD5|SHA$", suite["name"])
