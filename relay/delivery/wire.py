"""A connection to an SMTP server as commands and replies (RFC 5321 §4.2, RFC 3207 §4).

What aiosmtplib, `ssl` and the operating system raise ends here. Knows no order of commands.
"""

import asyncio
import os
import re
import ssl
from functools import partial
from typing import cast

import aiosmtplib as smtp

from relay.delivery.classify import flaw_of_handshake, flaw_of_starttls
from relay.delivery.hop import Flaw
from relay.delivery.protocol import Protocol
from relay.delivery.replies import NoReply
from relay.delivery.tickets import Offered, offered
from relay.outbox import Outbox
from relay.reply import Reply, Severity, parse_reply

_BLOCK = 65_536  # octets written at once; RFC 5321 §4.5.3.2.5 has a timeout for each
_END = b".\r\n"  # behind the content's last CRLF (RFC 5321 §4.1.1.4)
_SLOWEST = 1024  # octets a second that a server takes at least, on the whole
_CONTROLS = re.compile(rb"[\x00-\x1f\x7f]")
_TEXT_LIMIT = 200  # characters kept of an error's text

_BROKEN = (smtp.SMTPException, OSError, NoReply)


class Disconnected(Exception):
    """The connection is of no more use; the text says why, for a person."""


class InDoubt(Disconnected):
    """It broke after a whole message was out: the server may have taken it."""


