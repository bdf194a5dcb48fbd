"""A running relay looks after the policies it keeps, and warns when one protects less."""

import asyncio
from pathlib import Path

import pytest

from relay.clock import SystemClock
from relay.db.policies import PolicyTable
from relay.lab.world import World
from relay.mta_sts import refresh, upkeep
from relay.mta_sts.policy import CachedPolicy, parse_policy
from relay.storage import POLICIES
from tests.flow.conftest import PATIENCE, Run, violations
from tests.mta_sts.finding import GOOD, D

DAY = 86_400.0


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refresh, "_PAUSE", 0.05)
    monkeypatch.setattr(upkeep, "_STEADY", 0.0)


async def keep(directory: Path, text: str) -> None:
    """A policy fetched a day ago by a relay that has ended."""
    table = PolicyTable(directory / POLICIES)
    at = SystemClock().now() - DAY
    await table.save(CachedPolicy(D, "1", parse_policy(text.encode()), text, at), "delivery", at)
    table.close()


async def test_sts_66_an_idle_policy_is_refreshed(world: World, run: Run, tmp_path: Path) -> None:
    site = world.policy_host(D, GOOD, id="1")
    await keep(tmp_path / "var", GOOD)
    async with run():
        await site.requested(1, PATIENCE)


async def test_a_policy_that_protects_less_is_told(world: World, run: Run, tmp_path: Path) -> None:
    world.policy_host(D, GOOD.replace("enforce", "testing"), id="2")
    await keep(tmp_path / "var", GOOD)
    async with run() as relay, asyncio.timeout(PATIENCE):
        while not violations(relay.settings):  # noqa: ASYNC110 - a database has no event
            await asyncio.sleep(0.05)
    (record,) = violations(relay.settings)
    assert (record["reason"], record["action"], record["mode"]) == (
        "policy-weakened",
        "noted",
        "enforce",
    )
    assert (record["mx"], record["queue_id"]) == (None, None)
    assert record["policy"]["id"] == "1"
