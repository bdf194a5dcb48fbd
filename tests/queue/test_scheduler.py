"""Stories of the running queue, with a real store and a delivery that follows a script."""

import asyncio
import logging
import sqlite3
import threading
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from functools import partial
from pathlib import Path

import pytest

from relay.db.desk import Desk
from relay.db.spool import Spool
from relay.envelope import Envelope, Message
from relay.errors import StorageError
from relay.evidence import Action, Failure, Finding
from relay.outcome import DeliveryResult, Outcome, Reason, Status
from relay.pace import Bound, FindBound
from relay.queue.job import Claim, Settlement
from relay.queue.line import Limits
from relay.queue.retry import Schedule
from relay.queue.scheduler import Scheduler
from relay.queue.settle import Rules
from relay.reply import Reply

PATIENCE = 20.0
DEFAULT = Limits()
HOUR = 3600.0
REPLIES = {
    Status.DELIVERED: Reply(250, "2.0.0", "ok"),
    Status.DEFERRED: Reply(451, "4.3.0", "later"),
    Status.FAILED: Reply(550, "5.1.1", "no such user"),
}


def alike(at_once: int, rate: float | None = None) -> FindBound:
    """The same bound for every domain."""
    return lambda _: Bound(at_once, rate)


class SetClock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.time = 1_000_000.0

    def now(self) -> float:
        return self.time


class Script:
    """A delivery that answers by the recipient's local part and may be held up by domain."""

    def __init__(self) -> None:
        self.log: list[tuple[str, str]] = []  # (domain, recipient) in the order begun
        self.bodies: list[bytes] = []
        self.since: list[float] = []
        self.anew: list[bool] = []
        self.open: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.slow: set[str] = set()
        self.running: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.grown = asyncio.Event()

    async def deliver(
        self, domain: str, envelope: Envelope, body: bytes, since: float, anew: bool
    ) -> DeliveryResult:
        self.since.append(since)
        self.anew.append(anew)
        self.log += [(domain, recipient) for recipient in envelope.recipients]
        self.bodies.append(body)
        self.grown.set()
        self.running[domain] += 1
        self.most |= self.running
        try:
            if domain in self.slow:
                await self.open[domain].wait()
        finally:
            self.running[domain] -= 1
        if envelope.recipients[0].startswith("bug"):
            raise ZeroDivisionError
        found = Finding(1.0, domain, None, Failure.MX_MISMATCH, "x", Action.REFUSED)
        return DeliveryResult(tuple(map(_outcome, envelope.recipients)), (found,))

    async def begun(self, count: int) -> list[tuple[str, str]]:
        """What was begun, once it is `count`."""
        async with asyncio.timeout(PATIENCE):
            while len(self.log) < count:
                self.grown.clear()
                await self.grown.wait()
        return self.log


def _outcome(recipient: str) -> Outcome:
    status = {"later": Status.DEFERRED, "never": Status.FAILED}.get(
        recipient.partition("@")[0], Status.DELIVERED
    )
    reason = None if status is Status.DELIVERED else Reason.ANSWERED
    return Outcome(recipient, status, REPLIES[status], reason, remote=True, host="mx.test")


class Told:
    """The settlements told, which tests wait for."""

    def __init__(self) -> None:
        self.settlements: list[Settlement] = []
        self.grown = asyncio.Event()

    def __call__(self, settlement: Settlement, result: DeliveryResult) -> None:
        self.settlements.append(settlement)
        self.grown.set()

    async def count(self, count: int) -> list[Settlement]:
        """The settlements, once there are `count`."""
        async with asyncio.timeout(PATIENCE):
            while len(self.settlements) < count:
                self.grown.clear()
                await self.grown.wait()
        return self.settlements


class House:
    """A scheduler with all it needs."""

    def __init__(self, spool: Spool, limits: Limits) -> None:
        self.clock, self.script, self.told = SetClock(), Script(), Told()
        self.kept: list[str] = []
        self.spool = spool
        numbers = iter(range(1000))
        rules = Rules(
            Schedule((60.0, 300.0), 5 * 24 * HOUR, 4 * HOUR),
            "relay.test",
            lambda: 0.5,
            lambda: f"N{next(numbers)}",
        )
        self.scheduler = Scheduler(spool, self.script.deliver, rules, self.clock, self.told, limits)

    async def accept(self, name: str, *recipients: str, sender: str | None = "me@a.test") -> None:
        content = b"Subject: x\r\n\r\n" + name.encode()
        await self.keep(Message(name, Envelope(sender, recipients), content, self.clock.now()))

    async def keep(self, message: Message) -> None:
        await self.scheduler.accept(message, partial(self.kept.append, message.id))


