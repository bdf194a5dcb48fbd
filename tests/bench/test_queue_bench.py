"""What a long queue costs: claims behind a crowd, memory with a window, an operator's commands.

Small by default; `BENCH=full pytest -s tests/bench` takes some minutes and prints the figures of
docs/performance.md.
"""

import asyncio
import os
import resource
import sqlite3
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TypeVar

import pytest

from relay.clock import SystemClock
from relay.db.connection import open_database
from relay.db.desk import Desk
from relay.db.spool import Spool
from relay.envelope import Envelope
from relay.outcome import DeliveryResult, Outcome, Status
from relay.queue.job import Settlement
from relay.queue.retry import Schedule
from relay.queue.scheduler import Scheduler
from relay.queue.selection import Selection
from relay.queue.settle import Rules
from relay.reply import Reply

T = TypeVar("T")

FULL = os.environ.get("BENCH") == "full"
CROWD = 200_000 if FULL else 2000
QUEUE = 1_000_000 if FULL else 5000
DELIVERED = 20_000 if FULL else 500
TAKEN = Reply(250, "2.0.0", "taken")
_JOB = """
  INSERT INTO job (message_id, number, domain, recipients, smtputf8, eight_bit, requiretls, created,
                   size, state, next_attempt)
  VALUES (?, 1, ?, '["u@d.test"]', 0, 0, 0, ?, 100, 'waiting', ?)"""


def fill(path: Path, jobs: Iterable[tuple[str, str]]) -> None:
    """Put due jobs (id, domain) straight into a spool."""
    now = SystemClock().now() - 1000.0
    with closing(open_database(path, "spool", durable=False)) as db:
        db.execute("BEGIN")
        for number, (name, domain) in enumerate(jobs):
            db.execute("INSERT INTO message VALUES (?, zeroblob(100))", (name,))
            db.execute(_JOB, (name, domain, now, now + number / 10_000))
        db.execute("COMMIT")


def timed(what: str, work: Callable[[], T]) -> T:
    begun = time.perf_counter()
    result = work()
    print(f"{what}: {(time.perf_counter() - begun) * 1000:.1f} ms")
    return result


def memory() -> int:
    """MiB this process has now."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * resource.getpagesize() // 2**20


async def test_claims_behind_a_crowd(tmp_path: Path) -> None:
    path = tmp_path / "spool-0.db"
    few = [(f"z{number}", f"d{number}.test") for number in range(50)]
    fill(path, [*((f"a{number:07}", "crowd.test") for number in range(CROWD)), *few])
    spool = Spool(path)
    now = SystemClock().now()
    begun = time.perf_counter()
    first = await spool.claim(now, 250)
    passed = await spool.claim(now, 250, ["crowd.test"])
    none = await spool.claim(now, 250, ["crowd.test"])
    print(
        f"\n{CROWD} due for one domain: three claims {(time.perf_counter() - begun) * 1000:.1f} ms"
    )
    spool.close()
    assert len({one.job.domain for one in first}) > 40
    assert len(first) + len(passed) >= 63 + 50
    assert none == []


async def deliver(
    domain: str, envelope: Envelope, body: bytes, since: float, anew: bool
) -> DeliveryResult:
    await asyncio.sleep(0)
    return DeliveryResult(
        tuple(Outcome(one, Status.DELIVERED, TAKEN) for one in envelope.recipients)
    )


class Counted:
    """Counts what is settled."""

    def __init__(self) -> None:
        self.count = 0
        self.enough = asyncio.Event()

    def __call__(self, settlement: Settlement, result: DeliveryResult) -> None:
        self.count += 1
        if self.count == DELIVERED:
            self.enough.set()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_memory_stays_flat_with_a_long_queue(tmp_path: Path) -> None:
    path = tmp_path / "spool-0.db"
    fill(path, ((f"q{number:07}", f"d{number % 1000}.test") for number in range(QUEUE)))
    before = memory()
    spool, counted = Spool(path), Counted()
    rules = Rules(Schedule((60.0,), 432_000.0, None), "relay.test", lambda: 0.5, lambda: "N")
    scheduler = Scheduler(spool, deliver, rules, SystemClock(), counted)
    begun = time.perf_counter()
    running = asyncio.ensure_future(scheduler.run())
    await asyncio.wait_for(counted.enough.wait(), 600)
    took = time.perf_counter() - begun
    grown = memory() - before
    await scheduler.aclose(10.0)
    await running
    spool.close()
    print(f"\n{QUEUE} queued: {counted.count / took:.0f} settled a second, {grown} MiB more memory")
    assert grown < 100


def test_an_operator_s_commands_on_a_long_queue(tmp_path: Path) -> None:
    path = tmp_path / "spool-0.db"
    fill(path, ((f"q{number:07}", f"d{number % 1000}.test") for number in range(QUEUE)))
    desk = Desk(tmp_path)
    print(f"\n{QUEUE} queued:")
    assert timed("count by domain", lambda: len(desk.tally("domain"))) == 1000
    shown = timed("first 1000", lambda: list(islice(desk.jobs(), 1000)))
    assert len(shown) == 1000
    one = Selection(domain="d7.test")
    assert timed("hold a domain", lambda: desk.hold(None, one)) == QUEUE // 1000
    assert timed("retry all", lambda: desk.retry(None, 1.0)) == QUEUE
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM turn").fetchone() == (1000,)
