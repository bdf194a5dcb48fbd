"""aiosmtpd's SMTP class made fit for a relay: strict lines, bulk DATA, a reply for every end.

Everything that reaches below aiosmtpd's documented surface is in this file (RFC 5321). Knows no
queue and no addresses: the hooks judge.
"""

import asyncio
import logging
import re
from collections import defaultdict

from aiosmtpd.smtp import SMTP, Session
from aiosmtpd.smtp import Envelope as Transaction

from relay.inbound.command import CommandError, parse_mail, parse_rcpt
from relay.inbound.framing import Content
from relay.inbound.hooks import AcceptHooks

log = logging.getLogger(__name__)

_CHUNK = 65_536  # octets read at a time; asyncio stops reading at twice as many
_COMMAND_LIMIT = 2048  # RFC 5321 §4.5.3.1.4 asks for 512, extensions add to it
_REPLIES_LIMIT = 100  # replies kept together while the client has sent further commands
_ERRORS_LIMIT = 100  # refused commands before the client is sent away
_LINGER = 5.0  # seconds for a last reply to leave
_CONTROLS = re.compile(rb"[\x00-\x1f\x7f]")
_CLIENT_NAME = re.compile(r"[^\x00-\x20\x7f]{1,255}")
_COMMANDS = ("DATA", "EHLO", "HELO", "HELP", "MAIL", "NOOP", "QUIT", "RCPT", "RSET", "VRFY")

_BAD_LINE = "500 5.5.2 A command is one line of text that ends in CRLF"
_NO_HELLO = "503 5.5.1 Send EHLO first"
_STOPPING = "421 4.3.2 The service stops, come back later"
_IDLE = "421 4.4.2 Nothing was heard for too long"
_TOO_MANY_ERRORS = "421 4.7.0 Too many commands were refused"


class ClientGone(Exception):
    """The client has ended the connection or it broke."""


