"""One client's session: command lines in, a reply to each, and why it ends (RFC 5321 §2.3.8, §3.8).

Knows no command, but where their methods are.
"""

import asyncio
import logging
import re

from relay.inbound.connection import COMMAND_LIMIT, Connection
from relay.inbound.intake import ClientGone
from relay.inbound.reception import Reception
from relay.inbound.upload import Upload

log = logging.getLogger(__name__)

_REPLIES_LIMIT = 100  # replies kept together while the client has sent further commands
_ERRORS_LIMIT = 100  # refused commands before the client is sent away
_COMMANDS_LIMIT = 10_000  # commands without the content of a message, likewise
AUTH_LIMIT = 12_290  # octets of a line that logs in, its end included (RFC 4954 §4)
_CONTROLS = re.compile(rb"[\x00-\x1f\x7f]")

_STOPPING = "421 4.3.2 The service stops, come back later"
_TOO_MANY_ERRORS = "421 4.7.0 Too many commands were refused"
_TOO_MANY_COMMANDS = "421 4.7.0 Too many commands without a message"


class ClientSession(Connection):
    """Reads commands strictly, answers each once, tells the client why it ends."""

    commands: tuple[str, ...] = ()
    """The commands offered, each a method `smtp_...`; the library has more of them."""

    def __init__(self, reception: Reception, *, tls_first: bool) -> None:
        """See Connection."""
        super().__init__(reception, tls_first=tls_first)
        self._errors = 0
        self._commands = 0
        self._idle = False  # between commands
        self._stopping = False

    def stop(self) -> None:
        """End the session: at once between commands, else after the reply to the present one."""
        self._stopping = True
        if self._idle:
            self.close_with(_STOPPING)

    def end(self) -> None:
        """End the session after the replies so far."""
        self.over = True

    async def push(self, status: str | bytes) -> None:
        """Add a reply line; it leaves when the client waits for it."""
        line = status.encode() if isinstance(status, str) else status
        self.replies.append(line + b"\r\n")
        self._errors += line.startswith(b"5")

    async def read_content(self, upload: Upload) -> None:
        """Take what follows the 354 reply, up to the final dot. Raises ClientGone."""
        await self.flush()
        self.patience.begin(self.loop.time())
        rest = None
        while rest is None:
            chunk = await self.read()
            self.patience.receive(len(chunk), self.loop.time())
            rest = await upload.feed(chunk)
        self.patience.end(self.loop.time())
        self._commands = 0
        # what came after the final dot are the next commands
        self.unread(rest)

    async def _handle_client(self) -> None:
        try:
            if self.tls_first:
                await self.start_tls()
            await self.push(f"220 {self.hostname} ESMTP")
            while not await self._is_over():
                await self._serve(await self.read_command())
            await self.flush()
            if self._is_unbearable():
                await self.part()
        except ClientGone:
            log.debug("a client is gone")
        finally:
            self.reception.outbox.send()  # a last reply to a client that has closed its side
            self._writer.close()

    async def _is_over(self) -> bool:
        reason = self._reason_to_end()
        if reason and not self.over:
            await self.push(reason)
            self.over = True
        return self.over

    def _reason_to_end(self) -> str | None:
        if self._stopping:
            return _STOPPING
        return self._is_unbearable()

    def _is_unbearable(self) -> str | None:
        if self._errors > _ERRORS_LIMIT:
            return _TOO_MANY_ERRORS
        return _TOO_MANY_COMMANDS if self._commands > _COMMANDS_LIMIT else None

    async def _serve(self, line: bytes) -> None:
        self._reset_timeout()
        self._commands += 1
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
        limit = AUTH_LIMIT if line[:5].upper() == b"AUTH " else COMMAND_LIMIT
        if len(line) > limit:
            return await self.push(f"500 5.5.2 The line is longer than {limit} octets")
        word, _, argument = line[:-2].decode("utf-8", "surrogateescape").partition(" ")
        verb = word.upper()
        if verb not in self.commands or not word.isascii():
            return await self.push("500 5.5.1 This command is not known")
        await getattr(self, f"smtp_{verb}")(argument.rstrip(" "))

    async def read_command(self) -> bytes:
        """The next line with its end, the replies so far sent before. Raises ClientGone."""
        self._idle = True
        try:
            full = len(self.replies) > _REPLIES_LIMIT
            if full:
                await asyncio.sleep(0)  # others have their turn, however much this one has sent
            # RFC 2920 §3.2: replies to pipelined commands may leave together
            if full or not self.has_line:
                await self.flush()
            line = await self.read_line()
        finally:
            self._idle = False
        if self.over:  # closed while the line was on its way
            raise ClientGone
        return line
