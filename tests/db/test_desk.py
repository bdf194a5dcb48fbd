"""The operator's desk: the same queue from another process's connection."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.db import desk as desk_module
from relay.db.desk import Desk
from relay.db.spool import Spool
from relay.envelope import Envelope, Message
from relay.queue.job import Attempted, Last, Remainder, Settlement
from relay.queue.selection import EVERYTHING, Selection


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
    return [record.id for record in desk.jobs(Selection(domain=domain))]


def test_before_the_first_start_there_is_an_empty_queue(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "none")
    assert (ids(desk), desk.find("Q1"), desk.header("Q1")) == ([], [], "")
    assert (desk.retry(["Q1.1"], 1.0), desk.drop(["Q1.1"])) == (0, 0)
    assert not (tmp_path / "none").exists()


async def test_jobs_come_in_order_whatever_the_page(
    spool: Spool, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk_module, "_BEHIND", desk_module._BEHIND.replace("1000", "2"))
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


async def defer(spool: Spool, name: str, domain: str, reason: str, host: str | None) -> None:
    (claim,) = await spool.put(message(name, f"a@{domain}"), claimed=True)
    last = Last(150.0, host, f"451 {name}")
    rest = Remainder(claim.job.envelope.recipients, 200.0, reason, last, warned=False)
    await spool.settle(Settlement(claim.job, rest), claimed=True)


@pytest.fixture
async def stocked(spool: Spool, desk: Desk) -> Desk:
    """Q1 to Q4: deferred in several ways, held, and still untried from somebody."""
    await defer(spool, "Q1", "d.test", "policy", "mx.d.test")
    await defer(spool, "Q2", "e.test", "unreachable", "mx.d.test")
    await defer(spool, "Q3", "e.test", "dns", None)
    envelope = Envelope("Me@a.test", ("a@d.test", "b@d.test"))
    await spool.put(Message("Q4", envelope, b"x: y\r\n\r\n", 900.0), claimed=False)
    desk.hold(["Q3"])
    return desk


SELECTIONS = [
    (Selection(domain="d.test"), ["Q1.1", "Q4.1"]),
    (Selection(mx="mx.d.test"), ["Q1.1", "Q2.1"]),
    (Selection(reason="policy"), ["Q1.1"]),
    (Selection(state="held"), ["Q3.1"]),
    (Selection(sender="me@A.test"), ["Q4.1"]),
    (Selection(sender=""), ["Q1.1", "Q2.1", "Q3.1"]),
    (Selection(created_before=500.0), ["Q1.1", "Q2.1", "Q3.1"]),
    (Selection(domain="e.test", reason="dns"), ["Q3.1"]),
    (Selection(domain="none.test"), []),
]


@pytest.mark.parametrize(
    ("selection", "found"), SELECTIONS, ids=[str(one) for one, _ in SELECTIONS]
)
async def test_what_fits_is_listed_counted_and_changed(
    stocked: Desk, selection: Selection, found: list[str]
) -> None:
    assert [record.id for record in stocked.jobs(selection)] == found
    assert sum(one.jobs for one in stocked.tally("domain", selection)) == len(found)
    assert [
        one.id for name in ("Q1", "Q2.1", "Q3", "Q4.1") for one in stocked.find(name, selection)
    ] == found
    assert stocked.retry(None, 1.0, selection) == len(found)
    assert stocked.drop(None, selection if selection.state is None else EVERYTHING) >= len(found)


async def test_counts_by_what_jobs_have_in_common(stocked: Desk) -> None:
    def counted(by: str) -> list[tuple[str, int, int]]:
        return [(one.value, one.jobs, one.recipients) for one in stocked.tally(by)]

    assert counted("domain") == [("d.test", 2, 3), ("e.test", 2, 2)]
    assert counted("mx") == [("", 2, 3), ("mx.d.test", 2, 2)]
    assert counted("reason") == [("", 1, 2), ("dns", 1, 1), ("policy", 1, 1), ("unreachable", 1, 1)]
    assert stocked.tally("domain")[0].oldest == 100.0


async def test_a_listing_goes_on_behind_a_job(stocked: Desk) -> None:
    assert [one.id for one in stocked.jobs(after="Q2.1")] == ["Q3.1", "Q4.1"]
    assert [one.id for one in stocked.jobs(after="no job at all")] != []


async def test_held_mail_rests_until_released_or_retried(spool: Spool, desk: Desk) -> None:
    for name in ("Q1", "Q2"):
        await spool.put(message(name), claimed=False)
    assert desk.hold(["Q1", "Q2"]) == 2
    assert desk.hold(["Q1"]) == 0
    assert await spool.claim(1000.0, 10) == []
    assert desk.release(["Q1"]) == 1
    assert desk.release(["Q1"]) == 0
    assert desk.retry(["Q2"], 1.0) == 1
    assert {one.job.id for one in await spool.claim(1000.0, 10)} == {"Q1.1", "Q2.1"}


async def test_an_active_job_is_held_when_its_attempt_ends(spool: Spool, desk: Desk) -> None:
    (claim,) = await spool.put(message("Q1"), claimed=True)
    assert desk.hold(["Q1"]) == 1
    assert await spool.revoked() == {"Q1.1"}
    rest = Remainder(("a@d.test",), 200.0, "dns", Last(1.0, None, "451"), warned=False)
    await spool.settle(Settlement(claim.job, rest), claimed=True)
    (record,) = desk.jobs()
    assert (record.state, record.next_attempt, record.attempts) == ("held", None, 1)
    assert await spool.revoked() == set()
    assert desk.release(["Q1"]) == 1
    assert len(await spool.claim(200.0, 10)) == 1


async def test_a_hold_of_an_active_job_can_be_taken_back(spool: Spool, desk: Desk) -> None:
    await spool.put(message("Q1"), claimed=True)
    desk.hold(["Q1"])
    assert desk.release(["Q1"]) == 1
    assert await spool.revoked() == set()


async def test_the_history_has_the_last_attempts(spool: Spool, desk: Desk) -> None:
    await spool.put(message("Q1"), claimed=False)
    for number in range(25):
        (claim,) = await spool.claim(1000.0, 1)
        last = Last(float(number), "mx.d.test", f"451 {number}")
        rest = Remainder(("a@d.test",), 200.0, "answered", last, warned=False)
        await spool.settle(Settlement(claim.job, rest), claimed=True)
    history = desk.history("Q1.1")
    assert [one.reply for one in history] == [f"451 {number}" for number in range(5, 25)]
    assert history[0] == Attempted(5.0, "answered", "mx.d.test", "451 5")
    assert desk.history("Q9.1") == []


@pytest.mark.parametrize("text", ["[", "7", "[7]", '[{"time": 1}]'])
async def test_a_damaged_history_stops_neither_the_relay_nor_the_operator(
    spool: Spool, desk: Desk, text: str
) -> None:
    await defer(spool, "Q1", "d.test", "dns", None)
    await spool._committer.run(
        lambda db: db.execute("UPDATE job SET history = ?", (text,)).rowcount
    )
    desk.history("Q1.1")
    (claim,) = await spool.claim(1000.0, 1)
    rest = Remainder(("a@d.test",), 200.0, "dns", Last(1.0, None, "451"), warned=False)
    await spool.settle(Settlement(claim.job, rest), claimed=True)


async def test_many_are_changed_page_by_page(spool: Spool, desk: Desk) -> None:
    names = [f"Q{number:04}" for number in range(2500)]
    await asyncio.gather(*(spool.put(message(name), claimed=False) for name in names))
    assert desk.hold(None, Selection(domain="d.test")) == 2500
    assert desk.drop(None, Selection(state="held")) == 2500
    assert ids(desk) == []


async def test_spools_of_several_workers_are_one_queue_in_order(
    spool: Spool, desk: Desk, tmp_path: Path
) -> None:
    other = Spool(tmp_path / "spool-1.db")
    for number, one in enumerate((spool, other, spool, other)):
        await one.put(message(f"Q{number}"), claimed=False)
    assert ids(desk) == ["Q0.1", "Q1.1", "Q2.1", "Q3.1"]
    assert [(one.value, one.jobs) for one in desk.tally("domain")] == [("d.test", 4)]
    other.close()


async def test_what_comes_next_and_what_came_last_of_a_domain(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    assert (desk.next_attempt("d.test"), desk.last_attempt("d.test")) == (None, None)
    for number, due in enumerate((900.0, 700.0)):
        spool = Spool(tmp_path / f"spool-{number}.db")
        (claim,) = await spool.put(message(f"Q{number}"), claimed=True)
        last = Last(500.0 - number, "mx.d.test", f"451 {number}")
        rest = Remainder(("a@d.test",), due, "policy", last, warned=False)
        await spool.settle(Settlement(claim.job, rest), claimed=True)
        await spool.put(message(f"E{number}", "a@e.test"), claimed=True)
        spool.close()
    assert desk.next_attempt("d.test") == 700.0
    assert desk.last_attempt("d.test") == Last(500.0, "mx.d.test", "451 0")
    assert (desk.next_attempt("e.test"), desk.last_attempt("e.test")) == (None, None)
    desk.hold(None)
    assert desk.next_attempt("d.test") is None
