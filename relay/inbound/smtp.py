"""aiosmtpd's SMTP class made fit for a relay: stricter line ends, DATA read in bulk (RFC 5321).

Everything that reaches below aiosmtpd's documented surface is in this file. Knows no queue.
"""

import asyncio
import collections
from typing import Any

from aiosmtpd.smtp import SMTP

from relay.inbound.hooks import AcceptHooks

_READ_LIMIT = 65_536  # octets buffered before reading pauses
_COMMAND_LIMIT = 512  # RFC 5321 §4.5.3.1.4, parameters of extensions come on top
_LINE_END = b"\r\n"
_END_OF_DATA = b"\r\n.\r\n"


class RelaySMTP(SMTP):
    """One client's connection."""

    line_length_limit = _READ_LIMIT

    def __init__(
        self, hooks: AcceptHooks, *, hostname: str, max_message_size: int, timeout: float
    ) -> None:
        """Serve one client; `timeout` in seconds without a command or without progress in DATA."""
        # the library keeps the limits on the class, where each client changes those of all
        self.command_size_limits = collections.defaultdict(lambda: _COMMAND_LIMIT)
        super().__init__(
            hooks,
            hostname=hostname,
            ident="ESMTP",
            data_size_limit=max_message_size,
            enable_SMTPUTF8=True,
            timeout=timeout,
            loop=asyncio.get_running_loop(),
        )
        self.in_data = False

    async def say_goodbye(self) -> None:
        """Tell the client that the service ends, and close (RFC 5321 §3.8)."""
        self._close_with("421 4.3.2 Service shutting down")

    # RFC 5321 §4.1.1.4: nothing but CRLF.CRLF ends the data; the size is enforced while reading
    async def smtp_DATA(self, arg: str | None) -> None:  # noqa: N802 - the library's name
        """Read the whole content in as few steps as it arrives, then ask the hooks."""
        if await self.check_helo_needed():
            return
        assert self.envelope is not None  # noqa: S101 - the library's own invariant
        if not self.envelope.rcpt_tos:
            await self.push("503 5.5.1 Need RCPT first")
            return
        if arg:
            await self.push("501 5.5.4 Syntax: DATA")
            return
        await self.push("354 End data with <CR><LF>.<CR><LF>")
        content = await self._read_content()
        if content is None:
            await self.push(f"552 5.3.4 The message is larger than {self.data_size_limit} octets")
        else:
            self.envelope.content = self.envelope.original_content = content
            self.in_data = True
            try:
                status = await self._call_handler_hook("DATA")
            finally:
                self.in_data = False
            await self.push(status)
        self._set_post_data_state()  # type: ignore[no-untyped-call]

    async def _read_content(self) -> bytes | None:
        """The content without dot-stuffing and final dot; None where it was too large."""
        # with a CRLF before it, a dot on the very first line is no special case
        self._reader._buffer[:0] = _LINE_END  # type: ignore[attr-defined]
        limit = self.data_size_limit or 0
        chunks: list[bytes] = []
        size = 0
        complete = False
        while not complete:
            chunk, complete = await self._read_chunk()
            self._reset_timeout()
            size += len(chunk)
            # stuffed dots count until the end is there; the hooks judge the true size
            if size <= 2 * limit:
                chunks.append(chunk)
            else:
                chunks.clear()  # the rest is drained, not kept
        if not chunks:
            return None
        raw = b"".join(chunks)[: -len(b".\r\n")]
        # RFC 5321 §4.5.2: a line's first dot is not part of the mail
        content = raw.replace(b"\r\n.", _LINE_END)[len(_LINE_END) :]
        return content if len(content) <= limit else None

    async def _read_chunk(self) -> tuple[bytes, bool]:
        try:
            return await self._reader.readuntil(_END_OF_DATA), True
        except asyncio.LimitOverrunError as error:
            return await self._reader.read(error.consumed), False

    def _cb_client_connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        super()._cb_client_connected(_CrlfReader(reader), writer)  # type: ignore[arg-type]

    def _timeout_cb(self) -> None:
        self._close_with("421 4.4.2 Idle for too long")

    def _close_with(self, line: str) -> None:
        if self.transport is not None:
            self._writer.write(line.encode() + _LINE_END)
            self.transport.close()


# RFC 5321 §2.3.8: a command line ends with CRLF; the library takes a bare LF
class _CrlfReader:
    """The client's stream, in which a command line that ends with a bare LF is an empty one."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader

    async def readuntil(self, separator: bytes = b"\n") -> bytes:
        line = await self._reader.readuntil(separator)
        return line if line.endswith(_LINE_END) else _LINE_END

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)