class Heard(logging.Handler):
    """Tells when something is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.event = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.event.set()


@pytest.fixture
def heard() -> Iterator[Heard]:
    """Listens to what the scheduler logs."""
    heard = Heard()
    logger = logging.getLogger("relay.queue")
    logger.addHandler(heard)
    yield heard
    logger.removeHandler(heard)


Build = Callable[..., AbstractAsyncContextManager[House]]


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(tmp_path / "spool-0.db")
    yield spool
    spool.close()


@pytest.fixture
def build(spool: Spool) -> Build:
    """Runs a scheduler on the spool; closed at the end of its block."""

    @asynccontextmanager
    async def building(
        limits: Limits = DEFAULT, stop_timeout: float = PATIENCE
    ) -> AsyncIterator[House]:
        house = House(spool, limits)
        running = asyncio.ensure_future(house.scheduler.run())
        try:
            yield house
        finally:
            await house.scheduler.aclose(stop_timeout)
            await running

    return building


async def test_what_is_accepted_is_delivered_at_once_and_leaves_nothing(
    build: Build, tmp_path: Path
) -> None:
    async with build() as house:
        await house.accept("Q1", "a@d.test", "b@e.test", "c@d.test")
        await house.told.count(2)
    assert sorted(house.script.log) == [
        ("d.test", "a@d.test"),
        ("d.test", "c@d.test"),
        ("e.test", "b@e.test"),
    ]
    assert list(Desk(tmp_path).jobs()) == []


async def test_srv_17_left_over_mail_is_delivered_after_a_crash(build: Build, spool: Spool) -> None:
    old = Message("Q1", Envelope(None, ("a@d.test",)), b"x: y\r\n\r\n", 1.0)
    await spool.put(old, claimed=True)  # and the relay died
    await spool.release_all()
    async with build() as house:
        await house.told.count(1)
    assert house.script.bodies == [old.body]


async def test_snd_17_only_the_deferred_recipient_is_tried_again(build: Build) -> None:
    async with build() as house:
        await house.accept("Q1", "a@d.test", "later@d.test", "never@d.test")
        first, bounce = await house.told.count(2)
        assert first.remainder is not None
        assert first.remainder.recipients == ("later@d.test",)
        assert bounce.job.envelope.sender is None
        assert bounce.job.envelope.recipients == ("me@a.test",)
        house.clock.time += 60.0
        await house.told.count(3)
    assert house.script.log[3:] == [("a.test", "me@a.test"), ("d.test", "later@d.test")]


async def test_what_is_not_due_is_left_alone(build: Build, spool: Spool) -> None:
    async with build() as house:
        await house.accept("Q1", "later@d.test")
        await house.told.count(1)
        house.clock.time += 59.9
        assert await spool.claim(house.clock.now(), 10) == []


async def test_a_clock_put_back_does_not_make_mail_wait_for_it(
    build: Build, heard: Heard, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with build() as house:
        house.clock.time += 4 * 365 * 24 * HOUR
        await house.accept("Q1", "later@d.test")
        await house.told.count(1)
        house.clock.time = 1_000_000.0
        await asyncio.wait_for(heard.event.wait(), PATIENCE)
        (record,) = Desk(tmp_path).jobs()
        assert record.created == house.clock.now()
        assert record.next_attempt == house.clock.now() + 300.0 * 1.1
        house.clock.time += 331.0
        await house.told.count(2)
    assert "the clock was put back: 1 jobs" in caplog.text


async def test_a_clock_that_was_wrong_before_the_start(
    build: Build, spool: Spool, heard: Heard
) -> None:
    await spool.put(Message("Q1", Envelope(None, ("a@d.test",)), b"x", 4e9), claimed=False)
    async with build() as house:
        await asyncio.wait_for(heard.event.wait(), PATIENCE)
        house.clock.time += 331.0
        await house.told.count(1)


async def test_snd_24_a_bounce_that_fails_makes_no_bounce(build: Build, tmp_path: Path) -> None:
    async with build() as house:
        await house.accept("Q1", "never@d.test", sender="never@a.test")
        await house.told.count(2)
    assert [notice.id for one in house.told.settlements for notice in one.notices] == ["N0"]
    assert list(Desk(tmp_path).jobs()) == []


async def test_mail_too_old_is_given_up_only_after_a_last_attempt(build: Build) -> None:
    async with build() as house:
        await house.accept("Q1", "later@d.test")
        await house.told.count(1)
        house.clock.time += 6 * 24 * HOUR
        told = await house.told.count(3)
    assert [len(one.notices) for one in told] == [0, 1, 0]
    assert house.script.log[1] == ("d.test", "later@d.test")
    # RFC 8461 §5.1: the last attempt, and no other, looks everything up anew
    assert house.script.anew == [False, True, False]


async def test_snd_37_a_domain_has_few_attempts_at_once(build: Build) -> None:
    async with build(Limits(per_domain=alike(3))) as house:
        house.script.slow.add("d.test")
        for number in range(10):
            await house.accept(f"Q{number}", f"u{number}@d.test")
        assert len(await house.script.begun(3)) == 3
        house.script.open["d.test"].set()
        await house.told.count(10)
    assert house.script.most["d.test"] == 3
    assert house.script.log == [("d.test", f"u{number}@d.test") for number in range(10)]


async def test_a_domain_with_a_rate_is_served_in_its_time_and_delays_no_other(
    build: Build,
) -> None:
    def bound(domain: str) -> Bound:
        return Bound(20, 20.0 if domain == "slow.test" else None)

    async with build(Limits(per_domain=bound)) as house:
        begun = asyncio.get_running_loop().time()
        for number in range(6):
            await house.accept(f"Q{number}", f"u{number}@slow.test")
        await house.accept("R", "u@fast.test")
        told = await house.told.count(7)
        assert asyncio.get_running_loop().time() - begun >= 5 / 20 - 0.01
    assert told[-1].job.domain == "slow.test"
    assert [one for one in house.script.log if one[0] == "slow.test"] == [
        ("slow.test", f"u{number}@slow.test") for number in range(6)
    ]


@pytest.mark.parametrize(
    "limits", [Limits(8, 4, alike(4)), Limits(1000, 200, alike(20))], ids=["few", "many"]
)
async def test_slow_domains_do_not_delay_another(build: Build, limits: Limits) -> None:
    async with build(limits) as house:
        house.script.slow |= {"slow.test", "dead.test"}
        for number in range(30):
            await house.accept(f"S{number}", f"u{number}@slow.test")
            await house.accept(f"D{number}", f"u{number}@dead.test")
        for number in range(5):
            await house.accept(f"Q{number}", f"u@d{number}.test")
        await house.told.count(5)
        assert {one.job.domain for one in house.told.settlements} == {
            f"d{number}.test" for number in range(5)
        }
        for domain in house.script.slow:
            house.script.open[domain].set()
        await house.told.count(65)
    assert len(house.script.log) == len(set(house.script.log)) == 65


async def test_mail_beyond_the_window_waits_in_the_store(build: Build, tmp_path: Path) -> None:
    async with build(Limits(4, 2, alike(2))) as house:
        house.script.slow.add("d.test")
        for number in range(20):
            await house.accept(f"Q{number:02}", f"u{number}@d.test")
        states = Counter(record.state for record in Desk(tmp_path).jobs())
        assert states == {"active": 2, "waiting": 18}
        house.script.open["d.test"].set()
        await house.told.count(20)
    assert len(set(house.script.log)) == 20


async def test_snd_22_mail_says_since_when_it_waits(build: Build) -> None:
    async with build(Limits(per_domain=alike(1))) as house:
        house.script.slow.add("d.test")
        begun = asyncio.get_running_loop().time()
        await house.accept("Q1", "a@d.test")
        await house.accept("Q2", "b@d.test")
        taken = asyncio.get_running_loop().time()
        house.script.open["d.test"].set()
        await house.told.count(2)
    assert begun <= house.script.since[0] <= house.script.since[1] <= taken


class SlowToSettle(Spool):
    """A spool that keeps settlements waiting until it is `open`."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.open = asyncio.Event()

    async def settle(self, settlement: Settlement, *, claimed: bool) -> list[Claim]:
        async with asyncio.timeout(PATIENCE):
            await self.open.wait()
        return await super().settle(settlement, claimed=claimed)


