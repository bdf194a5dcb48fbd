"""Listening for clients: sockets, bounds on connections, a graceful end. Knows no SMTP command."""

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from relay.errors import RelayError
from relay.inbound.hooks import AcceptHooks
from relay.inbound.smtp import RelaySMTP

log = logging.getLogger(__name__)

_TOO_MANY = b"421 4.3.2 Too many connections, try again later\r\n"
_BACKLOG = 1024


@dataclass(frozen=True, slots=True)
class ListenSettings:
    """Where to listen and how much to bear; `timeout` in seconds, sizes in octets."""

    addresses: Sequence[tuple[str, int]]
    hostname: str
    max_message_size: int
    max_connections: int
    max_connections_per_client: int
    timeout: float


class Listeners:
    """The listening sockets and the clients connected through them."""

    def __init__(self, settings: ListenSettings, hooks: AcceptHooks) -> None:
        """Nothing is bound before `start`."""
        self._settings = settings
        self._hooks = hooks
        self._servers: list[asyncio.Server] = []
        self._clients: dict[_Client, str] = {}
        self._per_peer: Counter[str] = Counter()
        self._all_gone = asyncio.Event()
        self._all_gone.set()

    @property
    def bound(self) -> list[tuple[str, int]]:
        """The addresses listened on, port 0 replaced by the port given."""
        sockets = [sock for server in self._servers for sock in server.sockets]
        return [sock.getsockname()[:2] for sock in sockets]

    async def start(self) -> None:
        """Listen on every address, or on none: raises RelayError naming the one that cannot be."""
        loop = asyncio.get_running_loop()
        for host, port in self._settings.addresses:
            try:
                sock = _listen(host, port)
            except OSError as error:
                await self.close(0)
                raise RelayError(
                    f"server.listen: cannot listen on {_shown(host, port)}: {error.strerror}"
                ) from None
            self._servers.append(await loop.create_server(self._protocol, sock=sock))

    async def close(self, timeout: float) -> None:  # noqa: ASYNC109 - the operator's stop_timeout
        """Take no more clients; those whose final dot is out are waited for, at most `timeout`."""
        for server in self._servers:
            server.close()
        for client in list(self._clients):
            if not client.in_data:
                await client.say_goodbye()
        try:
            async with asyncio.timeout(timeout):
                await self._all_gone.wait()
        except TimeoutError:
            for client in list(self._clients):
                client.abort()
        self._servers.clear()

    def _protocol(self) -> asyncio.Protocol:
        return _Client(self, self._hooks, self._settings)

    def admit(self, client: "_Client", peer: str) -> bool:
        """Whether a new client may stay."""
        settings = self._settings
        if (
            len(self._clients) >= settings.max_connections
            or self._per_peer[peer] >= settings.max_connections_per_client
        ):
            log.warning("a connection from %s was refused: too many connections", peer)
            return False
        self._clients[client] = peer
        self._per_peer[peer] += 1
        self._all_gone.clear()
        return True

    def dismiss(self, client: "_Client") -> None:
        """A client has gone."""
        peer = self._clients.pop(client, None)
        if peer is None:
            return
        self._per_peer[peer] -= 1
        if not self._per_peer[peer]:
            del self._per_peer[peer]
        if not self._clients:
            self._all_gone.set()


class _Client(RelaySMTP):
    """A connection that its listeners count."""

    def __init__(self, listeners: Listeners, hooks: AcceptHooks, settings: ListenSettings) -> None:
        self._listeners = listeners
        self._refused = False
        super().__init__(
            hooks,
            hostname=settings.hostname,
            max_message_size=settings.max_message_size,
            timeout=settings.timeout,
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peer = str((transport.get_extra_info("peername") or ("",))[0])
        if not self._listeners.admit(self, peer):
            self._refused = True
            assert isinstance(transport, asyncio.WriteTransport)  # noqa: S101
            transport.write(_TOO_MANY)
            transport.close()
            return
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        if self._refused:
            return
        self._listeners.dismiss(self)
        super().connection_lost(error)

    def data_received(self, data: bytes) -> None:
        if not self._refused:
            super().data_received(data)

    def eof_received(self) -> bool | None:
        return None if self._refused else super().eof_received()

    def abort(self) -> None:
        """Cut the connection: what is not yet answered 250 stays the client's."""
        if isinstance(self.transport, asyncio.WriteTransport):
            self.transport.abort()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((host, port))
        sock.listen(_BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def _shown(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