class Wire:
    """One connection. Every method raises Disconnected and nothing else; timeouts in seconds."""

    def __init__(self, protocol: Protocol, place: Offered) -> None:
        """Made by `connect`, with `place` as `offered`."""
        self._protocol = protocol
        self._offered = place

    @property
    def is_open(self) -> bool:
        """Whether the connection still stands, as far as this side knows."""
        return self._protocol.is_connected

    def send(self, *commands: bytes) -> None:
        """Send commands, as they are, in one piece; a reply to each is then to be asked for."""
        self._check_step()
        if _CONTROLS.search(b"".join(commands)):
            raise Disconnected("a command with a control character is not sent")
        try:
            self._protocol.post(b"\r\n".join((*commands, b"")))
        except smtp.SMTPException as error:
            raise Disconnected(_words(error)) from None

    async def reply(self, timeout: float) -> Reply:  # noqa: ASYNC109 - each step has its own
        """The next reply; the first of all is the greeting."""
        return self.kept_reply() or parse_reply(*await self._response(timeout))

    def kept_reply(self) -> Reply | None:
        """The next reply, None: it has not come."""
        response = self._kept_response()
        return parse_reply(*response) if response else None

    async def ask(self, *words: bytes, timeout: float) -> Reply:  # noqa: ASYNC109
        """The reply to a command, of one word or more."""
        self.send(b" ".join(words))
        return await self.reply(timeout)

    async def ehlo(self, name: bytes, timeout: float) -> tuple[Reply, str]:  # noqa: ASYNC109
        """The reply to EHLO, and its text with the lines ended by LF."""
        self.send(b"EHLO " + name)
        code, text = self._kept_response() or await self._response(timeout)
        return parse_reply(code, text), text

    async def start_tls(
        self,
        context: ssl.SSLContext,
        host: str,
        timeout: float,  # noqa: ASYNC109
        session: ssl.SSLSession | None = None,
    ) -> Flaw | None:
        """Start TLS with `host` as SNI and name to verify; a flaw leaves the connection closed.
        `session` is offered to be resumed, of a context that can; None: a full handshake."""
        self._check_step()
        self._offered.session = session
        token = offered.set(self._offered)
        try:
            # RFC 3207 §4.2: the protocol drops what came in clear text after the 220
            await self._protocol.start_tls(context, server_hostname=host, timeout=timeout)
        except smtp.SMTPResponseException as error:
            self.abort()
            return flaw_of_starttls(host, parse_reply(error.code, error.message))
        # ValueError: the name cannot be put into SNI
        except (smtp.SMTPException, OSError, ValueError) as error:
            self.abort()
            return flaw_of_handshake(host, error)
        finally:
            offered.reset(token)
        return None

    @property
    def tls(self) -> ssl.SSLObject | None:
        """The TLS of the connection; None where there is none, or no connection any more."""
        transport = self._protocol.transport
        return transport.get_extra_info("ssl_object") if transport else None

    @property
    def tls_version(self) -> str:
        """Such as "TLSv1.3"; only after `start_tls`."""
        return str(self.tls.version()) if self.tls else "TLS"

    async def content(self, data: bytes, block_timeout: float, final_timeout: float) -> Reply:
        """The reply to the content, dot-stuffed, after a 354; what ends it is sent as well. Raises
        InDoubt too.

        A refusal that comes before the end is taken and the connection closed: the two sides no
        longer agree where they are. A success then is none.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + block_timeout + len(data) / _SLOWEST
        for start in range(0, len(data) or 1, _BLOCK):
            if self._protocol.out_of_step:
                return await self._early(block_timeout)
            if (left := end - loop.time()) <= 0:
                self.abort()
                raise Disconnected("the content was taken too slowly")
            block = data[start : start + _BLOCK]
            if start + _BLOCK >= len(data):
                block += _END
            await self._write(block, min(block_timeout, left), alone=len(data) <= _BLOCK)
        try:
            return await self.reply(final_timeout)
        except Disconnected as error:
            raise InDoubt(str(error)) from None

    async def close(self, timeout: float) -> None:  # noqa: ASYNC109
        """Say QUIT and close, whatever the server answers and however slowly."""
        try:
            # RFC 5321 §4.1.1.10: the reply is waited for, and the server is the one to close
            await self.ask(b"QUIT", timeout=timeout)
            async with asyncio.timeout(timeout):
                await self._protocol.gone.wait()
        except (Disconnected, TimeoutError):
            pass
        finally:
            self.abort()

    def abort(self) -> None:
        """Close at once."""
        transport = self._protocol.transport
        if transport is not None:
            cast(asyncio.WriteTransport, transport).abort()  # no instance of it under uvloop

    async def _early(self, timeout: float) -> Reply:  # noqa: ASYNC109
        reply = await self.reply(timeout)
        self.abort()
        if reply.severity is Severity.SUCCESS:
            raise Disconnected(f"it answers before the end of the content: {reply}")
        return reply

    def _check_step(self) -> None:
        if self._protocol.out_of_step:
            self.abort()
            raise Disconnected("more replies than commands")

    async def _write(self, block: bytes, timeout: float, *, alone: bool) -> None:  # noqa: ASYNC109
        try:
            # what fills no more than one block finds room
            send = self._protocol.post if alone else self._protocol.write
            send(block)
            if not self._protocol.room.is_set():
                async with asyncio.timeout(timeout):
                    await self._protocol.room.wait()
        except _BROKEN as error:
            raise self._lost(error) from None

    def _kept_response(self) -> tuple[int, str] | None:
        try:
            return self._protocol.take_response()
        except _BROKEN as error:
            raise self._lost(error) from None

    async def _response(self, timeout: float) -> tuple[int, str]:  # noqa: ASYNC109
        try:
            return await self._protocol.wait_for_response(timeout)
        except _BROKEN as error:
            raise self._lost(error) from None

    def _lost(self, error: Exception) -> "Disconnected":
        self.abort()
        return Disconnected(_words(error))


async def connect(
    address: str,
    port: int,
    timeout: float,  # noqa: ASYNC109
    outbox: Outbox,
    source: str | None = None,
) -> Wire:
    """Connect to an IP address within `timeout` seconds. Raises Disconnected.

    What the connection sends leaves with what else is in the `outbox`. `source` is the address of
    ours to call from; None: the system chooses.
    """
    loop = asyncio.get_running_loop()
    new = partial(Protocol, outbox)
    local = (source, 0) if source else None
    place = Offered()
    token = offered.set(place)
    try:
        async with asyncio.timeout(timeout):
            _, protocol = await loop.create_connection(new, address, port, local_addr=local)
    except OSError as error:
        raise Disconnected(_words(error)) from None
    finally:
        offered.reset(token)
    return Wire(protocol, place)


def _words(error: Exception) -> str:
    if isinstance(error, Disconnected):
        return str(error)
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.errno and not isinstance(error, ssl.SSLError):
        return os.strerror(error.errno).lower()
    text = getattr(error, "message", "") or str(error) or type(error).__name__
    return "".join(char if char.isprintable() else " " for char in text[:_TEXT_LIMIT])
