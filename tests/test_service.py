"""A relay that serves is told by SIGHUP to read its configuration again."""

import asyncio
import logging
import signal
import smtplib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import orjson
import pytest

from relay import config
from relay.clock import SystemClock
from relay.lab.mx_host import MxHost
from relay.lab.world import World
from relay.reporting.journal import Journal
from relay.service import serve
from tests.flow.conftest import EventLog

PATIENCE = 20.0


class Judged(logging.Handler):
    """Counts the configurations taken on or refused, as the service tells."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.loop, self.grown = asyncio.get_running_loop(), asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if "configuration" in record.getMessage():
            self.count += 1
            self.loop.call_soon_threadsafe(self.grown.set)

    async def reach(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while self.count < count:
                self.grown.clear()
                await self.grown.wait()


class Running:
    """A relay whose configuration a test changes."""

    def __init__(self, world: World, directory: Path) -> None:
        self.world, self.directory = world, directory
        self.path = directory / "config.toml"
        self.log = EventLog()
        self.lines: asyncio.Queue[str] = asyncio.Queue()
        self.judged = Judged()
        self.write()
        self.settings = config.load(self.path)
        self.port = 0

    def write(self, extra: str = "", text: str | None = None) -> None:
        content = text or self.world.config(self.directory / "var", extra=extra)
        self.path.write_text(content, "utf-8")

    def read(self) -> tuple[config.Settings, list[str]]:
        new = config.load(self.path)
        return new, config.fixed_changes(self.settings, new)

    async def hang_up(self) -> None:
        """Send the signal, and wait until the configuration is taken on or refused."""
        before = self.judged.count
        signal.raise_signal(signal.SIGHUP)
        await self.judged.reach(before + 1)

    async def deferred(self) -> None:
        """Wait until a message has been put off."""
        async with asyncio.timeout(PATIENCE):
            while b'"deferred"' not in self.log.getvalue():
                self.log.grown.clear()
                await self.log.grown.wait()

    def client(self) -> smtplib.SMTP:
        """A client that has been greeted."""
        return smtplib.SMTP("127.0.0.1", self.port, timeout=PATIENCE)

    async def send(self) -> int:
        """The code of RCPT or of the final dot."""
        return await asyncio.to_thread(self._send)

    def _send(self) -> int:
        with self.client() as client:
            client.ehlo("client.test")
            client.mail("me@a.test")
            code, _ = client.rcpt("u@d.test")
            return client.data(b"Subject: x\r\n\r\nx\r\n")[0] if code == 250 else code


@pytest.fixture
async def mx(world: World) -> MxHost:
    mx = await world.mx_host("mx.d.test")
    world.domain("d.test", mx=[(10, mx.name)], policy="testing", patterns=["other.test"])
    return mx


@asynccontextmanager
async def running(world: World, directory: Path) -> AsyncIterator[Running]:
    one = Running(world, directory)
    logging.getLogger("relay.service").addHandler(one.judged)
    journal = Journal(one.log, SystemClock(), human=False)
    task = asyncio.ensure_future(serve(one.settings, journal, one.lines.put_nowait, read=one.read))
    line = await asyncio.wait_for(one.lines.get(), PATIENCE)
    one.port = int(line.rpartition(":")[2])
    try:
        yield one
    finally:
        signal.raise_signal(signal.SIGTERM)
        await task
        logging.getLogger("relay.service").removeHandler(one.judged)


async def test_new_settings_are_in_force_for_what_comes_after(
    world: World, mx: MxHost, tmp_path: Path
) -> None:
    async with running(world, tmp_path) as relay:
        assert await relay.send() == 250
        await mx.received(1)
        relay.write('[server]\nallow = ["192.0.2.0/24"]\n')
        await relay.hang_up()
        assert await relay.send() == 550
        relay.write('[tls]\ntesting = "verify"\n[violations]\nlog = "other.jsonl"\n')
        mx.certificate = world.ca.issue(["mx.d.test"], expired=True)
        await relay.hang_up()
        assert await relay.send() == 250
        await relay.deferred()
    assert len(mx.messages) == 1
    (record,) = map(orjson.loads, (tmp_path / "other.jsonl").read_bytes().splitlines()[-1:])
    assert (record["reason"], record["action"]) == ("certificate-expired", "refused")
    assert next(iter(mx.endings)) == "QUIT"


async def test_a_wrong_configuration_is_refused_and_the_old_one_stays(
    world: World, mx: MxHost, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(world, tmp_path) as relay:
        relay.write(text='[server]\nallow = "all"\nlisten = []\n')
        await relay.hang_up()
        assert await relay.send() == 250
        await mx.received(1)
    assert "the old configuration stays" in caplog.text
    for key in ("server.allow", "server.listen"):
        assert key in caplog.text


async def test_what_needs_a_restart_is_told_and_the_rest_taken_on(
    world: World, mx: MxHost, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(world, tmp_path) as relay:
        relay.write('[server]\nallow = []\nworkers = 3\n[storage]\nurl = "sqlite:./elsewhere"\n')
        await relay.hang_up()
        assert await relay.send() == 550
    assert not (tmp_path / "elsewhere").exists()
    for key in ("server.workers", "storage.url"):
        assert f"{key}: the new value needs a restart" in caplog.text


async def test_deliveries_under_way_end_with_the_settings_they_began_with(
    world: World, mx: MxHost, tmp_path: Path
) -> None:
    mx.stall_at = "."
    async with running(world, tmp_path) as relay:
        assert await relay.send() == 250
        await asyncio.wait_for(mx.stalled.wait(), PATIENCE)
        relay.write("[delivery]\nallow_internal = []\n")
        await relay.hang_up()
        mx.stall_at = None
        mx.resume.set()
        await mx.received(1)
        await mx.endings.reach(1, PATIENCE)
        assert list(mx.endings) == ["QUIT"]


async def test_a_signal_while_it_ends_does_no_harm(
    world: World, mx: MxHost, tmp_path: Path
) -> None:
    mx.stall_at = "."
    async with running(world, tmp_path) as relay:
        assert await relay.send() == 250
        await asyncio.wait_for(mx.stalled.wait(), PATIENCE)
        with closing(await asyncio.to_thread(relay.client)) as idle:
            signal.raise_signal(signal.SIGTERM)
            code, _ = await asyncio.to_thread(idle.getreply)
        assert code == 421  # it is ending
        signal.raise_signal(signal.SIGHUP)
        mx.stall_at = None
        mx.resume.set()
        await mx.received(1)


async def test_srv_23_mail_that_ends_amid_the_stop_is_kept_for_the_next_start(
    world: World, mx: MxHost, tmp_path: Path
) -> None:
    async with running(world, tmp_path) as relay:
        await asyncio.to_thread(_send_amid_the_stop, relay.port)
    assert not mx.connections  # a delivery so late might have been cut with its final dot out
    async with running(world, tmp_path):
        await mx.received(1)


def _send_amid_the_stop(port: int) -> None:
    with (
        closing(smtplib.SMTP("127.0.0.1", port, timeout=PATIENCE)) as idle,
        closing(smtplib.SMTP("127.0.0.1", port, timeout=PATIENCE)) as client,
    ):
        client.helo("client.test")
        client.mail("me@a.test")
        client.rcpt("u@d.test")
        client.docmd("DATA")
        signal.raise_signal(signal.SIGTERM)
        assert idle.getreply()[0] == 421
        client.send(b"Subject: x\r\n\r\nx\r\n.\r\n")
        assert client.getreply()[0] == 250


async def test_many_signals_at_once_leave_the_last_configuration(
    world: World, mx: MxHost, tmp_path: Path
) -> None:
    async with running(world, tmp_path) as relay:
        for allow in ("[]", '["127.0.0.0/8"]', "[]"):
            relay.write(f"[server]\nallow = {allow}\n")
            before = relay.judged.count
            signal.raise_signal(signal.SIGHUP)
            await asyncio.sleep(0)
        await relay.judged.reach(before + 1)
        await relay.hang_up()
        assert await relay.send() == 550
