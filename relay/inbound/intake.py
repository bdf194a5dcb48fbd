"""What a client has sent and nobody has read yet. Knows no command.

In place of asyncio's StreamReader, which has 256 KiB allocated for each piece and copies it twice.
"""

import asyncio
from typing import cast

CHUNK = 65_536  # octets that asyncio takes from the system at a time, uvloop takes four times as
# many; with more than so many unread none are


class ClientGone(Exception):
    """The client has ended the connection or it broke."""


class Intake(asyncio.BufferedProtocol):
    """The reading half of a connection; for one reader at a time."""

    loop: asyncio.AbstractEventLoop
    transport: asyncio.BaseTransport | None

    def __init__(self, room: memoryview) -> None:
        """Nothing has come. `room` is where octets land, for all connections of the loop alike."""
        self._room = room
        self._octets = b""
        self._awaited: asyncio.Future[None] | None = None  # more of them, or the end
        self._ended = False
        self._held_up: asyncio.ReadTransport | None = None  # not read from at present

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the event loop puts what comes next; taken from there at once."""
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        """So many octets have come."""
        self.data_received(bytes(self._room[:nbytes]))

    # uvloop calls this one, as the library's class is no buffered protocol
    def data_received(self, data: bytes) -> None:
        """These octets have come."""
        self._octets = self._octets + data if self._octets else data
        self._look_again()
        if len(self._octets) > CHUNK and self.transport is not None:
            self._held_up = cast(asyncio.ReadTransport, self.transport)
            self._held_up.pause_reading()

    def end_input(self) -> None:
        """No more is to come; what is unread still is read."""
        self._ended = True
        self._look_again()

    def take_input(self) -> bytes:
        """All that is unread, perhaps nothing."""
        octets, self._octets = self._octets, b""
        self._go_on()
        return octets

    @property
    def has_line(self) -> bool:
        """Whether a further line has come already."""
        return b"\n" in self._octets

    async def read(self) -> bytes:
        """Some octets. Raises ClientGone at the end."""
        while not self._octets:
            await self._more()
        octets, self._octets = self._octets, b""
        return octets

    def unread(self, octets: bytes) -> None:
        """Put back what is for whoever reads next."""
        self._octets = octets + self._octets

    async def read_line(self) -> bytes:
        """A line with its end; "" for one beyond all bounds, which is passed over."""
        too_long = False
        while not (end := self._octets.find(b"\n") + 1):
            if len(self._octets) > CHUNK:
                self._octets, too_long = b"", True
            await self._more()
        line, self._octets = self._octets[:end], self._octets[end:]
        return b"" if too_long else line

    async def _more(self) -> None:
        if self._ended:
            raise ClientGone
        self._go_on()
        self._awaited = self.loop.create_future()
        await self._awaited

    def _go_on(self) -> None:
        if self._held_up and not self._held_up.is_closing():
            self._held_up.resume_reading()
        self._held_up = None

    def _look_again(self) -> None:
        if self._awaited and not self._awaited.done():
            self._awaited.set_result(None)
