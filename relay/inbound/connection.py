"""One client's connection: octets in, replies out, TLS, and how long it is borne (RFC 5321 §3.8).

Knows no command.
"""

import asyncio
import logging
from asyncio import sslproto
from typing import cast

from aiosmtpd.smtp import Envelope as Transaction
from aiosmtpd.smtp import Session

from relay.inbound.intake import ClientGone, Intake
from relay.inbound.patience import Patience
from relay.inbound.reception import Reception

log = logging.getLogger(__name__)

_HANDSHAKE = 60.0  # seconds for a TLS handshake
_LINGER = 5.0  # seconds for a last reply to leave, and for TLS to part

# asyncio gives each TLS connection of the process a buffer of 256 KiB and touches all of it (uvloop
# touches what it fills): an idle client would cost as much as one that uploads. Room for one record
sslproto.SSLProtocol.max_size = 16_384 + 1024

_IDLE = "421 4.4.2 Nothing was heard for too long, or too little"


class Connection(Intake):
    """Reads and writes octets, collects replies, tells a client that is too slow why it ends."""

    transport: asyncio.Transport | None
    session: Session  # who the client is
    transaction: Transaction  # the mail transaction under way

    def __init__(self, reception: Reception, *, tls_first: bool) -> None:
        """Serve one client; `tls_first`: not a word without TLS."""
        super().__init__(reception.room, asyncio.get_running_loop())
        settings = reception.settings
        self.reception = reception
        self.tls_first = tls_first
        self.transport = None
        self.patience = Patience(settings.timeout, settings.message_timeout, self.loop.time())
        self.over = False
        self.replies: list[bytes] = []
        self.refusals = 0  # among all replies so far
        self.congested = False  # the client does not read its replies
        self._timer: asyncio.TimerHandle | None = None
        self.is_keeping = False  # a message, or looking at a log-in
        self._shaking = False  # hands, for TLS
        self._closing = False  # at the end of the turn, if not yet

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the session."""
        # no instance of it under uvloop
        self.transport = cast(asyncio.Transport, transport)
        self._begin(self.transport)
        self._set_timer(self.patience.left(self.loop.time()))

    def connection_lost(self, error: Exception | None) -> None:
        """End the session; a second call changes nothing."""
        if self._timer is not None:
            self._timer.cancel()
        self.transport = self._timer = None

    def forget(self) -> None:
        """End the mail transaction."""
        self.transaction = Transaction()

    def abort(self) -> None:
        """Cut the connection: what is not yet answered 250 stays the client's."""
        if self.transport is not None:
            self.transport.abort()

    def close(self) -> None:
        """End the connection after the replies so far."""
        self.over = True
        self.send_replies()
        if self.transport is not None and not self._closing:
            self._closing = True
            self.loop.call_soon(self.transport.close)  # behind the outbox's turn

    # A client that does not read would keep a closing connection open for ever
    def close_with(self, reply: str) -> None:
        """Say this last and end the connection."""
        if self.transport is None:
            return
        if self._shaking:  # a reply in clear would be no part of the handshake
            return self.abort()
        self.over = True
        self._linger()
        self.send_replies()  # a client that does not read may have one coming that its mail is kept
        self.reception.outbox.send()
        if not self._closing and not self.transport.is_closing():
            self.transport.write(reply.encode() + b"\r\n")
        self.transport.close()

    async def part(self) -> str:
        """End the connection after the replies so far, passing over what is still on its way.

        Octets left unread would reset it, and the last reply might be lost. Raises ClientGone.
        """
        self._linger()
        self.reception.outbox.send()
        transport = self.transport
        if transport and transport.can_write_eof() and not transport.is_closing():
            try:
                transport.write_eof()
            except OSError:  # reset by what was sent just now; asyncio tells of it later
                self.abort()
                raise ClientGone from None
        while True:
            await self.read()

    def keeping(self) -> "_Keeping":
        """While this side is at work it is not the client that is waited for."""
        return _Keeping(self)

    @property
    def over_tls(self) -> bool:
        """Whether TLS is spoken."""
        return self.session.ssl is not None

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
                self.transport,
                self,
                tls,
                server_side=True,
                ssl_handshake_timeout=_HANDSHAKE,
                ssl_shutdown_timeout=_LINGER,
            )
        except OSError as error:
            secured = None
            log.info("%s: no TLS: %s", self.session.peer, error)
        self._shaking = False
        # asyncio does not tell of every connection that ends in a handshake, uvloop of none
        if secured is None or secured.is_closing():
            self.connection_lost(None)
            raise ClientGone
        self.transport = secured
        self.congested = False
        self._begin(secured)
        self.session.ssl = {"ssl_object": secured.get_extra_info("ssl_object")}

    # A client may close its side after what it sent: it is still served
    def eof_received(self) -> bool | None:
        """Let the session read what is left, then end it."""
        self.end_input()
        return not self.over_tls  # under TLS there is no half-closed connection

    def pause_writing(self) -> None:
        """The client does not read its replies."""
        self.congested = True

    def resume_writing(self) -> None:
        """The client has read them."""
        self.congested = False
        # asyncio does not bear that its transport is closed within this call
        self.loop.call_soon(self.input_came)

    def reply(self, text: str) -> None:
        """Add a reply; it leaves when the client waits for it."""
        self.replies.append(text.encode() + b"\r\n")
        self.refusals += text.startswith("5")

    def send_replies(self) -> None:
        """Send the replies so far, with those to other clients."""
        if self.replies and self.transport is not None:
            replies, self.replies = self.replies, []
            self.reception.outbox.put(self.transport, b"".join(replies))

    # RFC 3207 §4.2: TLS begun, who the client is and whatever it said is forgotten
    def _begin(self, transport: asyncio.Transport) -> None:
        self.session = Session(self.loop)
        self.session.peer = transport.get_extra_info("peername")
        self.forget()

    def _linger(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(_LINGER, self.abort)

    # Only the time is noted for what is heard; one timer looks at it when it goes off
    def _look_at_the_time(self) -> None:
        settings = self.reception.settings
        left = settings.timeout if self.is_keeping else self.patience.left(self.loop.time())
        if left > 0:
            self._set_timer(left)
        else:
            self.close_with(_IDLE)

    def _set_timer(self, seconds: float) -> None:
        self._timer = self.loop.call_later(seconds, self._look_at_the_time)


# A class, as a generator takes thrice as long
class _Keeping:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.is_keeping = True

    def __exit__(self, *_: object) -> None:
        connection = self._connection
        connection.is_keeping = False
        connection.patience.hear(connection.loop.time())


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
