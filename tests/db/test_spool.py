"""The spool: what was accepted stays, whatever happens to the process or the disk."""

import asyncio
import errno
import mmap
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from relay.db import jobs as jobs_module
from relay.db.desk import Desk
from relay.db.spool import Spool
from relay.envelope import Envelope, Message
from relay.errors import StorageError, StorageFullError
from relay.evidence import Action, Failure, Finding, PolicySnapshot
from relay.queue.job import Last, Remainder, Settlement

FINDING = Finding(
    1.0,
    "d.test",
    PolicySnapshot("1", "enforce", ("mx.d.test",), 60, 61.0),
    Failure.MX_MISMATCH,
    "not listed",
    Action.REFUSED,
    "mx.e.test",
    ("192.0.2.1",),
    "Q1",
    2,
)


def message(name: str = "Q1", *recipients: str) -> Message:
    to = recipients or ("a@d.test", "b@e.test", "c@D.test")
    return Message(name, Envelope("me@a.test", to, eight_bit=True), b"x: y\r\n\r\nz\r\n", 100.0)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(tmp_path / "spool-0.db")
    yield spool
    spool.close()


async def test_one_job_for_each_recipient_domain(spool: Spool) -> None:
    claims = await spool.put(message(), claimed=True)
    assert [(one.job.id, one.job.domain, one.job.envelope.recipients) for one in claims] == [
        ("Q1.1", "d.test", ("a@d.test", "c@D.test")),
        ("Q1.2", "e.test", ("b@e.test",)),
    ]
    assert {one.body for one in claims} == {message().body}


MANY = [f"u@d{number}.test" for number in range(11)]


async def by_loop(spool: Spool, message: Message, **change: Any) -> tuple[bool, bool]:
    """Whether the event loop puts a message, and settles its first job, changed so."""
    said = set[bool]()
    here = threading.get_ident()
    spool._committer._db.set_trace_callback(
        lambda text: said.add(threading.get_ident() == here) if "job" in text else None
    )
    claims = await spool.put(message, claimed=True)
    (puts,) = said
    said.clear()
    notices = change.pop("notices", ())
    job = replace(claims[0].job, **change)
    await spool.settle(Settlement(job, None, notices), claimed=True)
    (settles,) = said
    return puts, settles


@pytest.mark.parametrize(
    ("length", "recipients", "change", "expected"),
    [
        pytest.param(65_536, MANY[:10], {}, (True, True), id="the most that is small"),
        pytest.param(65_537, MANY[:10], {}, (False, False), id="a large content"),
        pytest.param(5, MANY, {}, (False, True), id="many recipients"),
        pytest.param(5, MANY[:1], {"attempts": 1}, (True, False), id="a job that has waited"),
        pytest.param(5, MANY[:1], {"notices": (message("Q2"),)}, (True, False), id="a notice"),
    ],
)
async def test_the_event_loop_writes_what_is_small(
    spool: Spool,
    length: int,
    recipients: list[str],
    change: dict[str, Any],
    expected: tuple[bool, bool],
) -> None:
    one = replace(message("Q1", *recipients), body=b"x" * length)
    assert await by_loop(spool, one, **change) == expected


async def test_a_large_message_is_read_from_its_file_and_not_held(spool: Spool) -> None:
    octets = bytes(range(256)) * 4000
    file = memoryview(octets)[100:]
    large = replace(message("Q1", "a@d.test"), body=b"", spooled=file)
    (claim,) = await spool.put(large, claimed=True)
    assert claim.body is None
    assert await spool.body("Q1") == octets[100:]


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
@pytest.mark.parametrize(
    ("size", "stays"),
    [pytest.param(1_048_576, True, id="small"), pytest.param(1_048_577, False, id="large")],
)
async def test_a_large_message_is_not_left_mapped(
    spool: Spool, tmp_path: Path, size: int, stays: bool
) -> None:
    octets = (bytes(range(256)) * 4097)[:size]
    path = tmp_path / "content"
    path.write_bytes(octets)
    with path.open("r+b") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    assert mapped[:] == octets
    assert mapped_of(path) > 0
    large = replace(message("Q1", "a@d.test"), body=b"", spooled=memoryview(mapped))
    await spool.put(large, claimed=True)
    assert (mapped_of(path) > 0) == stays
    assert await spool.body("Q1") == octets


