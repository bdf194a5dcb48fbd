"""One client's connection: octets in, replies out, TLS, and how long it is borne (RFC 5321 §3.8).

With session.py all that reaches below aiosmtpd's documented surface. Knows no command.
"""

import asyncio
import logging
from asyncio import sslproto
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from aiosmtpd.smtp import SMTP, Session
from aiosmtpd.smtp import Envelope as Transaction

from relay.inbound.intake import ClientGone, Intake
from relay.inbound.patience import Patience
from relay.inbound.reception import Reception

log = logging.getLogger(__name__)

COMMAND_LIMIT = 2048  # RFC 5321 §4.5.3.1.4 asks for 512, extensions add to it
_HANDSHAKE = 60.0  # seconds for a TLS handshake
_LINGER = 5.0  # seconds for a last reply to leave, and for TLS to part

# asyncio gives each TLS connection of the process a buffer of 256 KiB and touches all of it (uvloop
# touches what it fills): an idle client would cost as much as one that uploads. Room for one record
sslproto.SSLProtocol.max_size = 16_384 + 1024

_IDLE = "421 4.4.2 Nothing was heard for too long, or too little"


# The library goes through every name of its handler and of itself for each client, to find hooks,
# commands and AUTH mechanisms: a tenth of what a connection costs. Here they are called by name
class _Nameless:
    def __dir__(self) -> list[str]:
        """Nothing to be found."""
        return []