class TestSlowToSettle:
    @pytest.fixture
    def spool(self, tmp_path: Path) -> Iterator[SlowToSettle]:
        spool = SlowToSettle(tmp_path / "spool-0.db")
        yield spool
        spool.close()

    async def test_the_next_attempt_does_not_wait_for_it(
        self, build: Build, spool: SlowToSettle
    ) -> None:
        async with build(Limits(per_domain=alike(1))) as house:
            for number in range(3):
                await house.accept(f"Q{number}", f"u{number}@d.test")
            await house.script.begun(3)
            assert house.told.settlements == []
            spool.open.set()
            await house.told.count(3)
        assert house.script.most["d.test"] == 1

    async def test_but_not_without_end(
        self, build: Build, spool: SlowToSettle, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("relay.queue.attempts._UNSETTLED", 2)
        async with build(Limits(per_domain=alike(1))) as house:
            for number in range(5):
                await house.accept(f"Q{number}", f"u{number}@d.test")
            await house.script.begun(3)
            await house.accept("Q5", "u@e.test")
            await house.script.begun(4)
            assert house.script.log[-1] == ("e.test", "u@e.test")
            spool.open.set()
            await house.told.count(6)

    async def test_what_only_settles_is_not_cut(self, build: Build, spool: SlowToSettle) -> None:
        async with build(stop_timeout=0) as house:
            await house.accept("Q1", "u@d.test")
            await house.script.begun(1)
            await asyncio.sleep(0)
            asyncio.get_running_loop().call_later(0.05, spool.open.set)
        assert [one.job.id for one in house.told.settlements] == ["Q1.1"]


async def test_a_large_body_is_read_back_when_its_turn_comes(build: Build) -> None:
    async with build(Limits(per_domain=alike(1))) as house:
        house.script.slow.add("d.test")
        await house.accept("Q1", "a@d.test")
        large = Message("Q2", Envelope(None, ("b@d.test",)), b"x" * 100_000, 1.0)
        await house.keep(large)
        (waiting,) = house.scheduler._line._waiting["d.test"]
        assert waiting.body is None
        house.script.open["d.test"].set()
        await house.told.count(2)
    assert house.script.bodies[1] == large.body


async def test_large_bodies_are_read_back_only_while_there_is_memory(build: Build) -> None:
    async with build(Limits(memory=300_000)) as house:
        house.script.slow.add("slow.test")
        content = memoryview(b"x" * 100_000)
        for number, domain in enumerate(["slow.test"] * 4 + ["d.test"]):
            envelope = Envelope(None, (f"u{number}@{domain}",))
            await house.keep(Message(f"Q{number}", envelope, b"", 1.0, content))
        await house.told.count(1)
        assert house.script.log[-1] == ("d.test", "u4@d.test")
        assert house.script.running["slow.test"] == 2
        house.script.open["slow.test"].set()
        await house.told.count(5)
    assert {len(body) for body in house.script.bodies} == {100_000}
    assert house.script.most["slow.test"] == 2


async def test_a_client_that_has_gone_does_not_strand_its_mail(build: Build) -> None:
    async with build() as house:
        accepting = asyncio.ensure_future(house.accept("Q1", "a@d.test"))
        await asyncio.sleep(0)  # the commit is on its way
        accepting.cancel()
        await house.told.count(1)
    assert house.kept == ["Q1"]
    assert house.script.log == [("d.test", "a@d.test")]


async def test_a_bug_in_delivery_means_later(
    build: Build, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    async with build() as house:
        await house.accept("Q1", "bug@d.test")
        (settlement,) = await house.told.count(1)
    assert settlement.remainder is not None
    assert settlement.notices == ()
    assert "ZeroDivisionError" in caplog.text
    (record,) = Desk(tmp_path).jobs()
    assert (record.state, record.attempts) == ("waiting", 1)


async def test_a_fault_in_telling_is_logged_and_the_job_is_settled(
    spool: Spool, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    house = House(spool, Limits())

    def fail(settlement: Settlement, result: DeliveryResult) -> None:
        house.told(settlement, result)
        raise ZeroDivisionError

    house.scheduler._attempts._on_settled = fail
    await house.accept("Q1", "a@d.test")
    await house.told.count(1)
    await house.scheduler.aclose(PATIENCE)
    assert "telling of a settlement failed" in caplog.text
    assert list(Desk(tmp_path).jobs()) == []


_TROUBLE = """
  CREATE TRIGGER trouble BEFORE DELETE ON job BEGIN SELECT raise(ABORT, 'no space'); END"""


def _execute(directory: Path, statement: str) -> None:
    with closing(sqlite3.connect(directory / "spool-0.db")) as db:
        db.execute(statement)


async def test_storage_trouble_at_settling_never_delivers_again(
    build: Build, heard: Heard, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    async with build() as house:
        house.script.slow.add("d.test")
        await house.accept("Q1", "a@d.test")
        _execute(tmp_path, _TROUBLE)
        house.script.open["d.test"].set()
        await asyncio.wait_for(heard.event.wait(), PATIENCE)
        _execute(tmp_path, "DROP TRIGGER trouble")
        await house.told.count(1)
    assert "no space" in caplog.text
    assert house.script.log == [("d.test", "a@d.test")]
    assert list(Desk(tmp_path).jobs()) == []


async def test_a_message_whose_content_is_gone_is_kept_and_told_to_the_operator(
    build: Build, spool: Spool, caplog: pytest.LogCaptureFixture
) -> None:
    message = Message("Q1", Envelope(None, ("a@d.test",)), b"x", 1.0)
    await spool.put(message, claimed=False)
    await spool._committer.run(lambda db: db.execute("DELETE FROM message").rowcount)
    async with build() as house:
        (settlement,) = await house.told.count(1)
    assert settlement.remainder is not None
    assert "message Q1 has no content" in caplog.text
    assert house.script.log == []


async def test_dropped_mail_that_waits_for_its_turn_is_not_delivered(
    build: Build, tmp_path: Path
) -> None:
    async with build(Limits(per_domain=alike(1))) as house:
        house.script.slow.add("d.test")
        for name in ("Q1", "Q2", "Q3"):
            await house.accept(name, f"{name}@d.test")
        assert await asyncio.to_thread(Desk(tmp_path).drop, ["Q2.1"]) == 1
        (gone,) = await house.told.count(1)
        assert gone.job.id == "Q2.1"
        house.script.open["d.test"].set()
        await house.told.count(3)
    assert [recipient for _, recipient in house.script.log] == ["Q1@d.test", "Q3@d.test"]


async def test_held_mail_that_waits_for_its_turn_is_not_delivered(
    build: Build, tmp_path: Path
) -> None:
    desk = Desk(tmp_path)
    async with build(Limits(per_domain=alike(1))) as house:
        house.script.slow.add("d.test")
        for name in ("Q1", "Q2", "Q3"):
            await house.accept(name, f"{name}@d.test")
        assert await asyncio.to_thread(desk.hold, ["Q2"]) == 1
        (gone,) = await house.told.count(1)
        assert gone.job.id == "Q2.1"
        house.script.open["d.test"].set()
        await house.told.count(3)
        assert [(one.id, one.state) for one in desk.jobs()] == [("Q2.1", "held")]
        await asyncio.to_thread(desk.release, ["Q2"])
        await house.told.count(4)
    assert [recipient for _, recipient in house.script.log][2] == "Q2@d.test"


async def test_an_active_job_that_is_dropped_ends_with_its_attempt(
    build: Build, tmp_path: Path
) -> None:
    async with build() as house:
        house.script.slow.add("d.test")
        await house.accept("Q1", "never@d.test")
        await house.script.begun(1)
        await asyncio.to_thread(Desk(tmp_path).drop, ["Q1.1"])
        house.script.open["d.test"].set()
        await house.told.count(1)
    assert list(Desk(tmp_path).jobs()) == []
    assert len(house.script.log) == 1


async def test_retry_takes_effect_on_the_running_queue(build: Build, tmp_path: Path) -> None:
    async with build() as house:
        await house.accept("Q1", "later@d.test")
        await house.told.count(1)
        await asyncio.to_thread(Desk(tmp_path).retry, ["Q1.1"], house.clock.now())
        await house.told.count(2)
    assert len(house.script.log) == 2


async def test_closing_waits_for_attempts_and_starts_no_more(build: Build, tmp_path: Path) -> None:
    async with build(Limits(per_domain=alike(1))) as house:
        house.script.slow.add("d.test")
        await house.accept("Q1", "a@d.test")
        await house.accept("Q2", "b@d.test")
        await house.script.begun(1)
        closing = asyncio.ensure_future(house.scheduler.aclose(PATIENCE))
        await asyncio.sleep(0)
        house.script.open["d.test"].set()
        await closing
        with pytest.raises(StorageError, match="stopping"):
            await house.accept("Q3", "c@d.test")
    assert house.script.log == [("d.test", "a@d.test")]
    (left,) = Desk(tmp_path).jobs()
    assert (left.id, left.state, left.attempts) == ("Q2.1", "waiting", 0)


async def test_at_rest_mail_is_kept_and_no_attempt_begins(build: Build, tmp_path: Path) -> None:
    async with build(Limits(per_domain=alike(1))) as house:
        house.script.slow.add("d.test")
        await house.accept("Q1", "a@d.test")
        await house.accept("Q2", "b@d.test")
        await house.script.begun(1)
        house.scheduler.rest()
        await house.accept("Q3", "c@e.test")
        house.script.open["d.test"].set()
        await house.told.count(1)
    assert house.script.log == [("d.test", "a@d.test")]
    left = [(job.id, job.state, job.attempts) for job in Desk(tmp_path).jobs()]
    assert left == [("Q2.1", "waiting", 0), ("Q3.1", "waiting", 0)]


async def test_an_attempt_that_is_cut_waits_and_is_not_counted(
    build: Build, tmp_path: Path
) -> None:
    async with build(stop_timeout=0.0) as house:
        house.script.slow.add("d.test")
        await house.accept("Q1", "a@d.test")
        await house.script.begun(1)
    (left,) = Desk(tmp_path).jobs()
    assert (left.state, left.attempts, left.reason) == ("waiting", 0, None)


async def _let_others_run() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_snd_35_a_hurried_close_does_not_cut_a_settlement(
    build: Build, spool: Spool, tmp_path: Path
) -> None:
    gate = threading.Event()
    async with build() as house:
        house.script.slow.add("d.test")
        await house.accept("Q1", "a@d.test")
        await house.script.begun(1)
        blocked = spool._committer.run(lambda _: gate.wait())
        house.script.open["d.test"].set()
        await _let_others_run()
        assert not house.scheduler._attempts._delivering
        closing = asyncio.ensure_future(house.scheduler.aclose(0.0))
        await _let_others_run()
        gate.set()
        await asyncio.gather(blocked, closing)
    assert len(house.told.settlements) == 1
    assert list(Desk(tmp_path).jobs()) == []


async def test_a_look_at_the_queue_that_is_under_way_strands_nothing_at_the_end(
    build: Build, spool: Spool, tmp_path: Path
) -> None:
    await spool.put(Message("Q1", Envelope(None, ("a@d.test",)), b"x", 1.0), claimed=False)
    gate = threading.Event()
    blocked = spool._committer.run(lambda _: gate.wait())
    async with build(stop_timeout=0.0) as house:
        await _let_others_run()  # the first look begins by putting times right, then claims
        closing = asyncio.ensure_future(house.scheduler.aclose(0.0))
        await _let_others_run()
        gate.set()
        await asyncio.gather(blocked, closing)
        await _let_others_run()
        await spool.findings_lost()  # behind a claim that came after the release
        assert [job.state for job in Desk(tmp_path).jobs()] == ["waiting"]


async def test_findings_are_kept_with_the_settlement(build: Build, spool: Spool) -> None:
    async with build() as house:
        await house.accept("Q1", "a@d.test")
        await house.told.count(1)
    ((_, finding),) = await spool.pending_findings(10)
    assert finding.queue_id == "Q1"
