"""A connection to an SMTP server as commands and replies (RFC 5321 §4.2, RFC 3207 §4).

The only file that imports aiosmtplib: of it the protocol alone, which reads replies and starts TLS;
its client rewrites addresses and content and takes 2yz replies for failures. What it, `ssl` and the
operating system raise ends here. Knows no order of commands.
"""

import asyncio
import contextlib
import os
import ssl
from collections.abc import Awaitable
from typing import TypeVar

from aiosmtplib import SMTPException, SMTPResponseException
from aiosmtplib.protocol import SMTPProtocol

from relay.delivery.classify import flaw_of_handshake, flaw_of_starttls
from relay.delivery.hop import Flaw
from relay.reply import Reply, parse_reply

_BLOCK = 65_536  # octets written at once; RFC 5321 §4.5.3.2.5 has a timeout for each
_CODES = range(200, 600)
_TEXT_LIMIT = 200  # characters kept of an error's text

_T = TypeVar("_T")
_Heard = tuple[int, str]


class Disconnected(Exception):
    """The connection is of no more use; the text says why, for a person."""


class InDoubt(Disconnected):
    """It broke after a whole message was out: the server may have taken it."""


class _Protocol(SMTPProtocol):
    """aiosmtplib's protocol, and what to wait for: room in the write buffer, the end."""

    def __init__(self) -> None:
        super().__init__(loop=asyncio.get_running_loop())
        self.room = asyncio.Event()
        self.room.set()
        self.gone = asyncio.Event()

    @property
    def out_of_step(self) -> bool:
        """Whether there is a rest of a reply that nobody asked for: it would answer the next."""
        return bool(self._buffer)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.room.clear()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.room.set()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.room.set()
        self.gone.set()


class Wire:
    """One connection. Every method raises Disconnected and nothing else; timeouts in seconds."""

    def __init__(self, protocol: _Protocol) -> None:
        """Made by `connect`."""
        self._protocol = protocol

    @property
    def is_open(self) -> bool:
        """Whether the connection still stands, as far as this side knows."""
        return self._protocol.is_connected

    async def greeting(self, timeout: float) -> Reply:  # noqa: ASYNC109 - each step has its own
        """What the server says first."""
        return _reply(*await self._heard(self._protocol.read_response(timeout)))

    async def ask(self, *words: bytes, timeout: float) -> Reply:  # noqa: ASYNC109
        """The reply to a command, of one word or more, sent as they are."""
        return _reply(*await self._command(*words, timeout=timeout))

    async def ehlo(self, name: bytes, timeout: float) -> tuple[Reply, str]:  # noqa: ASYNC109
        """The reply to EHLO, and its text with the lines ended by LF."""
        code, text = await self._command(b"EHLO", name, timeout=timeout)
        return _reply(code, text), text

    async def start_tls(
        self,
        context: ssl.SSLContext,
        host: str,
        timeout: float,  # noqa: ASYNC109
    ) -> Flaw | None:
        """Start TLS with `host` as SNI and name to verify; a flaw leaves the connection closed."""
        try:
            # RFC 3207 §4.2: the protocol drops what came in clear text after the 220
            await self._protocol.start_tls(context, server_hostname=host, timeout=timeout)
        except SMTPResponseException as error:
            self.abort()
            return flaw_of_starttls(host, parse_reply(error.code, error.message))
        # ValueError: the name cannot be put into SNI
        except (SMTPException, OSError, ValueError) as error:
            self.abort()
            return flaw_of_handshake(host, error)
        return None

    @property
    def tls_version(self) -> str:
        """Such as "TLSv1.3"; only after `start_tls`."""
        transport = self._protocol.transport
        tls = transport.get_extra_info("ssl_object") if transport else None
        return str(tls.version()) if tls else "TLS"

    async def content(self, data: bytes, block_timeout: float, final_timeout: float) -> Reply:
        """The reply to the content (its final dot included) after a 354. Raises InDoubt too.

        A reply that comes before the end is taken and the connection closed: the two sides no
        longer agree where they are.
        """
        listening = asyncio.ensure_future(self._protocol.read_response())
        try:
            for start in range(0, len(data), _BLOCK):
                if listening.done():
                    reply = _reply(*await self._heard(listening))
                    self.abort()
                    return reply
                await self._heard(self._write(data[start : start + _BLOCK], block_timeout))
            return await self._verdict(listening, final_timeout)
        finally:
            listening.cancel()

    async def close(self, timeout: float) -> None:  # noqa: ASYNC109
        """Say QUIT and close, whatever the server answers and however slowly."""
        with contextlib.suppress(Disconnected, TimeoutError):
            # RFC 5321 §4.1.1.10: the reply is waited for, and the server is the one to close
            await self.ask(b"QUIT", timeout=timeout)
            async with asyncio.timeout(timeout):
                await self._protocol.gone.wait()
        self.abort()

    def abort(self) -> None:
        """Close at once."""
        transport = self._protocol.transport
        if isinstance(transport, asyncio.WriteTransport):
            transport.abort()

    async def _command(self, *words: bytes, timeout: float) -> _Heard:  # noqa: ASYNC109
        if self._protocol.out_of_step:
            self.abort()
            raise Disconnected("more replies than commands")
        return await self._heard(self._protocol.execute_command(*words, timeout=timeout))

    async def _write(self, block: bytes, timeout: float) -> None:  # noqa: ASYNC109
        self._protocol.write(block)
        async with asyncio.timeout(timeout):
            await self._protocol.room.wait()

    async def _verdict(self, listening: Awaitable[_Heard], timeout: float) -> Reply:  # noqa: ASYNC109
        try:
            async with asyncio.timeout(timeout):
                return _reply(*await self._heard(listening))
        except (Disconnected, TimeoutError) as error:
            self.abort()
            raise InDoubt(_words(error)) from None

    async def _heard(self, awaited: Awaitable[_T]) -> _T:
        try:
            return await awaited
        except (SMTPException, OSError) as error:
            self.abort()
            raise Disconnected(_words(error)) from None


async def connect(
    address: str,
    port: int,
    timeout: float,  # noqa: ASYNC109
    source: str | None = None,
) -> Wire:
    """Connect to an IP address within `timeout` seconds. Raises Disconnected.

    `source` is the address of ours to call from; None: the system chooses.
    """
    loop = asyncio.get_running_loop()
    local = (source, 0) if source else None
    try:
        async with asyncio.timeout(timeout):
            _, protocol = await loop.create_connection(_Protocol, address, port, local_addr=local)
    except OSError as error:
        raise Disconnected(_words(error)) from None
    return Wire(protocol)


# RFC 5321 §4.2.1: no reply has another first digit
def _reply(code: int, text: str) -> Reply:
    reply = parse_reply(code, text)
    if code not in _CODES:
        raise Disconnected(f"{str(reply)!r} is no reply")
    return reply


def _words(error: Exception) -> str:
    if isinstance(error, Disconnected):
        return str(error)
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.errno and not isinstance(error, ssl.SSLError):
        return os.strerror(error.errno).lower()
    text = getattr(error, "message", "") or str(error) or type(error).__name__
    return "".join(char if char.isprintable() else " " for char in text[:_TEXT_LIMIT])
