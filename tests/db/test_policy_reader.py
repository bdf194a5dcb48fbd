"""The policy cache as commands read it, and rows that are damaged."""

import sqlite3
from pathlib import Path

import pytest

from relay.address import Domain
from relay.db.policies import PolicyTable
from relay.db.policy_reader import read_policies, read_policy, read_versions
from relay.errors import StorageError
from relay.mta_sts.policy import CachedPolicy, FetchFailure, Policy

D = Domain("d.test")
POLICY = Policy(version="STSv1", mode="enforce", mx=("mx.d.test",), max_age=60)
FAILURE = FetchFailure("dns_error", "no answer", None, 1.0, 2.0, 1, 1.0)


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """A cache of one domain with a policy and a failure."""
    path = tmp_path / "policies.db"
    table = PolicyTable(path)
    await table.save(CachedPolicy(D, "1", POLICY, "the text", 5.0), "refresh", 9.0)
    await table.keep_failure(D, FAILURE, 9.0)
    table.close()
    return path


def test_it_is_what_was_written(path: Path) -> None:
    cached = CachedPolicy(D, "1", POLICY, "the text", 5.0, FAILURE)
    assert read_policy(path, D) == cached
    assert list(read_policies(path)) == [cached]
    (version,) = read_versions(path, D)
    assert (version.policy, version.text, version.seen_by) == (POLICY, "the text", "refresh")


def test_nothing_is_known_of_others(path: Path) -> None:
    assert read_policy(path, Domain("e.test")) is None
    assert read_versions(path, Domain("e.test")) == []


@pytest.mark.parametrize("change", ["policy = x'ff00'", "failure = '{'", "failure = '{\"x\": 1}'"])
def test_a_damaged_row_is_trouble_with_the_storage(path: Path, change: str) -> None:
    db = sqlite3.connect(path)
    db.execute(f"UPDATE policy SET {change}")  # noqa: S608
    db.commit()
    db.close()
    with pytest.raises(StorageError, match=r"policies\.db: the row of 'd\.test' is damaged"):
        read_policy(path, D)
    with pytest.raises(StorageError, match="damaged"):
        list(read_policies(path))
    table = PolicyTable(path)
    assert table.load(D) is None
    table.close()
