"""The content of a message while it comes in: small in memory, large in a file without a name.

Knows no connection and no queue.
"""

import asyncio
import errno
import mmap
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO

from relay.errors import StorageError, StorageFullError
from relay.inbound.framing import Content

_IN_MEMORY = 256 * 1024  # octets that are held; a larger content is written in such pieces
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_HEADER_LIMIT = 1024 * 1024  # octets: a hundred hosts with their seals; a content may be all header
_ROOM = 4096  # octets in front of a content in a file, for the Received line
_LINE_END = b"\r\n"
_HEADER_END = b"\r\n\r\n"

PutOnTop = Callable[[bytes], None]


class Body:
    """A complete content, in memory or mapped from a file that vanishes with it."""

    def __init__(
        self, octets: bytes | mmap.mmap, *, eight_bit: bool, put_on_top: PutOnTop | None = None
    ) -> None:
        """`eight_bit`: one of the octets is 0x80 or above. `put_on_top` writes into the room that a
        file has in front of its content; None: all is in memory."""
        self._octets = octets
        self._put_on_top = put_on_top
        self._room = _ROOM if put_on_top else 0
        self.eight_bit = eight_bit

    @property
    def size(self) -> int:
        """Its octets."""
        return len(self._octets) - self._room

    def header(self) -> bytes:
        """The header, its last line end included; of a very long one whole lines at its start."""
        start = self._octets[self._room : self._room + _HEADER_LIMIT]
        if start.startswith(_LINE_END):
            return b""
        end = start.find(_HEADER_END)
        if end < 0:
            end = start.rfind(_LINE_END)
        return start[: end + len(_LINE_END)]

    def under(self, head: bytes) -> bytes | memoryview:
        """The whole message: `head`, which is short, and the content; once only, and before the
        upload's `with` has ended. Raises StorageError."""
        if self._put_on_top is None:
            return head + self._octets
        self._put_on_top(head)
        return memoryview(self._octets)[self._room - len(head) :]


class Upload:
    """Content as it comes; used in a `with`, so that no file is left open.

    What cannot be written is only read to its end.
    """

    def __init__(self, directory: Path, limit: int, *, normalise: bool) -> None:
        """The file, when it is needed, is made in `directory`; for the limit see Content."""
        self._directory = directory
        self._file: IO[bytes] | None = None
        self._writing: asyncio.Future[None] | None = None
        self.content = Content(limit, normalise=normalise)
        self._trouble: StorageError | None = None

    def __enter__(self) -> "Upload":
        return self

    # A client may vanish while a thread writes; to close the file then would wait for the disk
    def __exit__(self, *_: object) -> None:
        if self._writing is None or self._writing.done():
            self._close()
        else:
            self._writing.add_done_callback(self._close)

    async def feed(self, chunk: bytes) -> bytes | None:
        """Take a piece; None asks for more, else the content is complete and this came after it."""
        rest = self.content.feed(chunk)
        if self.content.held > _IN_MEMORY:
            await self._write()
        return rest

    async def complete(self) -> Body:
        """The content, once it is complete and not too large. Raises StorageError."""
        eight_bit = self.content.eight_bit
        if self._file:
            await self._write()
        if self._trouble:
            raise self._trouble
        if not self._file:
            return Body(self.content.drain(), eight_bit=eight_bit)
        size = _ROOM + self.content.size
        whole = mmap.mmap(self._file.fileno(), size, access=mmap.ACCESS_READ)
        return Body(whole, eight_bit=eight_bit, put_on_top=partial(self._put_on_top, self._file))

    # A slow disk holds up this client and no other
    async def _write(self) -> None:
        octets = self.content.drain()
        self._writing = asyncio.get_running_loop().run_in_executor(None, self._append, octets)
        try:
            await asyncio.shield(self._writing)
        except OSError as error:
            self._trouble = self._trouble_of(error)
            self.content.discard()

    # Not by the mapping: where the disk is full, that kills the process
    def _put_on_top(self, file: IO[bytes], head: bytes) -> None:
        try:
            os.pwrite(file.fileno(), head, _ROOM - len(head))
        except OSError as error:
            raise self._trouble_of(error) from None

    def _trouble_of(self, error: OSError) -> StorageError:
        kind = StorageFullError if error.errno in _FULL else StorageError
        return kind(f"{self._directory}: {error.strerror}")

    def _close(self, written: "asyncio.Future[None] | None" = None) -> None:
        if written and not written.cancelled():
            written.exception()  # nobody waits for it any more
        if self._file:
            with suppress(OSError):  # what could not be written is tried once more here
                self._file.close()

    def _append(self, octets: bytes) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._directory)  # noqa: SIM115 - see __exit__
            self._file.seek(_ROOM)
        self._file.write(octets)
        self._file.flush()
