"""Fixtures of a finder in the lab's world."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.db.policies import PolicyTable
from relay.lab.world import World
from relay.mta_sts.finder import PolicyFinder
from tests.mta_sts.finding import SetClock, finder_in


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def table(tmp_path: Path) -> Iterator[PolicyTable]:
    table = PolicyTable(tmp_path / "policies.db")
    yield table
    table.close()


@pytest.fixture
def finder(world: World, table: PolicyTable, clock: SetClock) -> PolicyFinder:
    return finder_in(world, table, clock)
