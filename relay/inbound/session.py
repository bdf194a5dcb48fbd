"""One client's connection: lines in, replies out, and how it ends (RFC 5321 §2.3.8, §3.8).

Everything that reaches below aiosmtpd's documented surface is in this file. Knows no command.
"""

import asyncio
import logging
import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from aiosmtpd.smtp import SMTP, Session
from aiosmtpd.smtp import Envelope as Transaction

from relay.inbound.framing import Content
from relay.inbound.hooks import AcceptHooks

log = logging.getLogger(__name__)

_CHUNK = 65_536  # octets read at a time; asyncio stops reading at twice as many
_COMMAND_LIMIT = 2048  # RFC 5321 §4.5.3.1.4 asks for 512, extensions add to it
_REPLIES_LIMIT = 100  # replies kept together while the client has sent further commands
_ERRORS_LIMIT = 100  # refused commands before the client is sent away
_LINGER = 5.0  # seconds for a last reply to leave
_CONTROLS = re.compile(rb"[\x00-\x1f\x7f]")

_STOPPING = "421 4.3.2 The service stops, come back later"
_IDLE = "421 4.4.2 Nothing was heard for too long"
_TOO_MANY_ERRORS = "421 4.7.0 Too many commands were refused"


class ClientGone(Exception):
    """The client has ended the connection or it broke."""


