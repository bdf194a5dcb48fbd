"""The policy cache: what is saved comes back whole, in every process."""

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest

from relay.address import Domain
from relay.db import policies as policies_module
from relay.db.policies import PolicyTable
from relay.errors import StorageError
from relay.mta_sts.policy import CachedPolicy, FetchFailure, Policy, PolicyVersion, parse_policy

DOMAIN = Domain("d.test")
TEXT = "version: STSv1\nmode: enforce\nmx: *.d.test\nmx: mx.e.test\nmax_age: 86400\n"
POLICY = parse_policy(TEXT.encode())
FAILURE = FetchFailure(
    "http_status_404", "not there", "2", 10.5, 20.5, 3, 1.5, 9.5, earlier=(("1", 15.5),)
)
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
        pytest.param(
            CachedPolicy(DOMAIN, "1", POLICY, TEXT, 5.5, FAILURE), id="a policy that lives on"
        ),
    ],
)
async def test_what_is_saved_comes_back_whole(
    table: PolicyTable, path: Path, cached: CachedPolicy
) -> None:
    await table.save(cached, "delivery", 99)
    assert table.load(DOMAIN) == cached
    again = PolicyTable(path)
    assert again.load(DOMAIN) == cached
    again.close()


async def test_a_failure_alone_comes_back(table: PolicyTable) -> None:
    assert await table.keep_failure(DOMAIN, FAILURE, 99) is None
    alone = CachedPolicy(DOMAIN, failure=FAILURE)
    assert table.load(DOMAIN) == alone
    assert await table.keep_failure(DOMAIN, None, 99) == alone
    assert table.load(DOMAIN) == CachedPolicy(DOMAIN)
    assert table.versions(DOMAIN) == []


async def test_sts_69_a_failure_leaves_the_policy_as_it_is(table: PolicyTable) -> None:
    await table.save(FOUND, "delivery", 99)
    assert await table.keep_failure(DOMAIN, FAILURE, 99) == FOUND
    assert table.load(DOMAIN) == replace(FOUND, failure=FAILURE)


async def test_versions_are_kept_with_when_and_how_they_were_seen(table: PolicyTable) -> None:
    await table.save(FOUND, "delivery", 99)
    await table.save(replace(FOUND, fetched_at=7.5), "refresh", 99)
    text = TEXT.replace("enforce", "testing")
    weaker = CachedPolicy(DOMAIN, "2", parse_policy(text.encode()), text, 8.5)
    await table.save(weaker, "command", 99)
    first, second = table.versions(DOMAIN)
    assert first == PolicyVersion("1", POLICY, TEXT, 5.5, 7.5, 8.5, "delivery")
    assert second == PolicyVersion("2", weaker.policy or Policy(), text, 8.5, 8.5, None, "command")
    assert await table.forget(DOMAIN, 9.5)
    assert table.load(DOMAIN) is None
    assert [one.ended for one in table.versions(DOMAIN)] == [8.5, 9.5]
    assert not await table.forget(DOMAIN, 9.5)


async def test_history_is_bounded(table: PolicyTable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policies_module, "_VERSIONS", 3)
    for number in range(10):
        await table.save(replace(FOUND, record_id=str(number), fetched_at=number), "delivery", 99)
    assert [one.record_id for one in table.versions(DOMAIN)] == ["6", "7", "8", "9"]
    assert await table.forget_history(before=9, limit=100) == 2
    assert [one.record_id for one in table.versions(DOMAIN)] == ["8", "9"]


async def test_sts_74_what_a_wrong_clock_put_off_is_due(table: PolicyTable) -> None:
    await table.save(FOUND, "delivery", 365 * 86_400)
    (due,) = await table.claim_due(99.0, 5, lambda _: 86_400 * 2)
    assert due == FOUND
    assert await table.claim_due(99.0, 5, lambda _: 86_400 * 2) == []