def mapped_of(path: Path) -> int:
    """KiB of this process's memory that the mapping of a file takes."""
    _, _, mapping = Path("/proc/self/smaps").read_text("utf-8").partition(f" {path}\n")
    return int(mapping.partition("\nRss:")[2].split()[0])


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
async def test_a_large_message_does_not_stay_in_memory(spool: Spool) -> None:
    octets = bytes(64 * 2**20)
    before = anonymous()
    large = replace(message("Q1", "a@d.test"), body=b"", spooled=memoryview(octets))
    await spool.put(large, claimed=True)
    assert anonymous() - before < 32 * 1024


def anonymous() -> int:
    """KiB of this process's memory that no file holds."""
    _, _, rest = Path("/proc/self/status").read_text("ascii").partition("\nRssAnon:")
    return int(rest.split()[0])


async def test_a_large_message_is_kept_where_memory_takes_no_advice(
    spool: Spool, tmp_path: Path
) -> None:
    class Stubborn(mmap.mmap):
        def madvise(self, *_: int) -> None:
            raise OSError(errno.EINVAL, "Invalid argument")

    path = tmp_path / "content"
    path.write_bytes(bytes(2 * 2**20))
    with path.open("r+b") as file:
        view = memoryview(Stubborn(file.fileno(), 0))
    large = replace(message("Q1", "a@d.test"), body=b"", spooled=view)
    (claim,) = await spool.put(large, claimed=True)
    assert await spool.body("Q1") == bytes(2 * 2**20)
    assert claim.job.size == 2 * 2**20


async def test_without_room_nothing_is_claimed(spool: Spool) -> None:
    """SQLite takes a limit below zero for none."""
    await spool.put(message(), claimed=False)
    assert [await spool.claim(1e9, limit) for limit in (0, -1)] == [[], []]


async def test_what_waits_is_claimed_when_due_and_only_once(spool: Spool) -> None:
    """SND-36."""
    assert await spool.put(message(), claimed=False) == []
    assert await spool.claim(99.0, 10) == []
    first = await spool.claim(100.0, 1)
    rest = await spool.claim(100.0, 10)
    assert sorted(one.job.id for one in (*first, *rest)) == ["Q1.1", "Q1.2"]
    assert first[0].job.envelope.eight_bit
    assert first[0].body is None
    assert await spool.body("Q1") == message().body
    assert await spool.claim(1e9, 10) == []


async def test_a_settled_message_leaves_nothing(spool: Spool, tmp_path: Path) -> None:
    for claim in await spool.put(message(), claimed=True):
        await spool.settle(Settlement(claim.job, None), claimed=True)
    with pytest.raises(StorageError, match="no content"):
        await spool.body("Q1")
    with sqlite3.connect(tmp_path / "spool-0.db") as db:
        assert db.execute("SELECT count(*) FROM message").fetchone() == (0,)
    db.close()


async def test_the_octets_of_a_settled_message_are_not_written_again(
    spool: Spool, tmp_path: Path
) -> None:
    journal = tmp_path / "spool-0.db-wal"
    large = replace(message("Q1", "a@d.test"), body=b"x: y\r\n\r\n" + b"z" * 50_000)
    (claim,) = await spool.put(large, claimed=True)
    kept = journal.stat().st_size
    await spool.settle(Settlement(claim.job, None), claimed=True)
    assert journal.stat().st_size - kept < 50_000 < kept


