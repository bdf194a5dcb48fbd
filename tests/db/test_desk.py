"""The operator's desk: the same queue from another process's connection."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.db import desk as desk_module
from relay.db.desk import Desk
from relay.db.spool import Spool
from relay.envelope import Envelope, Message


def message(name: str, *recipients: str, created: float = 100.0) -> Message:
    to = recipients or ("a@d.test",)
    return Message(name, Envelope(None, to), b"Subject: x\r\nX: y\r\n\r\nz\r\n", created)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(tmp_path / "spool-0.db")
    yield spool
    spool.close()


@pytest.fixture
def desk(tmp_path: Path, spool: Spool) -> Desk:
    return Desk(tmp_path)


def ids(desk: Desk, domain: str | None = None) -> list[str]:
    return [record.id for record in desk.jobs(domain)]


def test_before_the_first_start_there_is_an_empty_queue(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "none")
    assert (ids(desk), desk.find("Q1"), desk.header("Q1")) == ([], [], "")
    assert (desk.retry(["Q1.1"], 1.0), desk.drop(["Q1.1"])) == (0, 0)
    assert not (tmp_path / "none").exists()


async def test_jobs_come_in_order_whatever_the_page(
    spool: Spool, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk_module, "_NEXT", desk_module._NEXT.replace("1000", "2"))
    for name in ("Q2", "Q1", "Q3"):
        await spool.put(message(name, "a@d.test", "b@e.test", "c@f.test"), claimed=False)
    assert ids(desk) == [f"Q{message}.{job}" for message in (1, 2, 3) for job in (1, 2, 3)]
    assert ids(desk, "e.test") == ["Q1.2", "Q2.2", "Q3.2"]


async def test_a_listing_left_in_a_pager_lets_the_relay_tidy_its_journal(
    spool: Spool, desk: Desk
) -> None:
    await spool.put(message("Q1"), claimed=False)
    await spool.put(message("Q2"), claimed=False)
    listing = desk.jobs()
    assert next(listing).id == "Q1.1"
    await spool.put(message("Q3"), claimed=False)
    # the relay's thread is idle: nothing else is on its way
    blocked, *_ = spool._committer._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    assert not blocked
    assert [record.id for record in listing] == ["Q2.1", "Q3.1"]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("Q1", ["Q1.1", "Q1.2"]),
        ("Q1.2", ["Q1.2"]),
        ("Q1.9", []),
        ("Q", []),
        ("Q1.", []),
        ("Q1.²", []),
        ("Q1.1 OR 1=1", []),
        ("Q1.99999999999999999999", []),
        ("Q1.01", []),
        ("Q1\udcff", []),
        ("", []),
    ],
)
async def test_a_name_is_a_job_s_or_a_message_s(
    spool: Spool, desk: Desk, name: str, found: list[str]
) -> None:
    await spool.put(message("Q1", "a@d.test", "b@e.test"), claimed=False)
    assert [record.id for record in desk.find(name)] == found


async def test_the_null_path_is_shown_empty(spool: Spool, desk: Desk) -> None:
    await spool.put(message("Q1"), claimed=True)
    (record,) = desk.jobs()
    assert (record.sender, record.state, record.reason, record.last) == ("", "active", None, None)


async def test_the_header_without_the_body(spool: Spool, desk: Desk) -> None:
    await spool.put(message("Q1"), claimed=False)
    assert desk.header("Q1") == "Subject: x\r\nX: y"


async def test_retry_leaves_alone_what_is_under_way(spool: Spool, desk: Desk) -> None:
    await spool.put(message("A1"), claimed=True)
    assert desk.retry(["A1.1"], 1.0) == 0


async def test_the_last_job_dropped_takes_the_message_with_it(spool: Spool, desk: Desk) -> None:
    await spool.put(message("Q1", "a@d.test", "b@e.test"), claimed=False)
    assert desk.drop(["Q1.1"]) == 1
    assert await spool.body("Q1")
    assert desk.drop(["Q1.2"]) == 1
    assert desk.header("Q1") == ""


async def test_a_spool_of_another_worker_belongs_to_the_queue(
    spool: Spool, desk: Desk, tmp_path: Path
) -> None:
    other = Spool(tmp_path / "spool-1.db")
    await spool.put(message("Q1"), claimed=False)
    await other.put(message("Q2"), claimed=False)
    assert ids(desk) == ["Q1.1", "Q2.1"]
    assert desk.drop(["Q1.1", "Q2.1"]) == 2
    other.close()
