"""The composition root: what it does where a part of the relay or its storage fails."""

import asyncio
import io
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from relay import config
from relay.app import Relay
from relay.clock import SystemClock
from relay.db.desk import Desk
from relay.db.spool import Spool
from relay.delivery.deliverer import Deliverer
from relay.envelope import Envelope, Message
from relay.errors import RelayError, StorageDamagedError, StorageError
from relay.lab.world import World
from relay.mta_sts.refresh import Refresher
from relay.outcome import DeliveryResult, Outcome, Status
from relay.reply import Reply
from relay.reporting.journal import Journal
from relay.service import serve

PATIENCE = 20.0


@pytest.fixture
def settings(world: World, tmp_path: Path) -> config.Settings:
    path = tmp_path / "config.toml"
    path.write_text(world.config(tmp_path / "var"), "utf-8")
    return config.load(path)


def journal() -> Journal:
    return Journal(io.BytesIO(), SystemClock(), human=False)


@asynccontextmanager
async def running(relay: Relay) -> AsyncIterator["asyncio.Task[None]"]:
    """A relay without listeners; the task ends as the relay does."""
    await relay.start()
    watching = asyncio.ensure_future(relay.watch(asyncio.Event()))
    try:
        yield watching
    finally:
        watching.cancel()
        await relay.aclose(0.0)


def no_more(*_: object) -> object:
    raise SystemExit


async def test_a_storage_thread_that_ends_stops_the_relay(
    settings: config.Settings, caplog: pytest.LogCaptureFixture
) -> None:
    relay = Relay(settings, journal())
    async with running(relay) as watching:
        spool = relay._stores.spool
        with pytest.raises(StorageError, match="closed"):
            await spool._committer.run(no_more)
        with pytest.raises(StorageError, match="the storage is closed"):
            await asyncio.wait_for(watching, PATIENCE)
    assert "a part of the relay has ended" in caplog.text


async def fail() -> None:
    raise ZeroDivisionError


async def test_a_bug_in_the_queue_stops_the_relay_and_is_logged(
    settings: config.Settings, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay = Relay(settings, journal())
    monkeypatch.setattr(relay._scheduler, "run", fail)
    async with running(relay) as watching:
        with pytest.raises(RelayError, match="the log tells why"):
            await asyncio.wait_for(watching, PATIENCE)
    assert "ZeroDivisionError" in caplog.text


async def test_a_bug_in_reporting_is_logged_and_mail_goes_on(
    settings: config.Settings, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay = Relay(settings, journal())
    monkeypatch.setattr(relay._books._copier, "run", fail)
    async with running(relay) as watching:
        await asyncio.wait(relay._tasks, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(0)
        assert not watching.done()
    assert "ZeroDivisionError" in caplog.text


class Ready:
    """Counts the listeners told."""

    def __init__(self) -> None:
        self.lines: asyncio.Queue[str] = asyncio.Queue()

    async def port(self) -> int:
        line = await asyncio.wait_for(self.lines.get(), PATIENCE)
        return int(line.rpartition(":")[2])


async def test_a_part_that_was_renewed_is_watched_like_the_first(
    settings: config.Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    renewed = asyncio.Event()

    async def run(_: Refresher) -> None:
        await renewed.wait()
        raise StorageDamagedError("policies.db: damaged", settings.storage_directory)

    monkeypatch.setattr(Refresher, "run", run)
    relay = Relay(settings, journal())
    async with running(relay) as watching:
        await asyncio.sleep(0)  # it is watched from now on
        await relay.renew(settings)
        renewed.set()
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(StorageDamagedError):
                await watching


async def test_a_delivery_is_over_before_its_former_deliverer_has_said_goodbye(
    settings: config.Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stop would cut it meanwhile, and the mail would go out again."""
    begun, go_on, parting, settled = (asyncio.Event() for _ in range(4))

    async def deliver(
        _: Deliverer, domain: str, envelope: Envelope, *rest: object
    ) -> DeliveryResult:
        begun.set()
        await go_on.wait()
        reply = Reply(250, "2.0.0", "taken")
        return DeliveryResult(
            tuple(Outcome(one, Status.DELIVERED, reply) for one in envelope.recipients)
        )

    async def aclose(_: Deliverer) -> None:
        await parting.wait()

    monkeypatch.setattr(Deliverer, "deliver", deliver)
    monkeypatch.setattr(Deliverer, "aclose", aclose)
    monkeypatch.setattr(Relay, "_settled", lambda *_: settled.set())
    relay = Relay(settings, journal())
    async with running(relay), asyncio.timeout(PATIENCE):
        message = Message("Q1", Envelope(None, ("u@d.test",)), b"x: y\r\n\r\n", 1.0)
        await relay._scheduler.accept(message, lambda: None)
        await begun.wait()
        await relay.renew(settings)
        go_on.set()
        try:
            await asyncio.wait_for(settled.wait(), PATIENCE / 4)
            assert relay._partings
        finally:
            parting.set()


async def test_a_damaged_spool_is_set_aside_and_the_relay_begins_anew(
    settings: config.Settings, caplog: pytest.LogCaptureFixture
) -> None:
    path = settings.storage_directory / "spool-0.db"
    path.parent.mkdir(0o700)
    path.write_bytes(b"no database" * 1000)
    for name in ("policies.db", "ledger.db"):
        (path.parent / name).write_bytes(b"no database" * 1000)
    ready = Ready()
    serving = asyncio.ensure_future(serve(settings, journal(), ready.lines.put_nowait))
    await ready.port()
    signal.raise_signal(signal.SIGTERM)
    await serving
    aside = sorted(one.name for one in path.parent.iterdir() if ".damaged-" in one.name)
    assert [re.sub(r"-2.*", "", one) for one in aside] == [
        "ledger.db.damaged",
        "policies.db.damaged",
        "spool-0.db.damaged",
    ]
    assert "docs/operating.md" in caplog.text


def damage_contents(path: Path) -> None:
    """Spoil a few pages in the middle that hold contents."""
    octets = bytearray(path.read_bytes())
    for _ in range(3):
        place = octets.index(b"x" * 4000, len(octets) // 2)
        start = place - place % 8192
        octets[start : start + 8192] = b"\xa5" * 8192
    path.write_bytes(octets)


async def test_damage_found_while_running_is_mended_in_place(
    world: World, settings: config.Settings
) -> None:
    world.dns.fail("d.test", "MX", "SERVFAIL")
    path = settings.storage_directory / "spool-0.db"
    spool = Spool(path)
    for number in range(300):
        envelope = Envelope(None, ("a@d.test",))
        late = Message(f"Q{number:03}", envelope, b"x" * 5000, SystemClock().now())
        await spool.put(late, claimed=False)
    spool.close()
    damage_contents(path)
    ready = Ready()
    serving = asyncio.ensure_future(serve(settings, journal(), ready.lines.put_nowait))
    await ready.port()
    await ready.port()  # it has begun anew
    records = list(Desk(path.parent).jobs())
    assert 150 < len(records) < 300
    assert {one.reason for one in records} == {"salvaged"}
    signal.raise_signal(signal.SIGTERM)
    await serving