async def test_a_deferred_job_keeps_its_story(spool: Spool, tmp_path: Path) -> None:
    (claim,) = await spool.put(message("Q1", "a@d.test", "b@d.test"), claimed=True)
    last = Last(150.0, "mx.d.test", "451 no")
    rest = Remainder(("b@d.test",), 200.0, "answered", last, warned=True)
    await spool.settle(Settlement(claim.job, rest, (), (FINDING,)), claimed=True)
    (record,) = Desk(tmp_path).jobs()
    assert record.as_dict() == {
        "id": "Q1.1",
        "message_id": "Q1",
        "created": "1970-01-01T00:01:40.000Z",
        "sender": "me@a.test",
        "domain": "d.test",
        "recipients": ["b@d.test"],
        "size": len(message().body),
        "attempts": 1,
        "next_attempt": "1970-01-01T00:03:20.000Z",
        "state": "waiting",
        "reason": "answered",
        "last": {"time": "1970-01-01T00:02:30.000Z", "host": "mx.d.test", "reply": "451 no"},
    }
    (again,) = await spool.claim(200.0, 10)
    assert (again.job.attempts, again.job.warned) == (1, True)
    assert again.job.envelope.recipients == ("b@d.test",)


async def test_findings_travel_with_the_settlement_and_come_back_whole(spool: Spool) -> None:
    (claim,) = await spool.put(message("Q1", "a@d.test"), claimed=True)
    await spool.settle(Settlement(claim.job, None, (), (FINDING,)), claimed=True)
    await spool.add_findings([FINDING])
    pending = await spool.pending_findings(10)
    assert [finding for _, finding in pending] == [FINDING, FINDING]
    assert len({finding_id for finding_id, _ in pending}) == 2
    await spool.remove_findings([pending[0][0]])
    assert [one for one, _ in await spool.pending_findings(10)] == [pending[1][0]]


async def test_a_notice_is_kept_in_the_same_transaction(spool: Spool) -> None:
    """DSN-19: what becomes of it is what becomes of any message."""
    (claim,) = await spool.put(message("Q1", "a@d.test"), claimed=True)
    notice = Message("N1", Envelope(None, ("me@a.test",)), b"x: y\r\n\r\n", 100.0)
    (born,) = await spool.settle(Settlement(claim.job, None, (notice,)), claimed=True)
    assert (born.job.message_id, born.job.envelope.sender) == ("N1", None)


