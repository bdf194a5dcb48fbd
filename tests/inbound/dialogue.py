"""The relay's front door on loopback, and a client that says what it is told, octet by octet."""

import asyncio
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from pathlib import Path

from relay.clock import SystemClock
from relay.envelope import Message
from relay.errors import StorageError
from relay.inbound.hooks import AcceptHooks, AcceptSettings
from relay.inbound.login import Login
from relay.inbound.message import Origin
from relay.inbound.reception import Reception, SessionSettings
from relay.inbound.server import Listeners, ListenSettings

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
ACCEPTING = AcceptSettings(
    hostname="relay.test",
    allow=LOOPBACK,
    max_message_size=100_000,
    max_recipients=100,
    max_received=100,
    normalise=False,
)
SESSION = SessionSettings(
    hostname="relay.test",
    max_message_size=100_000,
    timeout=300,
    message_timeout=3600,
    normalise=False,
    spool=Path(tempfile.gettempdir()),
)
LISTENING = ListenSettings(
    addresses=(("127.0.0.1", 0),),
    allow=LOOPBACK,
    max_connections=50,
    max_connections_per_client=5,
)
NOON = 1788264000.0  # 2026-09-01T12:00:00Z
PATIENCE = 10


class Noon:
    """A clock that stands still."""

    def now(self) -> float:
        return NOON


@dataclass
class Shelf:
    """Where accepted messages go; `trouble` says what happens instead."""

    messages: list[Message] = field(default_factory=list)
    trouble: Exception | None = None
    origin: Origin | None = None
    open: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.open.set()

    async def accept(self, message: Message, origin: Origin) -> None:
        self.origin = origin
        self.waiting.set()
        await self.open.wait()
        if self.trouble:
            raise self.trouble
        self.messages.append(message)

    @property
    def contents(self) -> list[bytes]:
        """What was accepted, without our own trace line."""
        return [without_trace(message) for message in self.messages]


def without_trace(message: Message) -> bytes:
    """The content as the client sent it."""
    head, _, rest = bytes(message.content).partition(b"+0000\r\n")
    assert head.startswith(b"Received: from ")
    return rest


def names_in(directory: Path) -> list[str]:
    """What lies in a directory."""
    return [path.name for path in directory.iterdir()]


class Dialogue:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def reply(self) -> str:
        """The next reply, all its lines; "" when the server has closed the connection."""
        lines = []
        while True:
            async with asyncio.timeout(PATIENCE):
                line = await self.reader.readline()
            lines.append(line.decode())
            if line[3:4] != b"-":
                return "".join(lines)

    async def send(self, octets: bytes) -> None:
        self.writer.write(octets)
        await self.writer.drain()

    async def say(self, *lines: str) -> str:
        """Send command lines one by one; the last one's reply."""
        answer = ""
        for line in lines:
            await self.send(line.encode("utf-8", "surrogateescape") + b"\r\n")
            answer = await self.reply()
        return answer

    async def start_tls(self, context: ssl.SSLContext) -> None:
        """Shake hands; what the server said before it is read."""
        async with asyncio.timeout(PATIENCE):
            await self.writer.start_tls(context, server_hostname="relay.test")

    async def begin(self) -> None:
        """EHLO, a sender, a recipient and DATA."""
        answer = await self.say("EHLO client.test", "MAIL FROM:<a@b.test>", "RCPT TO:<c@d.test>")
        assert answer.startswith("250"), answer
        assert (await self.say("DATA")).startswith("354")

    async def closed(self) -> bool:
        """Whether the server has closed the connection and said no more."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.read() == b""


Connect = Callable[..., Awaitable[Dialogue]]


class FrontDoor:
    """Listeners with a shelf behind them."""

    def __init__(self, listeners: Listeners, shelf: Shelf) -> None:
        self.listeners = listeners
        self.shelf = shelf
        self.writers: list[asyncio.StreamWriter] = []

    @property
    def address(self) -> tuple[str, int]:
        return self.listeners.bound[0]

    async def connect(self, source: str | None = None, *, listener: int = 0) -> Dialogue:
        """A connection, from another loopback address where one is given; greeting unread."""
        local = (source, 0) if source else None
        address = self.listeners.bound[listener]
        reader, writer = await asyncio.open_connection(*address, local_addr=local)
        self.writers.append(writer)
        return Dialogue(reader, writer)

    async def greeted(self, source: str | None = None) -> Dialogue:
        """A connection whose greeting has been read."""
        dialogue = await self.connect(source)
        greeting = await dialogue.reply()
        assert greeting.startswith("220 relay.test "), greeting
        return dialogue

    def hang_up(self) -> None:
        for writer in self.writers:
            writer.close()


@asynccontextmanager
async def front_door(
    accepting: AcceptSettings = ACCEPTING,
    session: SessionSettings = SESSION,
    login: Login | None = None,
    **listening: object,
) -> AsyncIterator[FrontDoor]:
    """The real listeners and hooks; `listening` replaces ListenSettings."""
    shelf = Shelf()
    hooks = AcceptHooks(shelf.accept, accepting, Noon())
    settings = replace(
        LISTENING,
        allow=accepting.allow,
        **listening,  # type: ignore[arg-type]
    )
    session = replace(
        session, max_message_size=accepting.max_message_size, normalise=accepting.normalise
    )
    reception = Reception(hooks, session, login=login)
    listeners = Listeners(settings, reception, SystemClock())
    await listeners.start()
    door = FrontDoor(listeners, shelf)
    try:
        yield door
    finally:
        shelf.open.set()
        door.hang_up()
        await listeners.close(PATIENCE)


DISK_FULL = StorageError("spool-0.db: database or disk is full")
