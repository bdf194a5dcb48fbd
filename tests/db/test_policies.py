"""The policy cache: what is saved comes back whole, in every process."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from relay.address import Domain
from relay.db import policies as policies_module
from relay.db.policies import PolicyTable
from relay.errors import StorageError
from relay.mta_sts.policy import CachedPolicy, FetchFailure, parse_policy

DOMAIN = Domain("d.test")
TEXT = "version: STSv1\nmode: enforce\nmx: *.d.test\nmx: mx.e.test\nmax_age: 86400\n"
POLICY = parse_policy(TEXT.encode())
FAILURE = FetchFailure("http_status_404", "not there", "2", 10.5, 20.5)
FOUND = CachedPolicy(DOMAIN, "1", POLICY, TEXT, 5.5)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "policies.db"


@pytest.fixture
def table(path: Path) -> Iterator[PolicyTable]:
    table = PolicyTable(path)
    yield table
    table.close()


@pytest.mark.parametrize(
    "cached",
    [
        pytest.param(FOUND, id="a policy"),
        pytest.param(CachedPolicy(DOMAIN, None, None, "", 0.0, FAILURE), id="a failure alone"),
        pytest.param(
            CachedPolicy(DOMAIN, "1", POLICY, TEXT, 5.5, FAILURE), id="a policy that lives on"
        ),
        pytest.param(CachedPolicy(DOMAIN), id="nothing"),
    ],
)
async def test_what_is_saved_comes_back_whole(
    table: PolicyTable, path: Path, cached: CachedPolicy
) -> None:
    await table.save(cached)
    assert table.load(DOMAIN) == cached
    again = PolicyTable(path)
    assert again.load(DOMAIN) == cached
    again.close()


async def test_a_later_save_takes_the_place_of_an_earlier(table: PolicyTable) -> None:
    await table.save(FOUND)
    assert table.load(DOMAIN) == FOUND
    later = CachedPolicy(DOMAIN, "2", POLICY, TEXT, 6.5)
    await table.save(later)
    assert table.load(DOMAIN) == later
    assert list(table.all()) == [later]


async def test_another_process_s_save_is_seen_at_once(table: PolicyTable, path: Path) -> None:
    other = PolicyTable(path)
    assert table.load(DOMAIN) is None
    await other.save(FOUND)
    assert table.load(DOMAIN) == FOUND
    other.close()


async def test_a_domain_known_is_not_read_again(table: PolicyTable) -> None:
    await table.save(FOUND)
    assert table.load(DOMAIN) is table.load(DOMAIN)


async def test_memory_is_bounded(table: PolicyTable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policies_module, "_REMEMBERED", 3)
    for number in range(10):
        assert table.load(Domain(f"d{number}.test")) is None
    assert len(table._memory) == 3


async def test_trouble_while_reading_leaves_what_is_remembered(
    table: PolicyTable, path: Path
) -> None:
    await table.save(FOUND)
    assert table.load(DOMAIN) == FOUND
    with closing(sqlite3.connect(path)) as db:
        db.execute("ALTER TABLE policy RENAME TO gone")
    assert table.load(Domain("e.test")) is None
    with pytest.raises(StorageError, match="no such table"):
        table.all()


async def test_all_come_by_domain(table: PolicyTable) -> None:
    for name in ("b.test", "a.test"):
        await table.save(CachedPolicy(Domain(name)))
    assert [cached.domain for cached in table.all()] == ["a.test", "b.test"]
