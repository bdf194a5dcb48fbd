"""One client's session: command lines in, a reply to each, and why it ends (RFC 5321 §2.3.8, §3.8).

Knows no command, but where their methods are.
"""

import asyncio
import logging
import re
from collections.abc import Callable, Coroutine
from typing import Any

from relay.inbound.connection import Connection
from relay.inbound.intake import ClientGone
from relay.inbound.reception import Reception
from relay.inbound.upload import Upload

log = logging.getLogger(__name__)

COMMAND_LIMIT = 2048  # RFC 5321 §4.5.3.1.4 asks for 512, extensions add to it
AUTH_LIMIT = 12_290  # octets of a line that logs in, its end included (RFC 4954 §4)
_AT_ONCE = 100  # commands served before others have their turn and the replies leave
_REFUSALS_LIMIT = 100  # refused commands before the client is sent away
_COMMANDS_LIMIT = 10_000  # commands without the content of a message, likewise
_CONTROLS = re.compile(rb"[\x00-\x1f\x7f]")

STOPPING = "421 4.3.2 The service stops, come back later"
_TOO_MANY_REFUSALS = "421 4.7.0 Too many commands were refused"
_TOO_MANY_COMMANDS = "421 4.7.0 Too many commands without a message"

Work = Callable[[], Coroutine[Any, Any, str]]
"""What a command has to wait for; the reply it ends with, "" for none."""


class ClientSession(Connection):
    """Reads commands strictly, answers each once, tells the client why it ends.

    A command is answered where it is read, on the event loop's own stack; only what has to wait,
    for the client or for the disk, is a task, and no further command is read before it is done.
    """

    commands: tuple[str, ...] = ()
    """The commands offered, each a method `smtp_...` that takes what follows the verb and returns
    its reply, or the work that ends in one."""

    def __init__(self, reception: Reception, *, tls_first: bool) -> None:
        """See Connection."""
        super().__init__(reception, tls_first=tls_first)
        self._commands = 0
        self._work: asyncio.Task[None] | None = None
        self._turn: asyncio.Handle | None = None  # to serve more of what has come
        self._asking = False  # the client, for more than a command
        self._stopping = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet the client."""
        super().connection_made(transport)
        if self.tls_first:
            self._begin_work(self._greet_over_tls)
        else:
            self.reply(self._greeting)
            self.send_replies()

    def connection_lost(self, error: Exception | None) -> None:
        """End the session; what a message has begun on the disk goes on."""
        super().connection_lost(error)
        if self._work is not None and self._work is not asyncio.current_task():
            self._work.cancel()

    def stop(self) -> None:
        """End the session: at once between commands, else after the reply to the present one."""
        self._stopping = True
        if self._work is None or self._asking:
            self.close_with(STOPPING)

    def input_came(self) -> None:
        """Serve what has come, until something takes its time or the client is to read first."""
        if self._turn or self._work or self.congested:
            return
        if self.transport is None or self.transport.is_closing():
            return
        for _ in range(_AT_ONCE):
            if self._work or self._is_over() or (line := self.next_line()) is None:
                break
            self._serve(line)
        else:
            self._turn = self.loop.call_soon(self._take_turn)
        # RFC 2920 §3.2: replies to pipelined commands leave together
        self.send_replies()
        if not self._work and (self.over or self.has_ended):
            self._end()

    async def ask(self, challenge: str) -> bytes:
        """Send this amid a command; the line in answer with its end. Raises ClientGone."""
        self.reply(challenge)
        self.send_replies()
        self._asking = True
        line = await self.read_line()
        self._asking = False
        self.patience.hear(self.loop.time())
        return line

    async def read_content(self, upload: Upload) -> None:
        """Take what follows the 354 reply, up to the final dot. Raises ClientGone."""
        self.patience.begin(self.loop.time())
        rest = None
        try:
            while rest is None:
                chunk = await self.read()
                self.patience.receive(len(chunk), self.loop.time())
                rest = await upload.feed(chunk)
        except Exception:
            self.over = True  # what is left of the content is not to be taken for commands
            raise
        self.patience.end(self.loop.time())
        self._commands = 0
        # what came after the final dot are the next commands
        self.unread(rest)

    def _take_turn(self) -> None:
        self._turn = None
        self.input_came()

    @property
    def _greeting(self) -> str:
        return f"220 {self.reception.settings.hostname} ESMTP"

    async def _greet_over_tls(self) -> str:
        await self.start_tls()
        return self._greeting

    def _is_over(self) -> bool:
        if not self.over and (self._stopping or self._is_unbearable):
            self.reply(STOPPING if self._stopping else self._complaint())
            self.over = True
        return self.over

    @property
    def _is_unbearable(self) -> bool:
        return self.refusals > _REFUSALS_LIMIT or self._commands > _COMMANDS_LIMIT

    def _complaint(self) -> str:
        return _TOO_MANY_REFUSALS if self.refusals > _REFUSALS_LIMIT else _TOO_MANY_COMMANDS

    def _end(self) -> None:
        if self._is_unbearable:
            self._begin_work(self.part)
        else:
            self.close()

    def _serve(self, line: bytes) -> None:
        self.patience.hear(self.loop.time())
        self._commands += 1
        try:
            answer = self._answer(line)
        except Exception as error:  # noqa: BLE001 - the accept hook: unforeseen means "later"
            answer = self.reception.hooks.unforeseen(error)
        if isinstance(answer, str):
            self.reply(answer)
        else:
            self._begin_work(answer)

    def _begin_work(self, work: Work) -> None:
        self._work = self.loop.create_task(self._attend_to(work))

    async def _attend_to(self, work: Work) -> None:
        try:
            reply = await work()
        except ClientGone:
            log.debug("a client is gone")
            return self.close()
        except Exception as error:  # noqa: BLE001 - as in _serve
            reply = self.reception.hooks.unforeseen(error)
        if reply:
            self.reply(reply)
        if self.over:
            return self.close()
        self._work = None
        self.input_came()

    # RFC 5321 §2.3.8: a line that does not end in CRLF is none, nor one that holds CR, LF or NUL
    def _answer(self, line: bytes) -> str | Work:
        if not line.endswith(b"\r\n") or _CONTROLS.search(line, 0, len(line) - 2):
            return "500 5.5.2 A command is one line of text that ends in CRLF"
        if len(line) > COMMAND_LIMIT and len(line) > (limit := _limit_of(line)):
            return f"500 5.5.2 The line is longer than {limit} octets"
        word, _, argument = line[:-2].decode("utf-8", "surrogateescape").partition(" ")
        verb = word.upper()
        if verb not in self.commands or not word.isascii():
            return "500 5.5.1 This command is not known"
        answer: str | Work = getattr(self, f"smtp_{verb}")(argument.rstrip(" "))
        return answer


def _limit_of(line: bytes) -> int:
    return AUTH_LIMIT if line[:5].upper() == b"AUTH " else COMMAND_LIMIT