class ClientSession(SMTP):
    """Reads commands strictly, collects replies, tells the client why it ends."""

    line_length_limit = _CHUNK
    commands: tuple[str, ...] = ()
    """The commands offered, each a method `smtp_...`; the library has more of them."""

    def __init__(
        self, hooks: AcceptHooks, *, hostname: str, max_message_size: int, timeout: float
    ) -> None:
        """Serve one client; `timeout` is in seconds without any octet from it."""
        # the library keeps the limits on the class, where each client changes those of all
        self.command_size_limits = defaultdict(lambda: _COMMAND_LIMIT)
        super().__init__(
            hooks,
            hostname=hostname,
            data_size_limit=max_message_size,
            enable_SMTPUTF8=True,
            timeout=timeout,
            loop=asyncio.get_running_loop(),
        )
        self._replies: list[bytes] = []
        self._errors = 0
        self._heard = 0.0
        self._idle = False  # between commands
        self._keeping = False
        self._stopping = False
        self._over = False

    # The library goes through every name for each client to find commands and AUTH mechanisms, a
    # tenth of what a connection costs; here commands are found by name and no AUTH is offered
    def __dir__(self) -> list[str]:
        """Nothing to be found."""
        return []

    def stop(self) -> None:
        """End the session: at once between commands, else after the reply to the present one."""
        self._stopping = True
        if self._idle:
            self._close_with(_STOPPING)

    def abort(self) -> None:
        """Cut the connection: what is not yet answered 250 stays the client's."""
        if isinstance(self.transport, asyncio.WriteTransport):
            self.transport.abort()

    def end(self) -> None:
        """End the session after the replies so far."""
        self._over = True

    async def push(self, status: str | bytes) -> None:
        """Add a reply line; it leaves when the client waits for it."""
        line = status.encode() if isinstance(status, str) else status
        self._replies.append(line + b"\r\n")
        self._errors += line.startswith(b"5")

    def state(self) -> tuple[Session, Transaction]:
        """Who the client is and the mail transaction under way."""
        assert self.session is not None and self.envelope is not None  # noqa: S101, PT018
        return self.session, self.envelope

    def forget(self) -> None:
        """End the mail transaction."""
        self._set_rset_state()  # type: ignore[no-untyped-call]

    async def read_content(self, limit: int) -> Content:
        """What follows the 354 reply, up to the final dot; at most `limit` octets are kept."""
        content = Content(limit)
        await self._flush()
        rest = None
        while rest is None:
            rest = content.feed(await self._read())
            self._reset_timeout()
        # what came after the final dot are the next commands
        self._reader._buffer[:0] = rest  # type: ignore[attr-defined]
        return content

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """While the message is being kept it is not the client that is waited for."""
        self._keeping = True
        try:
            yield
        finally:
            self._keeping = False
            self._reset_timeout()

    # The library drops what a client sent before it closed its side; here it is still served
    def eof_received(self) -> bool | None:
        """Let the session read what is left, then end it."""
        self._reader.feed_eof()
        return self.state()[0].ssl is None  # under TLS there is no half-closed connection

    async def _handle_client(self) -> None:
        await self.push(f"220 {self.hostname} ESMTP")
        try:
            while not await self._is_over():
                await self._serve(await self._read_command())
            await self._flush()
        except ClientGone:
            log.debug("a client is gone")
        finally:
            self._writer.close()

    async def _is_over(self) -> bool:
        if not self._over and (self._stopping or self._errors > _ERRORS_LIMIT):
            await self.push(_STOPPING if self._stopping else _TOO_MANY_ERRORS)
            self._over = True
        return self._over

    async def _serve(self, line: bytes) -> None:
        self._reset_timeout()
        try:
            await self._parse(line)
        except ClientGone:
            raise
        except Exception as error:  # noqa: BLE001 - the accept hook: unforeseen means "later"
            await self.push(await self.handle_exception(error))

    # RFC 5321 §2.3.8: a line that does not end in CRLF is none, nor one that holds CR, LF or NUL
    async def _parse(self, line: bytes) -> None:
        if not line.endswith(b"\r\n") or _CONTROLS.search(line, 0, len(line) - 2):
            return await self.push("500 5.5.2 A command is one line of text that ends in CRLF")
        if len(line) > _COMMAND_LIMIT:
            return await self.push(f"500 5.5.2 The line is longer than {_COMMAND_LIMIT} octets")
        verb, _, argument = line[:-2].decode("utf-8", "surrogateescape").partition(" ")
        if verb.upper() not in self.commands or not verb.isascii():
            return await self.push("500 5.5.1 This command is not known")
        await getattr(self, f"smtp_{verb.upper()}")(argument.rstrip(" "))

    async def _read_command(self) -> bytes:
        self._idle = True
        try:
            full = len(self._replies) > _REPLIES_LIMIT
            if full:
                await asyncio.sleep(0)  # others have their turn, however much this one has sent
            # RFC 2920 §3.2: replies to pipelined commands may leave together
            if full or b"\n" not in self._reader._buffer:  # type: ignore[attr-defined]
                await self._flush()
            line = await self._read_line()
        except (OSError, asyncio.IncompleteReadError) as error:
            raise ClientGone from error
        finally:
            self._idle = False
        if self._over:  # closed while the line was on its way
            raise ClientGone
        return line

    # A line beyond all bounds is read to its end and becomes an empty one, which is refused
    async def _read_line(self) -> bytes:
        too_long = False
        while True:
            try:
                line = await self._reader.readuntil()
            except asyncio.LimitOverrunError as error:
                await self._reader.read(error.consumed)
                too_long = True
            else:
                return b"" if too_long else line

    async def _read(self) -> bytes:
        try:
            chunk = await self._reader.read(_CHUNK)
        except OSError as error:
            raise ClientGone from error
        if not chunk:
            raise ClientGone
        return chunk

    async def _flush(self) -> None:
        replies, self._replies = self._replies, []
        try:
            self._writer.write(b"".join(replies))
            await self._writer.drain()
        except OSError as error:
            raise ClientGone from error

    # Only the time is noted for each octet heard; one timer looks at it when it goes off
    def _reset_timeout(self, duration: float | None = None) -> None:
        self._heard = self.loop.time()
        if self._timeout_handle is None:
            self._set_timer(self._timeout_duration)

    def _timeout_cb(self) -> None:
        left = self._heard + self._timeout_duration - self.loop.time()
        if self._keeping:
            left = self._timeout_duration
        if left > 0:
            self._set_timer(left)
        else:
            self._close_with(_IDLE)

    def _set_timer(self, seconds: float) -> None:
        self._timeout_handle = self.loop.call_later(seconds, self._timeout_cb)

    # A client that does not read would keep a closing connection open for ever
    def _close_with(self, reply: str) -> None:
        if self.transport is None or self._timeout_handle is None:
            return
        self._over = True
        self._timeout_handle.cancel()
        self._timeout_handle = self.loop.call_later(_LINGER, self.abort)
        self._writer.write(reply.encode() + b"\r\n")
        self.transport.close()
