"""Alerts by a program of the operator's, which has the JSON object on its standard input."""

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import cast

_TIMEOUT = 30.0  # seconds
_LINGER = 1.0  # seconds for what it wrote last, and for its end once it is killed
_SHOWN = 300  # octets of its output that are told
_HEARD = 1_048_576  # octets of its output that are read
_INHERITED = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR")


class _Dialogue(asyncio.SubprocessProtocol):
    """What a program says, of which only the beginning is kept, and when it is over.

    Who says very much is not heard to the end, and told so by SIGPIPE: to read it all would take a
    core from the mail.
    """

    _transport: asyncio.SubprocessTransport | None = None

    def __init__(self) -> None:
        self.said = b""
        self._heard = 0
        self.quiet = asyncio.Event()
        self.ended = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.SubprocessTransport, transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.said = (self.said + data)[:_SHOWN]
        self._heard += len(data)
        output = self._transport.get_pipe_transport(fd) if self._transport else None
        if self._heard > _HEARD and output:
            output.close()

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd == 1:
            self.quiet.set()

    def process_exited(self) -> None:
        self.ended.set()


class Command:
    """Runs a program without a shell, with a small environment, and ends it when it takes long."""

    def __init__(self, words: tuple[str, ...], directory: Path, longest: float = _TIMEOUT) -> None:
        """`words` are the program and its arguments; it runs in `directory`, for `longest` seconds
        at most."""
        self._words = words
        self._directory = directory
        self._longest = longest

    def __str__(self) -> str:
        """Without the arguments, which may hold secrets."""
        return f"alert.command ({self._words[0]})"

    async def tell(self, data: bytes) -> str | None:
        """See Channel."""
        starting = asyncio.ensure_future(self._start())
        try:
            # asyncio hangs where a start is cancelled
            transport, dialogue = await asyncio.shield(starting)
        except OSError as error:
            return f"cannot be started: {error.strerror}"
        except asyncio.CancelledError:
            await _end(*await starting)
            raise
        try:
            return await self._converse(transport, dialogue, data)
        finally:
            await _end(transport, dialogue)

    async def _start(self) -> tuple[asyncio.SubprocessTransport, _Dialogue]:
        return await asyncio.get_running_loop().subprocess_exec(
            _Dialogue,
            *self._words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={name: os.environ[name] for name in _INHERITED if name in os.environ},
            cwd=self._directory,
            start_new_session=True,
        )

    async def _converse(
        self, transport: asyncio.SubprocessTransport, dialogue: _Dialogue, data: bytes
    ) -> str | None:
        # a cast, as uvloop's transports are of none of asyncio's classes
        stdin = cast(asyncio.WriteTransport, transport.get_pipe_transport(0))
        if not stdin.is_closing():  # else it has ended already
            stdin.write(data)
            stdin.close()  # once all is written
        if not await _within(self._longest, dialogue.ended):
            return f"took longer than {self._longest:.0f} seconds and was ended"
        code = transport.get_returncode()
        if code == 0:
            return None
        await _within(_LINGER, dialogue.quiet)
        return f"failed with exit status {code}{_words(dialogue.said)}"


# Its children too: it has a process group of its own
async def _end(transport: asyncio.SubprocessTransport, dialogue: _Dialogue) -> None:
    try:
        if transport.get_returncode() is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(transport.get_pid(), signal.SIGKILL)
            await _within(_LINGER, dialogue.ended)
    finally:
        transport.close()


async def _within(seconds: float, event: asyncio.Event) -> bool:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()


def _words(said: bytes) -> str:
    text = said.decode("utf-8", "replace").strip()
    shown = "".join(char if char.isprintable() else " " for char in text)
    return f": {shown}" if shown else ""
