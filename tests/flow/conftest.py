"""The whole relay in one process, in the lab's world."""

import asyncio
import contextlib
import io
import logging
import signal
import smtplib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from relay import config
from relay.clock import SystemClock
from relay.db.desk import Desk
from relay.db.ledger_reader import read_ledger
from relay.lab.world import World
from relay.reporting.journal import Journal, JournalHandler
from relay.reporting.store import Filter
from relay.service import serve
from relay.storage import LEDGER

PATIENCE = 20.0


class EventLog(io.BytesIO):
    """The relay's log, which tells when it grows."""

    def __init__(self) -> None:
        super().__init__()
        self.grown = asyncio.Event()

    def flush(self) -> None:
        self.grown.set()


class RunningRelay:
    """A relay that serves, and what a test asks of it."""

    def __init__(
        self, configuration: "Configuration", address: tuple[str, int], log: EventLog
    ) -> None:
        self.settings = configuration.settings
        self.address = address
        self.log = log
        self.desk = Desk(self.settings.storage_directory)
        self._configuration = configuration

    async def reload(self, extra: str = "") -> None:
        """Change the configuration and tell the relay by SIGHUP; waits until it is in force."""
        before = len(self._reloads())
        self._configuration.write(extra)
        signal.raise_signal(signal.SIGHUP)
        async with asyncio.timeout(PATIENCE):
            while len(self._reloads()) == before:
                self.log.grown.clear()
                await self.log.grown.wait()

    def _reloads(self) -> list[dict[str, Any]]:
        return [one for one in self._events(("warning",)) if "is in force" in one["message"]]

    async def send(
        self,
        *recipients: str,
        content: bytes = b"Subject: x\r\n\r\nhello\r\n",
        sender: str = "me@a.test",
    ) -> str:
        """Send a message by smtplib; its queue id."""
        return await asyncio.to_thread(self._send, recipients, content, sender)

    def _send(self, recipients: tuple[str, ...], content: bytes, sender: str) -> str:
        with smtplib.SMTP(*self.address) as client:
            client.ehlo("client.test")
            client.mail(sender)
            for recipient in recipients:
                client.rcpt(recipient)
            code, text = client.data(content)
            assert code == 250, text
            return text.decode().rpartition(" ")[2]

    async def events(self, *kinds: str, count: int = 1) -> list[dict[str, Any]]:
        """The events of these kinds, once there are `count`."""
        async with asyncio.timeout(PATIENCE):
            while len(found := self._events(kinds)) < count:
                self.log.grown.clear()
                await self.log.grown.wait()
        return found

    def _events(self, kinds: tuple[str, ...]) -> list[dict[str, Any]]:
        rows = [orjson.loads(line) for line in self.log.getvalue().splitlines()]
        return [row for row in rows if row["event"] in kinds]


class Configuration:
    """The file of a relay that lives in a world."""

    def __init__(self, world: World, directory: Path, extra: str) -> None:
        self._world = world
        self._directory = directory
        self._path = directory / "config.toml"
        self.write(extra)
        self.settings = config.load(self._path)

    def write(self, extra: str) -> None:
        """Write it anew; `extra` is TOML that comes on top of what the world gives."""
        text = self._world.config(self._directory / "var", extra=extra)
        self._path.write_text(text, "utf-8")

    def read(self) -> tuple[config.Settings, list[str]]:
        """The settings as written now, and the keys changed that need a restart."""
        new = config.load(self._path)
        return new, config.fixed_changes(self.settings, new)


class MovedClock:
    """The present, moved by hand."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> float:
        return SystemClock().now() + self.ahead


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> MovedClock:
    """The clock of the relay's queue and deliveries."""
    clock = MovedClock()
    monkeypatch.setattr("relay.app.SystemClock", lambda: clock)
    return clock


def violations(settings: config.Settings) -> list[dict[str, Any]]:
    """All violations in the ledger; complete once the relay has stopped."""
    return [one for _, one in read_ledger(settings.storage_directory / LEDGER, Filter())]


Run = Callable[..., AbstractAsyncContextManager[RunningRelay]]


@pytest.fixture
def run(world: World, tmp_path: Path) -> Run:
    """Runs a relay in the world; stopped gracefully at the end of its block."""

    @asynccontextmanager
    async def running(extra: str = "") -> AsyncIterator[RunningRelay]:
        configuration = Configuration(world, tmp_path, extra)
        log = EventLog()
        told: asyncio.Queue[str] = asyncio.Queue()
        journal = Journal(log, SystemClock(), human=False)
        handler = JournalHandler(journal)
        logging.getLogger("relay.service").addHandler(handler)
        service = serve(configuration.settings, journal, told.put_nowait, read=configuration.read)
        task = asyncio.ensure_future(service)
        task.add_done_callback(lambda _: told.put_nowait(""))
        line = await told.get()
        if not line:
            await task
        host, _, port = line.removeprefix("listening on ").rpartition(":")
        try:
            yield RunningRelay(configuration, (host, int(port)), log)
        finally:
            logging.getLogger("relay.service").removeHandler(handler)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    return running