async def test_an_operator_drops_a_waiting_and_an_active_job(spool: Spool, tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    await spool.put(message("W1", "a@d.test"), claimed=False)
    (claim,) = await spool.put(message("A1", "a@d.test"), claimed=True)
    assert desk.drop(["W1.1", "A1.1", "no such"]) == 2
    assert [record.id for record in desk.jobs()] == ["A1.1"]
    assert await spool.revoked() == {"A1.1"}
    rest = Remainder(("a@d.test",), 200.0, "dns", Last(1.0, None, "451"), warned=False)
    notice = Message("N1", Envelope(None, ("me@a.test",)), b"x: y\r\n\r\n", 100.0)
    assert await spool.settle(Settlement(claim.job, rest, (notice,)), claimed=True) == []
    assert list(desk.jobs()) == []


async def test_an_operator_retries_what_waits(spool: Spool, tmp_path: Path) -> None:
    await spool.put(message("W1", "a@d.test"), claimed=False)
    assert await spool.claim(50.0, 10) == []
    assert Desk(tmp_path).retry(["W1.1"], 50.0) == 1
    assert [claim.job.id for claim in await spool.claim(50.0, 10)] == ["W1.1"]


async def test_a_crowd_for_one_domain_leaves_room_for_the_others(spool: Spool) -> None:
    crowd = [message(f"Q{number:03}", "a@crowd.test") for number in range(100)]
    few = [message(f"R{number}", f"a@d{number}.test") for number in range(5)]
    await asyncio.gather(*(spool.put(one, claimed=False) for one in (*crowd, *few)))
    taken = Counter(one.job.domain for one in await spool.claim(200.0, 20))
    assert (taken.pop("crowd.test"), len(taken)) == (5, 5)
    assert len(await spool.claim(200.0, 1000, ["crowd.test"])) == 0
    rest = [len(await spool.claim(200.0, 60)) for _ in range(3)]
    assert rest == [60, 35, 0]


async def test_turns_that_came_to_nothing_hide_nothing(spool: Spool, tmp_path: Path) -> None:
    gone = [message(f"Q{number:03}", f"a@d{number}.test") for number in range(50)]
    await asyncio.gather(
        *(spool.put(one, claimed=False) for one in (*gone, message("R", "a@z.test")))
    )
    Desk(tmp_path).drop([one.id for one in gone])
    assert [one.job.message_id for one in await spool.claim(200.0, 5)] == ["R"]


async def test_a_claim_costs_the_same_behind_a_crowd(spool: Spool) -> None:
    crowd = [message(f"Q{number:04}", "a@crowd.test") for number in range(3000)]
    await asyncio.gather(*(spool.put(one, claimed=False) for one in crowd))
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    spool._committer._db.set_progress_handler(count, 100)
    await spool.claim(200.0, 5)
    await spool.claim(200.0, 5, ["crowd.test"])
    spool._committer._db.set_progress_handler(None, 0)
    # hundreds of steps of SQLite's machine; a look at each of the crowd takes tens of thousands
    assert steps < 50


async def test_claiming_looks_at_no_more_than_it_takes(spool: Spool) -> None:
    plans = await spool._committer.run(
        lambda db: [
            row[3]
            for query, values in (
                (jobs_module._TURNS, (1.0, "[]", 5)),
                (jobs_module._DUE, ("d.test", 1.0, 5)),
                (jobs_module._NEXT_TURN, ("d.test",)),
                ("SELECT message_id, number FROM job WHERE dropped OR on_hold", ()),
            )
            for row in db.execute(f"EXPLAIN QUERY PLAN {query}", values)
        ]
    )
    assert [one for one in plans if "SCAN job" in one and "USING" not in one] == []
    assert [one for one in plans if "TEMP B-TREE" in one] == []


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *(("recipients", one) for one in ("not json", "[]", "[1]", '{"a": 1}', '"text"', "null")),
        *(("dsn", one) for one in ("not json", "[]", "{}", '{"recipients": []}')),
    ],
)
async def test_a_damaged_job_is_held_and_does_not_keep_those_behind_it(
    spool: Spool, tmp_path: Path, caplog: pytest.LogCaptureFixture, column: str, value: str
) -> None:
    for name in ("Q1", "Q2"):
        await spool.put(message(name, "a@d.test"), claimed=False)
    await spool._committer.run(
        lambda db: (
            db.execute(
                f"UPDATE job SET {column} = ? WHERE message_id = 'Q1'",  # noqa: S608
                (value,),
            ).rowcount
        )
    )
    assert [claim.job.id for claim in await spool.claim(200.0, 10)] == ["Q2.1"]
    assert await spool.claim(200.0, 10) == []
    held, _ = Desk(tmp_path).jobs()
    assert (held.id, held.state, held.reason) == ("Q1.1", "held", "damaged")
    assert "job Q1.1 is damaged" in caplog.text
    assert Desk(tmp_path).drop(["Q1.1"]) == 1


async def test_many_at_once_are_each_kept_once(spool: Spool, tmp_path: Path) -> None:
    names = [f"Q{number:03}" for number in range(300)]
    await asyncio.gather(*(spool.put(message(one, "a@d.test"), claimed=False) for one in names))
    assert [record.message_id for record in Desk(tmp_path).jobs()] == names


async def test_one_failure_does_not_take_the_others_with_it(spool: Spool) -> None:
    answers = await asyncio.gather(
        spool.put(message("Q1", "a@d.test"), claimed=False),
        spool.put(message("Q1", "a@d.test"), claimed=False),
        spool.put(message("Q2", "a@d.test"), claimed=False),
        return_exceptions=True,
    )
    assert [isinstance(answer, StorageError) for answer in answers] == [False, True, False]


