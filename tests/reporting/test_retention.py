"""What is older than it is kept goes, in the background, and never for a clock that jumps."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.db.ledger import Ledger
from relay.db.ledger_reader import read_ledger
from relay.db.ledger_traffic import shadow
from relay.errors import StorageError
from relay.evidence import Action, Failure, Finding
from relay.reporting import retention as retention_module
from relay.reporting.copier import entries_of
from relay.reporting.retention import Retention
from relay.reporting.store import Filter, Passage, Passed

DAY = 86_400.0


class Wall:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.time = 100 * DAY

    def now(self) -> float:
        return self.time


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "ledger.db")
    yield ledger
    ledger.close()


async def fill(ledger: Ledger, count: int) -> None:
    """One violation a day, from the day of the epoch on."""
    findings = [
        Finding(day * DAY, "d.test", None, Failure.MX_MISMATCH, "x", Action.NOTED)
        for day in range(count)
    ]
    await ledger.append(entries_of([(f"s-{day}", one) for day, one in enumerate(findings)]))


def kept(tmp_path: Path) -> int:
    return sum(1 for _ in read_ledger(tmp_path / "ledger.db", Filter()))


async def test_what_is_too_old_goes_however_much(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention_module, "_BATCH", 7)
    await fill(ledger, 100)
    retention = Retention(ledger, Wall(), 40 * DAY)
    await retention.prune()
    assert kept(tmp_path) == 40
    retention.keep = 10 * DAY
    await retention.prune()
    assert kept(tmp_path) == 10


async def test_what_is_too_much_goes_however_new(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention_module, "_MOST", 25)
    await fill(ledger, 100)
    await Retention(ledger, Wall(), 4000 * DAY).prune()
    assert kept(tmp_path) == 25


async def test_it_works_while_it_runs_but_not_for_a_clock_that_jumps(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention_module, "_PAUSE", 0.0)
    await fill(ledger, 100)
    clock = Wall()
    running = asyncio.create_task(Retention(ledger, clock, 40 * DAY).run())
    await ledger.prune(0.0, 1000, 1)
    assert kept(tmp_path) == 100  # it has not run steadily for long
    monkeypatch.setattr("relay.mta_sts.upkeep._STEADY", 0.0)
    async with asyncio.timeout(10):
        while kept(tmp_path) > 40:
            await ledger.prune(0.0, 1000, 1)
    monkeypatch.setattr("relay.mta_sts.upkeep._STEADY", 300.0)
    clock.time += 1000 * DAY
    for _ in range(10):
        await ledger.prune(0.0, 1000, 1)
    assert kept(tmp_path) == 40
    running.cancel()


class Stuck:
    """A ledger that cannot be written."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.count = 0

    async def append(self, entries: object) -> None:
        raise StorageError("stuck")

    async def prune(self, before: float, most: int, limit: int) -> int:
        self.count += 1
        if self.count == 2:
            self.asked.set()
        raise StorageError("stuck")

    async def add_traffic(self, counted: object) -> None:
        raise StorageError("stuck")

    async def prune_traffic(self, before: float, most: int, limit: int) -> int:
        raise StorageError("stuck")


async def test_counts_of_deliveries_go_with_the_violations(ledger: Ledger, tmp_path: Path) -> None:
    counted = {
        Passage("testing", "d.test", day, "verified", ()): Passed(1, 1, day * DAY, day * DAY)
        for day in range(100)
    }
    await ledger.add_traffic(counted)
    await Retention(ledger, Wall(), 40 * DAY).prune()
    found = shadow(tmp_path / "ledger.db", "testing", None, (None, None), 1)
    assert (found.messages, found.first) == (40, 60 * DAY)


async def test_cnf_13_trouble_is_told_and_it_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(retention_module, "_PAUSE", 0.0)
    monkeypatch.setattr("relay.mta_sts.upkeep._STEADY", 0.0)
    stuck = Stuck()
    running = asyncio.create_task(Retention(stuck, Wall(), DAY).run())
    async with asyncio.timeout(10):
        await stuck.asked.wait()
    assert not running.done()
    running.cancel()
    assert "old violations cannot be removed now: stuck" in caplog.text
