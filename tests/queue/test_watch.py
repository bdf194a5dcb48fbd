"""The watch on mail kept back, with a real store and another side that follows a script."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from relay.db.desk import Desk
from relay.db.spool import Spool
from relay.envelope import Envelope, Message
from relay.errors import StorageDamagedError, StorageError
from relay.outcome import Prospect
from relay.queue import watch
from relay.queue.job import Last, Remainder, Settlement
from relay.queue.watch import View, Watch

PATIENCE = 20.0
NOW, LATER = 1000.0, 5000.0


class StillClock:
    """A clock that stands still."""

    def now(self) -> float:
        return NOW


class Side:
    """The other side: which policy domains are mended, and who was looked at."""

    def __init__(self) -> None:
        self.good: set[str] = set()
        self.looks: Counter[str] = Counter()
        self.under_way = self.most = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.grown = asyncio.Event()
        self.policy_domain: Callable[[str], str] = lambda domain: domain
        self.known: Callable[[str], object] = lambda _: None
        self.told: list[str] = []

    async def look(self, domain: str) -> Prospect:
        name = self.policy_domain(domain)
        self.looks[name] += 1
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        self.grown.set()
        await self.gate.wait()
        self.under_way -= 1
        return Prospect(name, "mx.test" if name in self.good else None, "verified TLSv1.3")

    def view(self, first: float | None = 0.01) -> View:
        return View(lambda domain: self.policy_domain(domain), self.known, self.look, first)

    def hear(self, seen: Prospect, text: str) -> None:
        self.told.append(text)
        self.grown.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for what looks bring about."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self.grown.clear()
                await self.grown.wait()


@pytest.fixture
async def spool(tmp_path: Path) -> AsyncIterator[Spool]:
    spool = Spool(tmp_path / "spool-0.db")
    yield spool
    spool.close()


@pytest.fixture
async def side() -> Side:
    return Side()


async def keep_back(spool: Spool, name: str, domain: str, reason: str = "policy") -> Settlement:
    envelope = Envelope("me@a.test", (f"u@{domain}",))
    (claim,) = await spool.put(Message(name, envelope, b"x", NOW), claimed=True)
    last = Last(NOW, None, "451 later")
    settlement = Settlement(
        claim.job, Remainder(envelope.recipients, LATER, reason, last, warned=False)
    )
    await spool.settle(settlement, claimed=False)
    return settlement


@asynccontextmanager
async def watching(spool: Spool, side: Side, first: float | None = 0.01) -> AsyncIterator[Watch]:
    made = Watch(spool, side.view(first), side.hear, StillClock(), lambda: 0.5)
    task = asyncio.ensure_future(made.run())
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()


async def test_what_the_store_has_and_what_comes_is_watched(spool: Spool, side: Side) -> None:
    await keep_back(spool, "Q1", "d.test")
    async with watching(spool, side) as made:
        await side.until(lambda: side.looks["d.test"] >= 2)
        made.note(await keep_back(spool, "Q2", "e.test", "tls-floor"))
        made.note(await keep_back(spool, "Q3", "f.test", "answered"))
        await side.until(lambda: side.looks["e.test"] >= 1)
        side.good.add("e.test")
        await side.until(lambda: bool(side.told))
    assert side.told == ["mx.test verifies again: 1 message for e.test leaves now"]
    assert side.looks.keys() == {"d.test", "e.test"}


async def test_all_of_a_domain_leaves_page_by_page(
    spool: Spool, side: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_PAGE", 2)
    for number in range(5):
        await keep_back(spool, f"Q{number}", f"{number % 3}.d.test")
    await keep_back(spool, "Q9", "e.test")
    side.good.add("hub.test")
    side.policy_domain = lambda domain: "hub.test" if domain.endswith(".d.test") else domain
    async with watching(spool, side):
        await side.until(lambda: bool(side.told))
    assert side.told == ["mx.test verifies again: 5 messages for hub.test leave now"]
    due = {job.domain: job.next_attempt for job in Desk(tmp_path).jobs()}
    assert due == {"0.d.test": NOW, "1.d.test": NOW, "2.d.test": NOW, "e.test": LATER}


async def test_where_nothing_waits_any_more_nobody_looks(
    spool: Spool, side: Side, tmp_path: Path
) -> None:
    await keep_back(spool, "Q1", "d.test")
    side.gate.clear()
    async with watching(spool, side) as made:
        await side.until(lambda: side.looks["d.test"] == 1)
        Desk(tmp_path).drop(["Q1"])
        side.gate.set()
        made.note(await keep_back(spool, "Q2", "e.test"))
        await side.until(lambda: side.looks["e.test"] >= 5)
        assert side.looks["d.test"] == 1
        made.note(await keep_back(spool, "Q3", "d.test"))
        await side.until(lambda: side.looks["d.test"] == 2)


async def test_few_domains_are_looked_at_at_a_time(spool: Spool, side: Side) -> None:
    for number in range(30):
        await keep_back(spool, f"Q{number}", f"d{number}.test")
    side.gate.clear()
    async with watching(spool, side):
        await side.until(lambda: side.under_way == 10)
        side.gate.set()
        await side.until(lambda: len(side.looks) == 30)
    assert side.most == 10


async def test_more_domains_than_are_watched_come_in_when_others_leave(
    spool: Spool, side: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_DOMAINS", 2)
    for name in "abcd":
        await keep_back(spool, name.upper(), f"{name}.test")
    async with watching(spool, side):
        await side.until(lambda: len(side.looks) == 2)
        assert side.looks.keys() == {"a.test", "b.test"}
        Desk(tmp_path).drop(["A", "B"])
        await side.until(lambda: len(side.looks) == 4)


async def test_it_is_renewed_with_other_settings(spool: Spool, side: Side) -> None:
    await keep_back(spool, "Q1", "d.test")
    async with watching(spool, side, first=None) as made:
        made.note(await keep_back(spool, "Q2", "e.test"))
        made.renew(side.view(3600.0))  # taken up at once all the same
        await side.until(lambda: len(side.looks) == 2)
        made.renew(side.view(3600.0))
        await side.until(lambda: side.looks.total() == 4)


async def test_trouble_with_the_store_is_told_and_waited_out(
    spool: Spool, side: Side, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(watch, "_TICK", 0.01)
    await keep_back(spool, "Q1", "d.test")
    asked = spool.domains_kept_back
    failures = iter(["the disk is on fire"] * 3)

    async def failing(after: str, limit: int) -> list[str]:
        if why := next(failures, None):
            raise StorageError(why)
        return await asked(after, limit)

    monkeypatch.setattr(spool, "domains_kept_back", failing)
    with caplog.at_level(logging.WARNING):
        async with watching(spool, side):
            await side.until(lambda: side.looks["d.test"] == 1)
    assert caplog.messages == ["mail kept back by policies is not watched now: the disk is on fire"]


async def test_who_is_good_for_looks_alone_lets_mail_go_ever_more_seldom(
    spool: Spool, side: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often its policy changes."""
    monkeypatch.setattr(watch, "_TICK", 0.01)
    flapping = iter(range(1_000_000))
    side.known = lambda _: next(flapping)
    side.good.add("d.test")
    await keep_back(spool, "Q1", "d.test")
    async with watching(spool, side) as made:
        made.renew(side.view(3600.0))
        await side.until(lambda: bool(side.told))
        made.note(await keep_back(spool, "Q2", "d.test"))
        looks = side.looks["d.test"]
        await side.until(lambda: side.looks["d.test"] >= looks + 5)
        assert len(side.told) == 1
        made.renew(side.view(3600.0))  # whoever has changed the settings is not kept waiting
        await side.until(lambda: len(side.told) == 2)
    assert [job.next_attempt for job in Desk(tmp_path).jobs()] == [NOW, NOW]


