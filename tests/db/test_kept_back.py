"""Which waiting mail a policy or our own least TLS keeps back, and letting it be due."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay.db.desk import Desk
from relay.db.spool import Spool
from relay.envelope import Envelope, Message
from relay.queue.job import Last, Remainder, Settlement

NOW, LATER = 1000.0, 5000.0


@pytest.fixture
async def spool(tmp_path: Path) -> AsyncIterator[Spool]:
    spool = Spool(tmp_path / "spool-0.db")
    yield spool
    spool.close()


async def put(spool: Spool, name: str, domain: str, reason: str, due: float = LATER) -> None:
    """A message that waits after an attempt in vain."""
    envelope = Envelope("me@a.test", (f"u@{domain}",))
    (claim,) = await spool.put(Message(name, envelope, b"x", NOW), claimed=True)
    last = Last(NOW, None, "451 later")
    rest = Remainder(envelope.recipients, due, reason, last, warned=False)
    await spool.settle(Settlement(claim.job, rest), claimed=False)


async def test_the_domains_by_reason_and_state(spool: Spool, tmp_path: Path) -> None:
    for number, (domain, reason) in enumerate(
        [
            ("c.test", "tls-floor"),
            ("a.test", "policy"),
            ("a.test", "policy"),
            ("b.test", "unreachable"),
            ("e.test", "answered"),
            ("f.test", "policy"),
            ("g.test", "policy"),
        ]
    ):
        await put(spool, f"Q{number}", domain, reason)
    assert Desk(tmp_path).hold(["Q6.1"]) == 1
    assert await spool.domains_kept_back("", 10) == ["a.test", "c.test", "f.test"]
    assert await spool.domains_kept_back("", 2) == ["a.test", "c.test"]
    assert await spool.domains_kept_back("c.test", 2) == ["f.test"]
    assert await spool.domains_kept_back("f.test", 2) == []
    kept = [one for one in "abcdefg" if await spool.keeps_back(f"{one}.test")]
    assert kept == ["a", "c", "f"]


async def test_only_what_is_kept_back_and_waits_is_hastened(spool: Spool, tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    for number in range(3):
        await put(spool, f"A{number}", "a.test", "policy")
    await put(spool, "B", "a.test", "answered")
    await put(spool, "C", "c.test", "policy")
    await put(spool, "D", "a.test", "policy", due=NOW - 1)
    await put(spool, "E", "a.test", "policy")
    assert desk.hold(["E.1"]) == 1
    assert [await spool.hasten("a.test", NOW, 2) for _ in range(3)] == [2, 1, 0]
    due = {job.message_id: job.next_attempt for job in desk.jobs()}
    assert due == {
        **dict.fromkeys(["A0", "A1", "A2"], NOW),
        "B": LATER,
        "C": LATER,
        "D": NOW - 1,
        "E": None,
    }
    assert {job.attempts for job in desk.jobs()} == {1}
    claims = await spool.claim(NOW, 10)
    assert sorted(one.job.message_id for one in claims) == ["A0", "A1", "A2", "D"]
