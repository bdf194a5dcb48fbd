"""What all sessions of this process share. Knows no session."""

import ssl
from dataclasses import field
from pathlib import Path

from relay.immutable import immutable
from relay.inbound.hooks import AcceptHooks
from relay.inbound.intake import CHUNK
from relay.inbound.login import Login
from relay.outbox import Outbox


@immutable
class SessionSettings:
    """What binds every client; sizes in octets, times in seconds, see Patience for the latter.

    `normalise`: a bare CR or LF becomes a CRLF rather than a refusal. `spool` is the directory for
    large messages while they come in.
    """

    hostname: str
    max_message_size: int
    timeout: float
    message_timeout: float
    normalise: bool
    spool: Path


@immutable
class Reception:
    """What every session of one event loop works with.

    `tls` None: no TLS to be had; `login` None: nobody can. `room` is where octets land.
    """

    hooks: AcceptHooks
    settings: SessionSettings
    tls: ssl.SSLContext | None = None
    login: Login | None = None
    outbox: Outbox = field(default_factory=Outbox)
    room: memoryview = field(default_factory=lambda: memoryview(bytearray(CHUNK)))