async def test_what_is_due_is_given_to_one_process(table: PolicyTable, path: Path) -> None:
    for name in ("a.test", "b.test", "c.test"):
        await table.save(replace(FOUND, domain=Domain(name)), "delivery", ord(name[0]))
    other = PolicyTable(path)
    now = float(ord("b"))
    assert await table.claim_due(now - 2, 5, lambda _: now + 10) == []
    assert [one.domain for one in await table.claim_due(now, 1, lambda _: now + 10)] == ["a.test"]
    assert [one.domain for one in await other.claim_due(now, 5, lambda _: now + 9)] == ["b.test"]
    assert await table.claim_due(now, 5, lambda _: now) == []
    due = await table.claim_due(now + 10, 5, lambda _: now + 99)
    assert [one.domain for one in due] == ["c.test", "b.test", "a.test"]
    other.close()


def test_a_database_of_the_first_schema_is_brought_up(path: Path) -> None:
    first = files("relay.db") / "migrations" / "policies" / "0001_start.sql"
    old_failure = {"code": "dns_error", "message": "m", "record_id": None, "at": 8, "next_try": 9}
    row = {"version": "STSv1", "mode": "enforce", "mx": ["*.d.test", "mx.e.test"], "max_age": 86400}
    with closing(sqlite3.connect(path)) as db:
        db.executescript(first.read_text("utf-8"))
        insert = "INSERT INTO policy VALUES (?, ?, ?, ?, ?, ?)"
        failure = json.dumps(old_failure)
        db.execute(insert, ("d.test", "1", TEXT, json.dumps(row), 5.5, None))
        db.execute(insert, ("e.test", None, "", None, 0.0, failure))
        db.execute("PRAGMA user_version = 1")
        db.commit()
    with closing(PolicyTable(path)) as table:
        assert table.load(DOMAIN) == FOUND
        assert table.versions(DOMAIN) == [
            PolicyVersion("1", POLICY, TEXT, 5.5, 5.5, None, "delivery")
        ]
        kept = table.load(Domain("e.test"))
    assert kept is not None
    assert kept.failure == FetchFailure("dns_error", "m", None, 8, 9, count=1, since=8)
    assert kept.policy is None


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(TEXT.replace("\n", "\r\n"), id="CRLF"),
        pytest.param(TEXT + "\n\nx: \ufffd\u2028\n" + "y" * 60_000, id="strange and long"),
        pytest.param("", id="no text"),
    ],
)
async def test_the_text_comes_back_as_served(table: PolicyTable, text: str) -> None:
    cached = replace(FOUND, text=text)
    await table.save(cached, "delivery", 99)
    assert table.load(DOMAIN) == cached


@pytest.mark.parametrize("damage", [b"", b"\x00\xff\xff", "no policy\n\n", "version: STSv1"])
async def test_a_damaged_policy_is_void_and_is_mended(
    table: PolicyTable, path: Path, caplog: pytest.LogCaptureFixture, damage: bytes | str
) -> None:
    for mend in (
        lambda: table.save(FOUND, "delivery", 99),
        lambda: table.keep_failure(DOMAIN, FAILURE, 99),
        lambda: table.claim_due(99, 5, lambda _: 100),
    ):
        await table.save(FOUND, "delivery", 99)
        with closing(sqlite3.connect(path)) as db:
            db.execute("UPDATE policy SET policy = ?", (damage,))
            db.commit()
        assert table.load(DOMAIN) is None
        assert not await mend()
        assert caplog.records.pop().getMessage().startswith("the row of 'd.test' is damaged")
        list(table.all())


async def test_a_later_save_takes_the_place_of_an_earlier(table: PolicyTable) -> None:
    await table.save(FOUND, "delivery", 99)
    assert table.load(DOMAIN) == FOUND
    later = CachedPolicy(DOMAIN, "2", POLICY, TEXT, 6.5)
    await table.save(later, "delivery", 99)
    assert table.load(DOMAIN) == later
    assert list(table.all()) == [later]