class RelaySMTP(SMTP):
    """One client's session."""

    line_length_limit = _CHUNK

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
        self._hooks = hooks
        self._max_message_size = max_message_size
        self._replies: list[bytes] = []
        self._errors = 0
        self._heard = 0.0
        self._idle = False  # between commands
        self._keeping = False  # the final dot is out, the message is being kept
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

    async def push(self, status: str | bytes) -> None:
        """Add a reply line; it leaves when the client waits for it."""
        line = status.encode() if isinstance(status, str) else status
        self._replies.append(line + b"\r\n")
        self._errors += line.startswith(b"5")

    async def smtp_HELO(self, arg: str) -> None:  # noqa: N802 - the library's names
        """Greet a client that knows no extensions."""
        if await self._greeted(arg, extended=False):
            await self.push(f"250 {self.hostname}")

    async def smtp_EHLO(self, arg: str) -> None:  # noqa: N802
        """Greet a client and tell what is offered, all of it and nothing else."""
        if await self._greeted(arg, extended=True):
            await self.push(
                f"250-{self.hostname}\r\n250-PIPELINING\r\n250-SIZE {self._max_message_size}\r\n"
                "250-8BITMIME\r\n250-SMTPUTF8\r\n250-ENHANCEDSTATUSCODES\r\n250 HELP"
            )

    async def smtp_MAIL(self, arg: str | None) -> None:  # noqa: N802
        """Begin a transaction."""
        session, transaction = self._state()
        if not session.host_name:
            return await self.push(_NO_HELLO)
        if transaction.mail_from is not None:
            return await self.push("503 5.5.1 A transaction is under way, RSET ends it")
        try:
            mail = parse_mail(arg or "", extended=session.extended_smtp)
        except CommandError as refusal:
            return await self.push(str(refusal))
        transaction.smtp_utf8 = mail.has("SMTPUTF8")
        await self.push(
            await self._hooks.handle_MAIL(self, session, transaction, mail.address, mail.options)
        )

    async def smtp_RCPT(self, arg: str | None) -> None:  # noqa: N802
        """Add a recipient."""
        session, transaction = self._state()
        if transaction.mail_from is None:
            return await self.push("503 5.5.1 Send MAIL first")
        try:
            rcpt = parse_rcpt(arg or "", extended=session.extended_smtp)
        except CommandError as refusal:
            return await self.push(str(refusal))
        await self.push(
            await self._hooks.handle_RCPT(self, session, transaction, rcpt.address, rcpt.options)
        )

    async def smtp_DATA(self, arg: str | None) -> None:  # noqa: N802
        """Take the content, in as few steps as it arrives, and have it judged and kept."""
        if arg:
            return await self.push("501 5.5.4 DATA takes no argument")
        if not self._state()[1].rcpt_tos:
            return await self.push("503 5.5.1 Send RCPT first: there is no recipient yet")
        await self.push("354 End the message with <CRLF>.<CRLF>")
        content = await self._read_content()
        try:
            await self._keep(content)
        finally:
            self._set_post_data_state()  # type: ignore[no-untyped-call]

    async def smtp_RSET(self, arg: str) -> None:  # noqa: N802
        """Forget the transaction."""
        if arg:
            return await self.push("501 5.5.4 RSET takes no argument")
        self._set_rset_state()  # type: ignore[no-untyped-call]
        await self.push("250 2.0.0 Forgotten")

    async def smtp_NOOP(self, arg: str) -> None:  # noqa: N802
        """Do nothing."""
        await self.push("250 2.0.0 Done")

    # RFC 5321 §7.3: a relay knows no mailboxes and would not tell
    async def smtp_VRFY(self, arg: str) -> None:  # noqa: N802
        """Neither confirm nor deny."""
        await self.push(
            "252 2.0.0 Not known before delivery is tried" if arg else "501 5.5.4 Verify what?"
        )

    async def smtp_HELP(self, arg: str) -> None:  # noqa: N802
        """Name the commands."""
        await self.push(f"214 2.0.0 Commands: {' '.join(_COMMANDS)}")

    async def smtp_QUIT(self, arg: str) -> None:  # noqa: N802
        """Part."""
        if arg:
            return await self.push("501 5.5.4 QUIT takes no argument")
        await self.push("221 2.0.0 Goodbye")
        self._over = True

    def _state(self) -> tuple[Session, Transaction]:
        assert self.session is not None and self.envelope is not None  # noqa: S101, PT018
        return self.session, self.envelope

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
            await self._obey(line)
        except ClientGone:
            raise
        except Exception as error:  # noqa: BLE001 - the accept hook: unforeseen means "later"
            await self.push(await self.handle_exception(error))

    # RFC 5321 §2.3.8: a line that does not end in CRLF is none, nor one that holds CR, LF or NUL
    async def _obey(self, line: bytes) -> None:
        if not line.endswith(b"\r\n") or _CONTROLS.search(line, 0, len(line) - 2):
            return await self.push(_BAD_LINE)
        if len(line) > _COMMAND_LIMIT:
            return await self.push(f"500 5.5.2 The line is longer than {_COMMAND_LIMIT} octets")
        verb, _, argument = line[:-2].decode("utf-8", "surrogateescape").partition(" ")
        if verb.upper() not in _COMMANDS or not verb.isascii():
            return await self.push("500 5.5.1 This command is not known")
        await getattr(self, f"smtp_{verb.upper()}")(argument.rstrip(" "))

    async def _greeted(self, name: str, *, extended: bool) -> bool:
        if not _CLIENT_NAME.fullmatch(name):
            await self.push("501 5.5.4 Say your name: one word")
            return False
        self._set_rset_state()  # type: ignore[no-untyped-call]
        session, _ = self._state()
        session.extended_smtp = extended
        session.host_name = name
        return True

    async def _keep(self, content: Content) -> None:
        if content.too_large:
            limit = self._max_message_size
            return await self.push(f"552 5.3.4 The message is larger than {limit} octets")
        session, transaction = self._state()
        transaction.content = transaction.original_content = content.content()
        self._keeping = True
        try:
            await self.push(await self._hooks.handle_DATA(self, session, transaction))
        finally:
            self._keeping = False
            self._reset_timeout()

    async def _read_content(self) -> Content:
        content = Content(self._max_message_size)
        await self._flush()
        rest = None
        while rest is None:
            chunk = await self._read()
            self._reset_timeout()
            rest = content.feed(chunk)
        # what came after the final dot are the next commands
        self._reader._buffer[:0] = rest  # type: ignore[attr-defined]
        return content

    async def _read(self) -> bytes:
        try:
            chunk = await self._reader.read(_CHUNK)
        except OSError as error:
            raise ClientGone from error
        if not chunk:
            raise ClientGone
        return chunk

    async def _read_command(self) -> bytes:
        self._idle = True
        try:
            # RFC 2920 §3.2: replies to pipelined commands may leave together
            waiting = b"\n" not in self._reader._buffer  # type: ignore[attr-defined]
            if waiting or len(self._replies) > _REPLIES_LIMIT:
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

    # The library drops what a client sent before it closed its side; here it is still served
    def eof_received(self) -> bool | None:
        """Let the session read what is left, then end it."""
        self._reader.feed_eof()
        return self._state()[0].ssl is None  # under TLS there is no half-closed connection
