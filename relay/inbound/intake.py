"""What a client has sent and nobody has read yet. Knows no command.

In place of asyncio's StreamReader, which has 256 KiB allocated for each piece and copies it twice.
"""

import asyncio
from typing import cast

CHUNK = 65_536  # octets taken from the system at a time; with more than so many unread none are


class ClientGone(Exception):
    """The client has ended the connection or it broke."""


class Intake(asyncio.BufferedProtocol):
    """The reading half of a connection; for one reader at a time."""

    transport: asyncio.BaseTransport | None

    def __init__(self, room: memoryview, loop: asyncio.AbstractEventLoop) -> None:
        """Nothing has come. `room` is where octets land, for all connections of the loop alike."""
        self.loop = loop
        self._room = room
        self._octets = b""
        self._awaited: asyncio.Future[None] | None = None  # more of them, or the end
        self._ended = False
        self._passing_over = False  # a line beyond all bounds
        self._held_up: asyncio.ReadTransport | None = None  # not read from at present

    def input_came(self) -> None:
        """Called for octets, or their end, that nobody awaits."""

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the event loop puts what comes next; taken from there at once."""
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        """So many octets have come."""
        octets = bytes(self._room[:nbytes])
        self._octets = self._octets + octets if self._octets else octets
        self._tell()
        if len(self._octets) > CHUNK and self.transport is not None:
            self._held_up = cast(asyncio.ReadTransport, self.transport)
            self._held_up.pause_reading()

    def end_input(self) -> None:
        """No more is to come; what is unread still is read."""
        self._ended = True
        self._tell()

    def take_input(self) -> bytes:
        """All that is unread, perhaps nothing."""
        octets, self._octets = self._octets, b""
        self._let_come()
        return octets

    @property
    def has_ended(self) -> bool:
        """Whether no further line is to come."""
        return self._ended and b"\n" not in self._octets

    def next_line(self) -> bytes | None:
        """A line with its end, None before it is whole.

        "" for one beyond all bounds, which is passed over.
        """
        end = self._octets.find(b"\n") + 1
        if not end:
            if len(self._octets) > CHUNK:
                self._octets, self._passing_over = b"", True
            self._let_come()
            return None
        line, self._octets = self._octets[:end], self._octets[end:]
        if self._passing_over:
            self._passing_over = False
            return b""
        return line

    async def read_line(self) -> bytes:
        """The next line, see `next_line`. Raises ClientGone at the end."""
        while (line := self.next_line()) is None:
            await self._more()
        return line

    async def read(self) -> bytes:
        """Some octets. Raises ClientGone at the end."""
        while not self._octets:
            await self._more()
        octets, self._octets = self._octets, b""
        return octets

    def unread(self, octets: bytes) -> None:
        """Put back what is for whoever reads next."""
        self._octets = octets + self._octets

    async def _more(self) -> None:
        if self._ended:
            raise ClientGone
        self._let_come()
        self._awaited = self.loop.create_future()
        await self._awaited

    def _let_come(self) -> None:
        if self._held_up and not self._held_up.is_closing():
            self._held_up.resume_reading()
        self._held_up = None

    def _tell(self) -> None:
        if self._awaited and not self._awaited.done():
            self._awaited.set_result(None)
        else:
            self.input_came()