class Watch:
    """The time by which others' writes are looked for."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    watch = Watch()
    monkeypatch.setattr(policies_module, "time", watch)
    return watch


async def test_another_process_s_save_is_seen_soon(
    table: PolicyTable, path: Path, watch: Watch
) -> None:
    other = PolicyTable(path)
    assert table.load(DOMAIN) is None
    await other.save(FOUND, "delivery", 99)
    watch.now += 0.009
    assert table.load(DOMAIN) is None, "not asked for each message"
    watch.now += 0.002
    assert table.load(DOMAIN) == FOUND
    other.close()


async def test_a_save_of_our_own_is_seen_at_once(table: PolicyTable, watch: Watch) -> None:
    assert table.load(DOMAIN) is None
    await table.save(FOUND, "delivery", 99)
    assert table.load(DOMAIN) == FOUND
    await table.keep_failure(DOMAIN, FAILURE, 99)
    assert table.load(DOMAIN) == replace(FOUND, failure=FAILURE)
    await table.forget(DOMAIN, 9)
    assert table.load(DOMAIN) is None


async def test_a_domain_known_is_not_read_again(table: PolicyTable) -> None:
    await table.save(FOUND, "delivery", 99)
    assert table.load(DOMAIN) is table.load(DOMAIN)


async def test_a_write_makes_only_its_domain_forgotten(
    table: PolicyTable, path: Path, watch: Watch
) -> None:
    await table.save(FOUND, "delivery", 99)
    remembered = table.load(DOMAIN)
    other = PolicyTable(path)
    await other.save(replace(FOUND, domain=Domain("e.test")), "delivery", 99)
    await other.claim_due(99, 9, lambda _: 100)
    watch.now += 1
    assert table.load(DOMAIN) is remembered
    await other.forget(DOMAIN, 9)
    watch.now += 1
    assert table.load(DOMAIN) is None
    other.close()


async def test_where_more_has_changed_than_is_told_all_is_forgotten(
    table: PolicyTable, path: Path, watch: Watch
) -> None:
    await table.save(FOUND, "delivery", 99)
    assert table.load(DOMAIN) == FOUND
    other = PolicyTable(path)
    changed = replace(FOUND, record_id="2")
    await other.save(changed, "delivery", 99)
    names = [Domain(f"d{number}.test") for number in range(6000)]
    await asyncio.gather(*(other.keep_failure(name, FAILURE, 99) for name in names))
    other.close()
    with closing(sqlite3.connect(path)) as db:
        (kept,) = db.execute("SELECT count(*) FROM change").fetchone()
    assert kept == 5000
    watch.now += 1
    assert table.load(DOMAIN) == changed


async def test_a_huge_policy_is_not_remembered(table: PolicyTable) -> None:
    await table.save(replace(FOUND, text=TEXT + "x: y\n" * 5000), "delivery", 99)
    first = table.load(DOMAIN)
    assert first is not None
    assert table.load(DOMAIN) == first
    assert not table._memory


async def test_memory_is_bounded(table: PolicyTable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policies_module, "_REMEMBERED", 3)
    for number in range(10):
        assert table.load(Domain(f"d{number}.test")) is None
    assert len(table._memory) == 3


async def test_trouble_while_reading_leaves_what_is_remembered(
    table: PolicyTable, path: Path
) -> None:
    await table.save(FOUND, "delivery", 99)
    assert table.load(DOMAIN) == FOUND
    with closing(sqlite3.connect(path)) as db:
        db.execute("ALTER TABLE policy RENAME TO gone")
    assert table.load(Domain("e.test")) is None
    with pytest.raises(StorageError, match="no such table"):
        list(table.all())


async def test_all_come_by_domain(table: PolicyTable) -> None:
    for name in ("b.test", "a.test"):
        await table.save(replace(FOUND, domain=Domain(name)), "delivery", 99)
    assert [cached.domain for cached in table.all()] == ["a.test", "b.test"]
