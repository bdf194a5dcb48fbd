"""Listening for clients: sockets, bounds on connections, a graceful end. Knows no SMTP command."""

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import cast

from relay.address import Network
from relay.clock import Clock
from relay.errors import RelayError
from relay.immutable import immutable
from relay.inbound.access import client_key, may_relay
from relay.inbound.certificate import CertificateFiles, server_context
from relay.inbound.complaints import Complaints
from relay.inbound.reception import Reception
from relay.inbound.session import STOPPING
from relay.inbound.smtp import RelaySMTP

log = logging.getLogger(__name__)

_FULL = b"421 4.3.2 Too many connections here, try again later\r\n"
_FULL_FOR_YOU = b"421 4.7.0 Too many connections from your address, try again later\r\n"
_CLOSED = STOPPING.encode() + b"\r\n"
_BACKLOG = 1024


@immutable
class ListenSettings:
    """Where to listen and how much to bear.

    `certificate` None: no TLS, and then no `tls_addresses`, which speak it from the first octet.
    `max_connections_per_client` binds clients outside `allow`; the others share
    `max_connections`. `reuse_port` is for several workers: without it a second relay on the same
    port is refused.
    """

    addresses: Sequence[tuple[str, int]]
    allow: Sequence[Network]
    max_connections: int
    max_connections_per_client: int
    tls_addresses: Sequence[tuple[str, int]] = ()
    certificate: CertificateFiles | None = None
    reuse_port: bool = False


class ListenError(RelayError):
    """An address cannot be listened on. Not transient: the relay must not start."""


class Listeners:
    """The listening sockets and the clients connected through them."""

    def __init__(self, settings: ListenSettings, reception: Reception, clock: Clock) -> None:
        """Nothing is bound before `start`; the certificate is read. Raises CertificateError."""
        self._clock = clock
        self.renew(settings, reception)
        self._servers: list[asyncio.Server] = []
        self._clients: dict[Client, str] = {}
        self._per_peer: Counter[str] = Counter()
        self._all_gone = asyncio.Event()
        self._all_gone.set()
        self._closing = False
        self.complaints = Complaints()

    @property
    def bound(self) -> list[tuple[str, int]]:
        """The addresses listened on, port 0 replaced by the port given."""
        sockets = [sock for server in self._servers for sock in server.sockets]
        return [sock.getsockname()[:2] for sock in sockets]

    async def start(self) -> None:
        """Listen on every address, or on none: raises ListenError naming the one that fails."""
        settings = self._settings
        try:
            for address in settings.addresses:
                await self._listen("listen", address, tls_first=False)
            for address in settings.tls_addresses:
                await self._listen("listen_tls", address, tls_first=True)
        except ListenError:
            await self.close(0)
            raise

    def renew(self, settings: ListenSettings, reception: Reception) -> None:
        """Serve clients that come from now on by these; certificate and key are read again.

        The addresses stay as they are. Raises CertificateError, and then nothing has changed.
        """
        files = settings.certificate
        tls = server_context(files, self._clock.now()) if files else None
        self._settings, self._reception = settings, replace(reception, tls=tls)

    async def close(self, timeout: float) -> None:  # noqa: ASYNC109 - the operator's stop_timeout
        """Take no more clients, tell idle ones, wait for messages under way, cut the rest.

        `timeout` is in seconds. Returns when the last client has gone.
        """
        self._closing = True
        for server in self._servers:
            server.close()
        for client in list(self._clients):
            client.stop()
        try:
            async with asyncio.timeout(timeout):
                await self._all_gone.wait()
        except TimeoutError:
            log.warning("%d clients were cut off at the end", len(self._clients))
            for client in list(self._clients):
                client.abort()
            await self._all_gone.wait()
        self._servers.clear()
        if login := self._reception.login:
            login.close()

    def admit(self, client: "Client", peer: str) -> bytes | None:
        """Count a new client; a reply where there is no room for it."""
        settings = self._settings
        if self._closing:  # accepted in the turn before the listeners closed
            return _CLOSED
        if len(self._clients) >= settings.max_connections:
            return _FULL
        key = client_key(peer)
        crowded = self._per_peer[key] >= settings.max_connections_per_client
        if crowded and not may_relay(peer, settings.allow):
            return _FULL_FOR_YOU
        self._clients[client] = key
        self._per_peer[key] += 1
        self._all_gone.clear()
        return None

    def dismiss(self, client: "Client") -> None:
        """A client has gone."""
        key = self._clients.pop(client)
        self._per_peer[key] -= 1
        if not self._per_peer[key]:
            del self._per_peer[key]
        if not self._clients:
            self._all_gone.set()

    async def _listen(self, key: str, address: tuple[str, int], *, tls_first: bool) -> None:
        sock = _open(key, *address, reuse_port=self._settings.reuse_port)
        connected = partial(self._connected, tls_first=tls_first)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(connected, sock=sock, backlog=_BACKLOG)
        self._servers.append(server)

    def _connected(self, *, tls_first: bool) -> "Client":
        return Client(self, self._reception, tls_first=tls_first)


class Client(RelaySMTP):
    """A session that its listeners count."""

    def __init__(self, listeners: Listeners, reception: Reception, *, tls_first: bool) -> None:
        """Admitted or refused once the connection is made."""
        self._listeners = listeners
        self._refused = False
        super().__init__(reception, tls_first=tls_first)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Serve the client, or tell it that there is no room."""
        peer = str((transport.get_extra_info("peername") or ("",))[0])
        refusal = self._listeners.admit(self, peer)
        if refusal is None:
            super().connection_made(transport)
            return
        if refusal != _CLOSED:
            self._listeners.complaints.tell(peer, "crowd", "a connection too many was refused")
        self._refused = True
        if not self.tls_first:
            # no instance of it under uvloop
            cast(asyncio.WriteTransport, transport).write(refusal)
        transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        """Leave the count."""
        if not self._refused and self.transport is not None:
            self._listeners.dismiss(self)
            super().connection_lost(error)

    def eof_received(self) -> bool | None:
        """End of input; a refused client's connection closes by itself."""
        return False if self._refused else super().eof_received()


def reserve(key: str, addresses: Iterable[tuple[str, int]]) -> list[socket.socket]:
    """Sockets that keep these addresses for workers to listen on, port 0 replaced by a free one.

    `key` of the configuration is what the addresses are from. Clients are never connected to them.
    Raises ListenError where somebody else listens there.
    """
    kept: list[socket.socket] = []
    try:
        for address in addresses:
            # workers share a port with everyone who asks to: only this shows another relay
            _bind(key, *address, reuse_port=False).close()
            kept.append(_bind(key, *address, reuse_port=True))
    except ListenError:
        for sock in kept:
            sock.close()
        raise
    return kept


def _open(key: str, host: str, port: int, *, reuse_port: bool) -> socket.socket:
    sock = _bind(key, host, port, reuse_port=reuse_port)
    try:
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise _cannot_listen(key, host, port, error) from error
    return sock


def _bind(key: str, host: str, port: int, *, reuse_port: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise _cannot_listen(key, host, port, error) from error
    return sock


def _cannot_listen(key: str, host: str, port: int, error: OSError) -> ListenError:
    shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return ListenError(f"server.{key}: cannot listen on {shown}: {error.strerror}")