async def test_srv_18_a_full_disk_refuses_new_mail_and_recovers(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool-0.db")
    run = spool._committer.run
    try:
        pages = await run(lambda db: db.execute("PRAGMA page_count").fetchone()[0])
        await run(lambda db: db.execute(f"PRAGMA max_page_count = {pages + 2}").fetchone())
        big = Message("B1", Envelope(None, ("a@d.test",)), bytes(100_000), 1.0)
        with pytest.raises(StorageFullError, match="full"):
            await spool.put(big, claimed=True)
        assert list(Desk(tmp_path).jobs()) == []
        await run(lambda db: db.execute("PRAGMA max_page_count = 100000").fetchone())
        assert len(await spool.put(big, claimed=True)) == 1
    finally:
        spool.close()


async def test_srv_18_with_too_little_room_only_new_mail_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "spool-0.db"
    spool = Spool(path)
    (claim,) = await spool.put(message("Q1", "a@d.test"), claimed=True)
    spool.close()
    spool = Spool(path, reserve=1 << 62)
    with pytest.raises(StorageFullError, match=r"less than storage\.reserve"):
        await spool.put(message("Q2", "a@d.test"), claimed=True)
    notice = Message("N1", Envelope(None, ("me@a.test",)), b"x: y\r\n\r\n", 100.0)
    await spool.settle(Settlement(claim.job, None, (notice,)), claimed=False)
    spool.close()
    assert [record.message_id for record in Desk(tmp_path).jobs()] == ["N1"]


async def test_srv_18_a_disk_that_cannot_be_written_refuses_and_recovers(spool: Spool) -> None:
    db = spool._committer._db  # its thread is idle
    db.execute("PRAGMA query_only = ON")
    with pytest.raises(StorageError, match="readonly"):
        await spool.put(message("Q1", "a@d.test"), claimed=True)
    db.execute("PRAGMA query_only = OFF")
    assert len(await spool.put(message("Q1", "a@d.test"), claimed=True)) == 1


_CHILD = """
import asyncio, sys
from pathlib import Path
from relay.db.spool import Spool
from relay.envelope import Envelope, Message
async def main():
    spool = Spool(Path(sys.argv[1]))
    for number in range(100000):
        name = f"Q{number:06}"
        envelope = Envelope(None, ("a@d.test",))
        await spool.put(Message(name, envelope, b"x: y\\r\\n", 1.0), claimed=True)
        print(name, flush=True)
asyncio.run(main())
"""


def _killed_amid_work(path: Path) -> list[bytes]:
    command = [sys.executable, "-c", _CHILD, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        told = [child.stdout.readline() for _ in range(50)]
        os.kill(child.pid, signal.SIGKILL)
        return told + child.stdout.readlines()


async def test_srv_17_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "spool-0.db"
    told = await asyncio.to_thread(_killed_amid_work, path)
    spool = Spool(path)
    await spool.release_all()
    claims = await spool.claim(2.0, 100_000)
    spool.close()
    kept = {claim.job.message_id for claim in claims}
    assert {line.decode().strip() for line in told if line.endswith(b"\n")} <= kept


def test_several_processes_create_the_databases_at_once(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from relay.db.spool import Spool;"
        "Spool(Path(sys.argv[1])).close()"
    )
    path = str(tmp_path / "spool-0.db")
    children = [subprocess.Popen([sys.executable, "-c", code, path]) for _ in range(4)]
    assert [child.wait() for child in children] == [0, 0, 0, 0]


async def test_a_spool_of_the_first_schema_opens(tmp_path: Path) -> None:
    path = tmp_path / "spool-0.db"
    db = sqlite3.connect(path)
    db.executescript((files("relay.db") / "migrations/spool/0001_start.sql").read_text("utf-8"))
    db.execute("PRAGMA user_version = 1")
    db.execute("INSERT INTO message VALUES ('Q1', x'78')")
    db.execute(
        "INSERT INTO job (message_id, number, domain, sender, recipients, smtputf8, eight_bit,"
        " requiretls, created, size, state, next_attempt)"
        """ VALUES ('Q1', 1, 'd.test', 'me@a.test', '["u@d.test"]', 0, 1, 0, 5, 1, 'waiting', 5)"""
    )
    db.commit()
    db.close()
    spool = Spool(path)
    (claim,) = await spool.claim(5.0, 10)
    spool.close()
    assert claim.job.envelope == Envelope("me@a.test", ("u@d.test",), eight_bit=True)


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "spool-0.db"
    Spool(path).close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(StorageError, match="newer version"):
        Spool(path)