class Connection(_Nameless, Intake, SMTP):
    """Reads and writes octets, collects replies, tells a client that is too slow why it ends."""

    def __init__(self, reception: Reception, *, tls_first: bool) -> None:
        """Serve one client; `tls_first`: not a word without TLS."""
        settings = reception.settings
        # the library keeps the limits on the class, where each client changes those of all
        self.command_size_limits = defaultdict(lambda: COMMAND_LIMIT)
        Intake.__init__(self, reception.room)
        SMTP.__init__(
            self,
            _Nameless(),
            hostname=settings.hostname,
            data_size_limit=settings.max_message_size,
            enable_SMTPUTF8=True,
            timeout=settings.timeout,
            loop=asyncio.get_running_loop(),
        )
        self.event_handler = reception.hooks
        self.reception = reception
        self.tls_first = tls_first
        self.patience = Patience(settings.timeout, settings.message_timeout, self.loop.time())
        self.over = False
        self.replies: list[bytes] = []
        self._keeping = False
        self._shaking = False  # hands, for TLS

    def state(self) -> tuple[Session, Transaction]:
        """Who the client is and the mail transaction under way."""
        assert self.session is not None and self.envelope is not None  # noqa: S101, PT018
        return self.session, self.envelope

    def forget(self) -> None:
        """End the mail transaction."""
        self._set_rset_state()  # type: ignore[no-untyped-call]

    def abort(self) -> None:
        """Cut the connection: what is not yet answered 250 stays the client's."""
        if self.transport is not None:
            cast(asyncio.WriteTransport, self.transport).abort()  # no instance of it under uvloop

    # A client that does not read would keep a closing connection open for ever
    def close_with(self, reply: str) -> None:
        """Say this last and end the connection."""
        if self.transport is None or self._timeout_handle is None:
            return
        if self._shaking:  # a reply in clear would be no part of the handshake
            return self.abort()
        self.over = True
        self._timeout_handle.cancel()
        self._timeout_handle = self.loop.call_later(_LINGER, self.abort)
        self.reception.outbox.send()  # a reply before this one
        if not self.transport.is_closing():
            self._writer.write(reply.encode() + b"\r\n")
        self.transport.close()

    async def part(self) -> None:
        """End the connection after the replies so far, passing over what is still on its way.

        Octets left unread would reset it, and the last reply might be lost. Raises ClientGone.
        """
        assert self._timeout_handle is not None  # noqa: S101 - set since the connection was made
        self._timeout_handle.cancel()
        self._timeout_handle = self.loop.call_later(_LINGER, self.abort)
        self.reception.outbox.send()
        if self._writer.can_write_eof() and not self._writer.is_closing():
            self._writer.write_eof()
        while True:
            await self.read()

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """While this side is at work it is not the client that is waited for."""
        self._keeping = True
        try:
            yield
        finally:
            self._keeping = False
            self._reset_timeout()

    @property
    def over_tls(self) -> bool:
        """Whether TLS is spoken."""
        return self.state()[0].ssl is not None

    async def start_tls(self) -> None:
        """Speak TLS from here on; nothing from before counts. Raises ClientGone."""
        tls = self.reception.tls
        assert tls is not None and self.transport is not None  # noqa: S101, PT018
        self.reception.outbox.send()  # the reply to STARTTLS
        # RFC 3207 §4.2: what a client sent behind STARTTLS is dropped; start_tls stops reading
        early = self.take_input()
        if self.tls_first and early:
            self.loop.call_soon(_give_early, self.transport, early)
        self._shaking = True
        try:
            secured = await self.loop.start_tls(
                self.transport,  # type: ignore[arg-type]
                self,
                tls,
                server_side=True,
                ssl_handshake_timeout=_HANDSHAKE,
                ssl_shutdown_timeout=_LINGER,
            )
        except OSError as error:
            secured = None
            log.info("%s: no TLS: %s", self.state()[0].peer, error)
        self._shaking = False
        # asyncio does not tell of every connection that ends in a handshake, uvloop of none
        if secured is None or secured.is_closing():
            self.connection_lost(None)
            raise ClientGone
        self._begin_anew(secured)

    # RFC 3207 §4.2: as after the greeting, who the client is and whatever it said is forgotten
    def _begin_anew(self, secured: asyncio.Transport) -> None:
        self._writer._transport = secured  # type: ignore[attr-defined]
        self.transport = secured
        self.session = self._create_session()
        self.session.peer = secured.get_extra_info("peername")
        self.session.ssl = {"ssl_object": secured.get_extra_info("ssl_object")}
        self.forget()

    def connection_lost(self, error: Exception | None) -> None:
        """End the session; a second call changes nothing."""
        if self.transport is not None:
            super().connection_lost(error)

    # The library drops what a client sent before it closed its side; here it is still served
    def eof_received(self) -> bool | None:
        """Let the session read what is left, then end it."""
        self.end_input()
        return not self.over_tls  # under TLS there is no half-closed connection

    async def flush(self) -> None:
        """Send the replies so far, with those to other clients. Raises ClientGone."""
        replies, self.replies = self.replies, []
        if self.transport is None:
            raise ClientGone
        transport = cast(asyncio.WriteTransport, self.transport)
        self.reception.outbox.put(transport, b"".join(replies))
        if not transport.get_write_buffer_size():
            return
        try:
            await self._writer.drain()
        except OSError as error:
            raise ClientGone from error

    # Only the time is noted for what is heard; one timer looks at it when it goes off
    def _reset_timeout(self, duration: float | None = None) -> None:
        self.patience.hear(self.loop.time())
        if self._timeout_handle is None:
            self._set_timer(self.patience.left(self.loop.time()))

    def _timeout_cb(self) -> None:
        left = self.patience.left(self.loop.time())
        if self._keeping:
            left = self._timeout_duration
        if left > 0:
            self._set_timer(left)
        else:
            self.close_with(_IDLE)

    def _set_timer(self, seconds: float) -> None:
        self._timeout_handle = self.loop.call_later(seconds, self._timeout_cb)


# uvloop reads once before a session can ask for TLS: what has come is the handshake's. `start_tls`
# has set its protocol by then, which is yet to begin
def _give_early(transport: asyncio.BaseTransport, octets: bytes) -> None:
    protocol = cast(asyncio.BufferedProtocol, transport.get_protocol())
    while octets:
        room = memoryview(protocol.get_buffer(len(octets)))
        taken = min(len(room), len(octets))
        room[:taken] = octets[:taken]
        protocol.buffer_updated(taken)
        octets = octets[taken:]