async def test_what_comes_back_at_once_is_not_let_go_without_end(
    spool: Spool, side: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_PAGE", 2)
    for number in range(5):
        await keep_back(spool, f"Q{number}", "d.test")
    side.good.add("d.test")
    hasten = spool.hasten

    async def in_vain(domain: str, now: float, limit: int) -> int:
        count = await hasten(domain, now, limit)
        Desk(tmp_path).retry(
            [next(j.id for j in Desk(tmp_path).jobs() if j.next_attempt == NOW)], LATER
        )
        return count

    monkeypatch.setattr(spool, "hasten", in_vain)
    async with watching(spool, side):
        await side.until(lambda: bool(side.told))
    assert side.told == ["mx.test verifies again: 9 messages for d.test leave now"]


async def test_a_look_by_former_settings_decides_nothing(spool: Spool, side: Side) -> None:
    await keep_back(spool, "Q1", "d.test")
    side.gate.clear()
    async with watching(spool, side) as made:
        await side.until(lambda: side.under_way == 1)
        former, side.gate = side.gate, asyncio.Event()
        made.renew(side.view(3600.0))
        await side.until(lambda: side.under_way == 2)
        side.good.add("d.test")
        former.set()
        for name in ("e.test", "f.test", "g.test"):  # time for what it would have brought about
            await keep_back(spool, name, name)
        assert side.told == []
        side.gate.set()
        await side.until(lambda: len(side.told) == 1)


async def test_settings_may_change_while_the_store_is_read(
    spool: Spool, side: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.test", "b.test"):
        await keep_back(spool, name, name)
    asked, pages = spool.domains_kept_back, 0

    async def read(after: str, limit: int) -> list[str]:
        nonlocal pages
        pages += 1
        if pages == 2:
            made.renew(side.view())
        return await asked(after, limit)

    monkeypatch.setattr(spool, "domains_kept_back", read)
    async with watching(spool, side) as made:
        await side.until(lambda: side.looks.keys() == {"a.test", "b.test"})


async def test_mail_that_comes_while_its_domain_is_given_up_is_watched(
    spool: Spool, side: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await keep_back(spool, "Q1", "d.test")
    await keep_back(spool, "Q2", "e.test")
    asked = spool.domains_kept_back
    async with watching(spool, side) as made:
        await side.until(lambda: side.looks["d.test"] >= 1)

        async def read(after: str, limit: int) -> list[str]:
            page = await asked(after, limit)
            if after == "e.test" and not side.told:
                side.told.append("too late to be seen")
                made.note(await keep_back(spool, "Q3", "d.test"))
            return page

        monkeypatch.setattr(spool, "domains_kept_back", read)
        Desk(tmp_path).drop(["Q1"])
        await side.until(lambda: bool(side.told))
        looks = side.looks["d.test"]
        await side.until(lambda: side.looks["d.test"] > looks)


async def test_a_damaged_store_ends_it(
    spool: Spool, side: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the relay begins anew, as it does where anything else finds that out."""
    await keep_back(spool, "Q1", "d.test")

    async def damaged(_: str) -> bool:
        raise StorageDamagedError("malformed", tmp_path / "spool-0.db")

    monkeypatch.setattr(spool, "keeps_back", damaged)
    made = Watch(spool, side.view(0.01), side.hear, StillClock(), lambda: 0.5)
    with pytest.raises(StorageDamagedError):
        await asyncio.wait_for(made.run(), PATIENCE)
