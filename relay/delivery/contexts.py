"""The TLS client contexts of all connections to MX hosts (RFC 8461 §4.2, RFC 8996)."""

import ssl
from pathlib import Path

from relay.delivery.tickets import ResumingContext
from relay.delivery.tls import Level
from relay.witness import Witness


class TlsContexts:
    """One context a level, made once and shared: making one takes tens of milliseconds."""

    def __init__(self, ca_file: Path | None) -> None:
        """Trust the roots in `ca_file` (PEM), or the system's where it is None.

        Raises OSError (ssl.SSLError is one) where the file cannot be used.
        """
        self._verified = _verified(ca_file)
        self._encrypted = _encrypted()
        for context in (self._verified, self._encrypted):
            # RFC 8996: TLS 1.0 and 1.1 are off
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            # RFC 9325 §3.4: no mail server has a use for it
            context.options |= ssl.OP_NO_RENEGOTIATION

    def at(self, level: Level) -> ssl.SSLContext:
        """The context for a level above CLEAR."""
        return self._verified if level is Level.VERIFIED else self._encrypted


def _verified(ca_file: Path | None) -> ssl.SSLContext:
    context = ResumingContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca_file:
        context.load_verify_locations(ca_file)
    else:
        context.load_default_certs()
    # RFC 8461 §4.2: only a SAN names the host, the common name never does; Python's default is True
    context.hostname_checks_common_name = False
    context.sslobject_class = Witness
    return context


def _encrypted() -> ssl.SSLContext:
    context = ResumingContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
