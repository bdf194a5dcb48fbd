"""The lab's policy host: HTTPS for all policy domains on one port (RFC 8461 §3.3), with faults.

HTTP/1.1 is written by hand, so that a site can answer what no web server would. It knows nothing
of policies: a site's body is bytes.
"""

import asyncio
import contextlib
import itertools
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Literal
from weakref import WeakKeyDictionary

from relay.immutable import immutable
from relay.lab.ca import Certificate
from relay.lab.streams import serving
from relay.lab.tally import Tally

PATH = "/.well-known/mta-sts.txt"

Point = Literal["headers", "body"]


@immutable
class Request:
    """A request as it came; header names in lower case. `sni` None: the client sent none."""

    method: str
    path: str
    host: str
    sni: str | None
    headers: dict[str, str]


@dataclass(eq=False)
class Site:
    """What https://NAME/.well-known/mta-sts.txt answers; other paths are 404.

    `hang` stops for good before the head or half-way through the body; `cut` closes there instead.
    `framing` is how the end of the body is told: Content-Length, end of connection, chunks, or no
    end at all (the body over and over). `pace` is a pause in seconds before each byte of the body.
    """

    name: str
    certificate: Certificate
    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "text/plain"})
    framing: Literal["length", "close", "chunked", "endless"] = "length"
    hang: Point | None = None
    cut: Point | None = None
    pace: float = 0.0
    requests: Tally[Request] = field(default_factory=Tally)

    async def requested(self, count: int, timeout: float = 5.0) -> list[Request]:  # noqa: ASYNC109
        """Wait until `count` requests have arrived; all of them. Raises TimeoutError."""
        return await self.requests.reach(count, timeout)

    def head(self) -> bytes:
        """Status line and header fields."""
        framing = {"length": f"Content-Length: {len(self.body)}", "chunked": _CHUNKED}
        lines = [f"HTTP/1.1 {self.status} {_reason(self.status)}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        lines += [framing[self.framing]] if self.framing in framing else []
        lines += ["Connection: close", "", ""]
        return "\r\n".join(lines).encode("latin-1")

    def parts(self) -> Iterator[bytes]:
        """The body in the pieces it is sent in."""
        size = 1 if self.pace else max(1, (len(self.body) + 1) // 2)
        pieces = (self.body[at : at + size] for at in range(0, len(self.body), size))
        match self.framing:
            case "endless":
                yield from itertools.repeat(self.body)
            case "chunked":
                yield from (b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
                yield b"0\r\n\r\n"
            case _:
                yield from pieces


class PolicyHost:
    """Sites by name behind one port; the client's SNI chooses the certificate.

    `snis` has the server name of every handshake, None where the client sent none. Clients that
    ask for a name without a site get `fallback` and 404.
    """

    def __init__(self, fallback: Certificate) -> None:
        self.sites: dict[str, Site] = {}
        self.snis: list[str | None] = []
        self.port = 0
        self._contexts: dict[Certificate, ssl.SSLContext] = {}
        self._names: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
        self._front = fallback.server_context()
        self._front.sni_callback = self._choose

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve on a free port of 127.0.0.1; sets `port`."""
        async with serving(self._serve, "127.0.0.1", 0, self._front) as self.port:
            yield

    def _choose(self, tls: ssl.SSLObject | ssl.SSLSocket, sni: str | None, _: object) -> None:
        self.snis.append(sni)
        if sni is not None:
            self._names[tls] = sni
        if site := self.sites.get(sni or ""):
            tls.context = self._context(site.certificate)

    def _context(self, certificate: Certificate) -> ssl.SSLContext:
        if certificate not in self._contexts:
            self._contexts[certificate] = certificate.server_context()
        return self._contexts[certificate]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        sni = self._names.get(writer.get_extra_info("ssl_object"))
        request = _parse(head.decode("latin-1"), sni)
        site = self.sites.get(request.host.partition(":")[0].lower())
        if site is None:
            writer.write(_NOT_FOUND)
            return
        site.requests.append(request)
        if request.path != PATH:
            writer.write(_NOT_FOUND)
            return
        await _answer(site, reader, writer)


async def _answer(site: Site, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    if await _ends(site, "headers", reader):
        return
    writer.write(site.head())
    for index, part in enumerate(site.parts()):
        if index == 1 and await _ends(site, "body", reader):
            return
        await asyncio.sleep(site.pace)
        writer.write(part)
        await writer.drain()


async def _ends(site: Site, point: Point, reader: asyncio.StreamReader) -> bool:
    if site.hang == point:
        await reader.read()  # until the client goes away
    return point in (site.hang, site.cut)


def _parse(head: str, sni: str | None) -> Request:
    first, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
    method, path, _ = first.split(" ", 2)
    fields = (line.partition(":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in fields}
    return Request(method, path, headers.get("host", ""), sni, headers)


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unheard of"


_CHUNKED = "Transfer-Encoding: chunked"
_NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
