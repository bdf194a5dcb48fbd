"""Policies looked after while nobody asks for them, over real DNS and HTTPS."""

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from relay.address import Domain
from relay.db.policies import PolicyTable
from relay.errors import StorageDamagedError
from relay.evidence import Finding
from relay.lab.world import World
from relay.mta_sts import upkeep as upkeep_rules
from relay.mta_sts.refresh import Refresher
from relay.mta_sts.upkeep import HISTORY, RETENTION
from tests.mta_sts.finding import GOOD, D, SetClock, finder_in

DAY = 86_400.0


class Upkeep:
    """A process that looks after policies, and what it has recorded."""

    def __init__(self, world: World, table: PolicyTable, clock: SetClock) -> None:
        self.recorded: list[Finding] = []
        self.finder = finder_in(world, table, clock)
        self.refresher = Refresher(self.finder, table, clock, self._record)

    async def _record(self, findings: Sequence[Finding]) -> None:
        self.recorded += findings


@pytest.fixture
def upkeep(world: World, table: PolicyTable, clock: SetClock) -> Upkeep:
    return Upkeep(world, table, clock)


async def test_sts_66_an_idle_domain_is_fetched_daily_and_lives_on(
    world: World, table: PolicyTable, clock: SetClock, upkeep: Upkeep
) -> None:
    site = world.policy_host(D, GOOD)
    first = (await upkeep.finder.find(D)).policy
    await upkeep.refresher.work()
    assert len(site.requests) == 1
    clock.ahead = DAY
    await upkeep.refresher.work()
    await upkeep.refresher.work()
    assert len(site.requests) == 2
    kept = upkeep.finder.find_kept(D).policy
    assert kept.expires is not None
    assert first.expires is not None
    assert (kept.expires - first.expires).total_seconds() == pytest.approx(DAY, abs=60)
    assert [one.seen_by for one in table.versions(D)] == ["delivery"]
    assert upkeep.recorded == []


async def test_a_new_version_is_seen_by_the_refresh(
    world: World, table: PolicyTable, clock: SetClock, upkeep: Upkeep
) -> None:
    world.policy_host(D, GOOD, id="1")
    await upkeep.finder.find(D)
    world.policy_host(D, GOOD.replace("enforce", "testing"), id="2")
    clock.ahead = DAY
    await upkeep.refresher.work()
    assert [(one.record_id, one.seen_by) for one in table.versions(D)] == [
        ("1", "delivery"),
        ("2", "refresh"),
    ]
    assert [one.failure for one in upkeep.recorded] == ["policy-weakened"]


async def test_several_processes_share_the_work(
    world: World, table: PolicyTable, clock: SetClock
) -> None:
    processes = [Upkeep(world, table, clock) for _ in range(3)]
    sites = [world.policy_host(f"d{number}.test", GOOD) for number in range(30)]
    async for _ in processes[0].finder.find_all(Domain(f"d{number}.test") for number in range(30)):
        pass
    clock.ahead = DAY
    await asyncio.gather(*(one.refresher.work() for one in processes))
    assert [len(site.requests) for site in sites] == [2] * 30


async def test_sts_67_failing_refreshes_are_told_once_and_again_a_day_later(
    world: World, clock: SetClock, upkeep: Upkeep, caplog: pytest.LogCaptureFixture
) -> None:
    site = world.policy_host(D, GOOD)
    await upkeep.finder.find(D)
    site.status = 503
    for hour in range(24, 24 + 30):
        clock.ahead = hour * 3600 + 60.0
        await upkeep.refresher.work()
    told = [one.getMessage() for one in caplog.records if "could not be refreshed" in one.message]
    assert len(told) == 2
    assert "d.test: its policy of mode enforce could not be refreshed 3 times since" in told[0]
    assert "answered 503" in told[0]
    assert upkeep.finder.find_kept(D).policy.mode == "enforce"
    assert len(upkeep.recorded) == len(site.requests) - 1


async def test_sts_67_for_mode_none_nothing_is_told(
    world: World, clock: SetClock, upkeep: Upkeep, caplog: pytest.LogCaptureFixture
) -> None:
    site = world.policy_host(D, "version: STSv1\nmode: none\nmax_age: 864000\n")
    await upkeep.finder.find(D)
    site.status = 503
    for hour in range(24, 40):
        clock.ahead = hour * 3600 + 60.0
        await upkeep.refresher.work()
    assert len(site.requests) > 3
    assert caplog.records == []


async def test_what_ended_long_ago_is_removed_and_its_history_later(
    world: World, table: PolicyTable, clock: SetClock, upkeep: Upkeep
) -> None:
    world.policy_host(D, GOOD)
    await upkeep.finder.find(D)
    world.dns.fail("_mta-sts.d.test", "TXT", "SERVFAIL")
    clock.ahead = 864_000 + DAY
    await upkeep.refresher.work()
    assert table.load(D) is not None
    clock.ahead += RETENTION
    await upkeep.refresher.work()
    assert table.load(D) is None
    assert len(table.versions(D)) == 1
    clock.ahead += HISTORY + DAY
    await upkeep.refresher.work()
    assert table.versions(D) == []


async def test_sts_74_a_clock_far_ahead_and_back_loses_nothing(
    world: World, table: PolicyTable, clock: SetClock, upkeep: Upkeep
) -> None:
    site = world.policy_host(D, GOOD)
    before = (await upkeep.finder.find(D)).policy
    for ahead in (20 * DAY, -365 * DAY):
        clock.ahead = ahead
        await upkeep.refresher.work()
    clock.ahead = 0.0
    assert (await upkeep.finder.find(D)).policy == before
    assert len(site.requests) == 1
    clock.ahead = DAY
    await upkeep.refresher.work()
    assert len(site.requests) == 2
    kept = table.load(D)
    assert kept is not None
    assert kept.fetched_at > clock.now() - 60


def damage(path: Path, name: str) -> None:
    """Spoil the first page of a table or an index."""
    with closing(sqlite3.connect(path)) as db:
        query = "SELECT rootpage FROM sqlite_master WHERE name = ?"
        (number,) = db.execute(query, (name,)).fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as file:
        file.seek((number - 1) * size)
        file.write(b"\xa5" * size)


async def test_a_damaged_cache_ends_the_upkeep(
    world: World, tmp_path: Path, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the relay begins it anew, and not at its next start."""
    monkeypatch.setattr(upkeep_rules, "_STEADY", 0.0)
    path = tmp_path / "policies.db"
    PolicyTable(path).close()
    damage(path, "policy_due")
    table = PolicyTable(path, check=False)
    with pytest.raises(StorageDamagedError) as caught:
        await asyncio.wait_for(Upkeep(world, table, clock).refresher.run(), 10.0)
    assert caught.value.path == path
    table.close()
