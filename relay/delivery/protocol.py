"""aiosmtplib's protocol with a reader of our own.

With wire.py, which knows its errors, the only file that imports aiosmtplib: its client rewrites
addresses and content and takes 2yz replies for failures, and its reader loses replies to commands
sent together. Knows neither commands nor what a reply means.
"""

import asyncio
import math
from typing import cast

import aiosmtplib as smtp
from aiosmtplib.protocol import SMTPProtocol
from aiosmtplib.response import SMTPResponse

from relay.delivery.replies import ReplyReader
from relay.outbox import Outbox

_UNREAD_LIMIT = 1_048_576  # octets of replies that nobody has asked for yet


class Protocol(SMTPProtocol):
    """Writes and starts TLS as aiosmtplib's; reads for itself. What to wait for: `room` to write,
    and that the connection is `gone`.

    A reply is read when it is asked for; until then it stays in the buffer, in its order.
    """

    def __init__(self, outbox: Outbox) -> None:
        super().__init__(loop=asyncio.get_running_loop())
        self._outbox = outbox
        self._reader = ReplyReader(self._buffer)
        self._awaited: asyncio.Future[None] | None = None  # something to read, or the end
        self._deadline = math.inf  # for what is awaited, by the loop's clock
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = math.inf  # by the loop's clock; uvloop does not tell of each timer
        self.room = asyncio.Event()
        self.room.set()
        self.gone = asyncio.Event()

    @property
    def out_of_step(self) -> bool:
        """Whether there is a reply that nobody asked for: it would answer the next command."""
        return bool(self._buffer)

    def data_received(self, data: bytes) -> None:
        self._buffer.extend(data)
        self.room.set()  # who writes a content is to see that there is an answer
        self._look_again()
        if len(self._buffer) > _UNREAD_LIMIT and self.transport is not None:
            cast(asyncio.WriteTransport, self.transport).abort()  # no instance of it under uvloop

    async def read_response(self, timeout: float | None = None) -> SMTPResponse:  # noqa: ASYNC109
        return SMTPResponse(*(self.take_response() or await self.wait_for_response(timeout)))

    async def wait_for_response(self, timeout: float | None) -> tuple[int, str]:  # noqa: ASYNC109
        """The next reply, where `take_response` has just given none."""
        loop = asyncio.get_running_loop()
        self._deadline = math.inf if timeout is None else loop.time() + timeout
        while loop.time() < self._deadline:
            self._set_timer(loop)
            self._awaited = loop.create_future()
            await self._awaited
            if reply := self.take_response():
                return reply
        raise smtp.SMTPReadTimeoutError("no answer in time")

    def take_response(self) -> tuple[int, str] | None:
        """The next reply, None: it has not come. Raises as `read_response` does."""
        if reply := self._reader.take():
            return reply
        if self.gone.is_set():
            raise smtp.SMTPServerDisconnected("Connection lost")
        return None

    def post(self, data: bytes) -> None:
        """As `write`, but together with what goes to other hosts in this turn of the loop."""
        if self.transport is None or self.transport.is_closing():
            raise smtp.SMTPServerDisconnected("Connection lost")
        self._outbox.put(cast(asyncio.WriteTransport, self.transport), data)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.room.clear()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.room.set()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._timer:
            self._timer.cancel()
        self.room.set()
        self.gone.set()
        self._look_again()

    def _look_again(self) -> None:
        if self._awaited and not self._awaited.done():
            self._awaited.set_result(None)

    # All that waits for a host waits here, and most replies come long before their time: one timer
    # serves many of them, and looks at the time when it goes off
    def _set_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._rings_at <= self._deadline:
            return
        if self._timer:
            self._timer.cancel()
        self._rings_at = self._deadline
        self._timer = loop.call_at(self._deadline, self._ring)

    def _ring(self) -> None:
        self._timer, self._rings_at = None, math.inf
        self._look_again()
