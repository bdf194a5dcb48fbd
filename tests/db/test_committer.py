"""The committer: many to a transaction, and no trouble of one is that of another."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from relay.db.committer import Committer
from relay.errors import (
    StorageClosedError,
    StorageDamagedError,
    StorageError,
    StorageFullError,
)

Insert = Callable[[sqlite3.Connection], int]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.db"


def made(path: Path, patience: float = 0.1) -> Committer:
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=patience)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("CREATE TABLE IF NOT EXISTS t (x UNIQUE)")
    return Committer(db, path)


@pytest.fixture
def committer(path: Path) -> Iterator[Committer]:
    committer = made(path)
    yield committer
    committer.close()


Run = Callable[[Insert], "asyncio.Future[int]"]


@pytest.fixture(params=[False, True], ids=["by the thread", "by the event loop"])
def run(committer: Committer, request: pytest.FixtureRequest) -> Run:
    """Have an operation done by either."""
    return partial(committer.run, light=request.param)


def insert(value: object) -> Insert:
    return lambda db: db.execute("INSERT INTO t VALUES (?)", (value,)).rowcount


def rows(path: Path) -> list[object]:
    db = sqlite3.connect(path)
    values = [row[0] for row in db.execute("SELECT x FROM t ORDER BY x")]
    db.close()
    return values


async def test_what_is_answered_is_committed(run: Run, path: Path) -> None:
    assert await run(insert(1)) == 1
    assert rows(path) == [1]


def fail(error: BaseException) -> Insert:
    def operation(db: sqlite3.Connection) -> int:
        raise error

    return operation


async def crowd(committer: Committer, size: int) -> None:
    """Have so many operations done in one transaction."""
    loop, begun, gate = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

    def block(db: sqlite3.Connection) -> bool:
        loop.call_soon_threadsafe(begun.set)
        return gate.wait()

    first = committer.run(block)
    await begun.wait()
    rest = []
    for number in range(size):
        rest.append(committer.run(insert(number)))
        if number % 10 == 9:  # not all of them handed over together
            for _ in range(20):
                await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(first, *rest)


async def test_what_waits_goes_into_one_transaction(committer: Committer) -> None:
    said: list[str] = []
    await committer.run(lambda db: db.set_trace_callback(said.append))
    await crowd(committer, 50)
    assert [one for one in said if "INSERT" not in one] == [
        "COMMIT",
        *["BEGIN IMMEDIATE", "COMMIT"] * 2,
    ]


async def test_who_comes_while_the_loop_is_busy_is_waited_for(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.db.committer._PATIENCE", 3600)
    committer, said = made(path), list[str]()
    await committer.run(lambda db: db.set_trace_callback(said.append))
    answers = []
    for number in range(40):
        answers.append(committer.run(insert(number)))
        for _ in range(10):
            await asyncio.sleep(0)
    await asyncio.gather(*answers)
    committer.close()
    assert [one for one in said if "INSERT" not in one] == ["COMMIT", "BEGIN IMMEDIATE", "COMMIT"]


@pytest.mark.parametrize(
    ("bound", "value"),
    [
        pytest.param("_TURNS", 5, id="a loop that brings no more"),
        pytest.param("_PATIENCE", 0.001, id="a loop that never ceases to"),
        pytest.param("_BATCH", 3, id="as many as a transaction holds"),
    ],
)
async def test_there_is_a_bound_to_waiting(
    path: Path, monkeypatch: pytest.MonkeyPatch, bound: str, value: float
) -> None:
    for name, none in (("_TURNS", 1 << 60), ("_PATIENCE", 3600), ("_BATCH", 1 << 60)):
        monkeypatch.setattr(f"relay.db.committer.{name}", value if name == bound else none)
    committer = made(path)
    async with asyncio.timeout(5):
        await asyncio.gather(*(committer.run(insert(number)) for number in range(3)))
    committer.close()


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(insert("\ud800"), id="text that is no Unicode"),
        pytest.param(insert(1 << 70), id="a number too large"),
        pytest.param(insert({}), id="a type of no column"),
        pytest.param(lambda db: db.execute("SELEKT"), id="no SQL"),
        pytest.param(lambda db: int("x"), id="an error of another kind"),
        pytest.param(fail(KeyError("x")), id="a bug"),
        pytest.param(fail(MemoryError()), id="no memory"),
        pytest.param(fail(DeprecationWarning("old")), id="a warning turned error"),
    ],
)
async def test_one_operation_s_trouble_is_its_own(run: Run, path: Path, trouble: Insert) -> None:
    work = [insert(1), trouble, insert(2)]
    answers = await asyncio.gather(*map(run, work), return_exceptions=True)
    assert [type(answer) for answer in answers] == [int, StorageError, int]
    assert rows(path) == [1, 2]


async def test_a_failed_operation_leaves_nothing_half_done(run: Run, path: Path) -> None:
    def half(db: sqlite3.Connection) -> int:
        return insert(1)(db) + insert(1)(db)

    with pytest.raises(StorageError, match="UNIQUE"):
        await run(half)
    assert rows(path) == []


async def test_another_process_in_the_way_is_transient(run: Run, path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    work = [run(insert(number)) for number in range(3)]
    answers = await asyncio.gather(*work, return_exceptions=True)
    other.execute("ROLLBACK")
    other.close()
    assert [str(answer) for answer in answers] == [f"{path}: database is locked"] * 3
    assert await run(insert(9)) == 1


async def test_another_process_is_waited_for_but_the_loop_goes_on(path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    committer = made(path, patience=60)
    other.execute("BEGIN IMMEDIATE")
    answer = committer.run(insert(1), light=True)
    for _ in range(100):
        await asyncio.sleep(0)
    assert not answer.done()
    other.execute("ROLLBACK")
    other.close()
    async with asyncio.timeout(5):
        assert await answer == 1
    committer.close()


async def test_a_bug_is_logged_with_its_traceback_and_told_in_plain_words(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(StorageError, match="an internal error; the relay's log tells more"):
        await run(fail(KeyError("x")))
    assert "Traceback" in caplog.text
    assert "KeyError: 'x'" in caplog.text


async def test_when_the_thread_ends_nobody_waits_for_ever(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    committer = Committer(db, path)
    work = [committer.run(one) for one in (fail(SystemExit()), insert(1), insert(2))]
    async with asyncio.timeout(5):
        answers = await asyncio.gather(*work, return_exceptions=True)
    assert [type(answer) for answer in answers] == [StorageClosedError] * 3
    with pytest.raises(StorageClosedError):
        await _after(committer)
    assert "the storage's thread has ended" in caplog.text
    committer.close()


def who(db: sqlite3.Connection) -> int:
    return threading.get_ident()


async def test_the_event_loop_does_what_is_light(committer: Committer) -> None:
    assert await committer.run(who, light=True) == threading.get_ident()
    assert await committer.run(who) != threading.get_ident()


async def test_what_is_light_is_the_thread_s_beside_what_is_not(committer: Committer) -> None:
    first = [committer.run(who, light=True) for _ in range(2)]
    light, second, heavy = await asyncio.gather(*first, committer.run(who))
    assert light == second == heavy != threading.get_ident()


async def test_the_event_loop_does_so_many_and_no_more(
    committer: Committer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.db.committer._LIGHT", 3)
    for number, here in ((3, True), (4, False)):
        work = [committer.run(who, light=True) for _ in range(number)]
        assert {one == threading.get_ident() for one in await asyncio.gather(*work)} == {here}


class Held:
    """A heavy operation that goes on when it is told to."""

    def __init__(self) -> None:
        self.begun, self._gate = asyncio.Event(), threading.Event()
        self._loop = asyncio.get_running_loop()

    def __call__(self, db: sqlite3.Connection) -> bool:
        insert(1)(db)
        self._loop.call_soon_threadsafe(self.begun.set)
        self._gate.wait()
        return db.in_transaction

    async def go_on(self) -> None:
        """After the event loop has had its chance."""
        for _ in range(100):
            await asyncio.sleep(0)
        self._gate.set()


async def test_a_lull_beside_the_thread_s_work_begins_nothing(
    committer: Committer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.db.committer._BATCH", 2)
    held = Held()
    first, second = committer.run(held), committer.run(insert(2), light=True)
    third = committer.run(insert(3), light=True)
    await held.begun.wait()
    await held.go_on()
    assert [await first, await second, await third] == [True, 1, 1]


async def test_closing_keeps_the_loop_from_the_connection(path: Path) -> None:
    committer, held = made(path), Held()
    first = committer.run(held)
    closing = threading.Thread(target=committer.close)
    closing.start()
    await held.begun.wait()
    late = committer.run(who, light=True)
    await held.go_on()
    assert await first is True
    with pytest.raises(StorageClosedError):
        await late
    await asyncio.to_thread(closing.join)
    assert rows(path) == [1]


async def test_who_comes_while_the_thread_dies_does_not_wait_for_ever(path: Path) -> None:
    committer, held = made(path), Held()

    def die(db: sqlite3.Connection) -> int:
        held(db)
        raise SystemExit

    first = committer.run(die)
    await held.begun.wait()
    late = committer.run(insert(2))
    await held.go_on()
    async with asyncio.timeout(5):
        answers = await asyncio.gather(first, late, return_exceptions=True)
    assert [type(answer) for answer in answers] == [StorageClosedError] * 2
    committer.close()


async def test_only_the_thread_waits_for_another_process(path: Path) -> None:
    other, committer = sqlite3.connect(path, isolation_level=None), made(path)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageError, match="locked"):
        await committer.run(insert(1))
    assert committer._db.execute("PRAGMA busy_timeout").fetchone() == (0,)
    other.close()
    committer.close()


@pytest.mark.parametrize("code", [sqlite3.SQLITE_BUSY, sqlite3.SQLITE_BUSY_RECOVERY])
async def test_where_another_process_is_in_the_way_nothing_is_done_again(
    committer: Committer, code: int
) -> None:
    """Each of them alone would wait as long again."""
    done = list[int]()
    error = sqlite3.OperationalError("busy")
    error.sqlite_errorcode = code

    def note(db: sqlite3.Connection) -> int:
        done.append(1)
        return 1

    work = [committer.run(one) for one in (note, fail(error))]
    answers = await asyncio.gather(*work, return_exceptions=True)
    assert [type(answer) for answer in answers] == [StorageError] * 2
    assert done == [1]


async def test_a_transaction_that_is_lost_is_not_answered_as_kept(committer: Committer) -> None:
    with pytest.raises(StorageError, match="the transaction is lost"):
        await committer.run(lambda db: db.execute("ROLLBACK"), light=True)


async def test_a_commit_that_fails_is_the_trouble_of_who_brought_it(
    committer: Committer, path: Path
) -> None:
    def prepare(db: sqlite3.Connection) -> None:
        db.execute("CREATE TABLE u (x REFERENCES t (x) DEFERRABLE INITIALLY DEFERRED)")

    def orphan(db: sqlite3.Connection) -> int:
        return db.execute("INSERT INTO u VALUES (9)").rowcount

    committer._db.execute("PRAGMA foreign_keys = ON")
    await committer.run(prepare)
    work = [committer.run(one, light=True) for one in (insert(1), orphan, insert(2))]
    answers = await asyncio.gather(*work, return_exceptions=True)
    assert [type(answer) for answer in answers] == [int, StorageError, int]
    assert "FOREIGN KEY" in str(answers[1])
    assert rows(path) == [1, 2]


async def test_closing_ends_what_the_loop_has_begun(path: Path) -> None:
    committer = made(path)
    first = committer.run(insert(1), light=True)
    committer._hand_over()
    second = committer.run(insert(2), light=True)
    await asyncio.to_thread(committer.close)
    assert [await first, await second] == [1, 1]
    assert rows(path) == [1, 2]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_FULL, StorageFullError),
        (sqlite3.SQLITE_IOERR_WRITE, StorageFullError),
        (sqlite3.SQLITE_CORRUPT_INDEX, StorageDamagedError),
        (sqlite3.SQLITE_NOTADB, StorageDamagedError),
        (sqlite3.SQLITE_READONLY, StorageError),
    ],
)
async def test_trouble_says_what_it_means(run: Run, code: int, kind: type[StorageError]) -> None:
    error = sqlite3.OperationalError("trouble")
    error.sqlite_errorcode = code
    with pytest.raises(StorageError, match="trouble") as caught:
        await run(fail(error))
    assert type(caught.value) is kind


async def test_who_stops_waiting_does_not_stop_the_work(run: Run, path: Path) -> None:
    answer = run(insert(1))
    answer.cancel()
    await run(insert(2))
    assert rows(path) == [1, 2]


async def test_closing_ends_what_waits_and_refuses_what_comes_after(path: Path) -> None:
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.execute("CREATE TABLE t (x)")
    committer = Committer(db, path)
    work = [committer.run(insert(number)) for number in range(3)]
    await asyncio.to_thread(committer.close)
    assert await asyncio.gather(*work) == [1, 1, 1]
    with pytest.raises(StorageError, match="closed"):
        await _after(committer)
    assert rows(path) == [0, 1, 2]


class EndBetween:
    """An inbox at whose first filling another thread comes to close the committer."""

    def __init__(self, committer: Committer) -> None:
        self._inbox = committer._inbox
        self._ended = threading.Event()
        self.closing = threading.Thread(target=committer.close)

    def put(self, orders: Any) -> None:
        if orders is None:
            self._ended.set()
        elif self.closing.ident is None:
            self.closing.start()
            self._ended.wait(0.1)  # it is kept from that
        self._inbox.put(orders)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inbox, name)


async def test_the_end_does_not_overtake_what_came_before(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    committer = made(path)
    inbox = EndBetween(committer)
    monkeypatch.setattr(committer, "_inbox", inbox)
    async with asyncio.timeout(5):
        assert await committer.run(insert(1)) == 1
    await asyncio.to_thread(inbox.closing.join)


def test_a_loop_that_has_ended_harms_nobody(committer: Committer, run: Run, path: Path) -> None:
    async def ask() -> None:
        run(insert(1))

    asyncio.run(ask())
    assert asyncio.run(_after(committer)) == 1
    assert rows(path) == [1, 2]


async def _after(committer: Committer) -> int:
    async with asyncio.timeout(5):
        return await committer.run(insert(2))
