"""Starting attempts when they are due and settling them; sees delivery as one callable."""

import asyncio
import logging
from asyncio import Future, Task
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import count

from relay.address import parse_mailbox
from relay.clock import Clock
from relay.envelope import Envelope, Message
from relay.errors import StorageClosedError, StorageError
from relay.outcome import DeliveryResult
from relay.pace import Bound, FindBound, Pace
from relay.queue.job import Claim, Job, Settlement
from relay.queue.patience import Spacing, pause
from relay.queue.room import Room
from relay.queue.settle import Rules, settle, settle_later
from relay.queue.share import Share
from relay.queue.store import QueueStore

log = logging.getLogger(__name__)

Deliver = Callable[[str, Envelope, bytes, float], Awaitable[DeliveryResult]]
"""Domain, envelope, body, and since when the mail is here (the loop's clock)."""
OnSettled = Callable[[Settlement, DeliveryResult], None]

_POLL = 0.5  # seconds; how soon an operator's command takes effect
_CLOCK_SLACK = 60.0  # seconds the clock may go back and nothing is done
_CLAIMS = 250  # taken on at a time
_FEW = 20  # claims waiting for a place: time to look for more
_BODY_LIMIT = 65_536  # octets of a body that may wait in memory; larger ones are read back
_NOTHING = DeliveryResult(())


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is done at a time: claims in memory, attempts in all, attempts for one domain, and
    the octets of the bodies that are read back for them."""

    window: int = 1000
    attempts: int = 200
    per_domain: FindBound = lambda _: Bound(20)
    memory: int = 256 * 2**20


class Scheduler:
    """The running queue of one relay.

    A claim holds a place in the window from the store to its settlement, and a slot while it is
    attempted. What finds no room in the window waits in the store, so memory does not grow with the
    queue. Both are shared fairly among domains: a slow one does not delay the others.
    """

    def __init__(
        self,
        store: QueueStore,
        deliver: Deliver,
        rules: Rules,
        clock: Clock,
        on_settled: OnSettled,
        limits: Limits = Limits(),
    ) -> None:
        """`on_settled` is told every settlement once it is safe.

        A job that the operator took back before its attempt is told as done, without an outcome.
        """
        self._store = store
        self._deliver = deliver
        self._rules = rules
        self._clock = clock
        self._on_settled = on_settled
        self._window = Share(limits.window, lambda _: limits.window)
        self._pace = Pace(limits.per_domain)
        self._turns: dict[str, asyncio.TimerHandle] = {}  # of domains that wait for their pace
        self._slots = Share(limits.attempts, lambda domain: self._pace.bound(domain).at_once)
        self._room = Room(limits.memory)
        self._waiting: dict[str, deque[Claim]] = {}  # for a slot, by domain
        self._behind = False  # the store may hold jobs that are due
        self._delivering: set[Task[None]] = set()  # attempts that may still be cut
        self._tasks: set[Task[None]] = set()
        self._wake = asyncio.Event()
        self._looking = asyncio.Lock()  # at what is due, in the store
        self._resting = False  # nothing more is started
        self._closing = asyncio.Event()
        self._broken: StorageClosedError | None = None  # nothing goes on in this storage
        self._offset: float | None = None  # of the time of day to the loop's own
        self._told: defaultdict[str, Spacing] = defaultdict(Spacing)

    def renew(self, rules: Rules, per_domain: FindBound) -> None:
        """Settle by these rules and bind domains by this from now on."""
        self._rules = rules
        self._pace.bound = per_domain

    async def accept(self, message: Message) -> None:
        """Keep a message; it is safe on return. Raises StorageError, and then nothing is kept.

        Cancelling leaves open which of the two it is, as a lost connection does.
        """
        if self._closing.is_set():
            raise StorageError("the relay is stopping")
        kept = self._store.put(message, claimed=self._admit(message))
        kept.add_done_callback(self._accepted)
        await asyncio.shield(kept)

    async def run(self) -> None:
        """Start what is due, until cancelled or at rest. Raises StorageClosedError."""
        while not self._resting:
            self._wake.clear()
            async with self._looking:
                await self._look()
            if self._broken:
                raise self._broken
            await _wait_for(self._wake, _POLL)

    async def _look(self) -> None:
        try:
            await self._correct_times()
            await self._forget_revoked()
            await self._claim_due()
        except StorageError as error:
            self._note(error, "the queue cannot be read")

    # Before the end: the later an attempt begins, the likelier it is cut with its final dot out
    def rest(self) -> None:
        """Start nothing more; what is accepted from now on waits in the store."""
        self._resting = True
        self._wake.set()
        self._waiting.clear()
        for turn in self._turns.values():
            turn.cancel()

    async def aclose(self, timeout: float) -> None:  # noqa: ASYNC109 - the operator's stop_timeout
        """Rest, accept nothing more; let attempts end for `timeout` seconds, then cut them.

        What was cut waits in the store, due at the next start.
        """
        self.rest()
        self._closing.set()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout)
        for task in self._delivering:
            task.cancel()
        # the others have delivered and only settle: cutting them would deliver twice
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            # a claim that is still on its way must not come after the release
            async with self._looking:
                await self._store.release_all()
        except StorageError as error:
            log.warning("the queue could not be left in order; the next start mends it: %s", error)

    # At the start, and when the clock was put back: mail must not wait for it to come round again
    async def _correct_times(self) -> None:
        now = self._clock.now()
        offset = now - asyncio.get_running_loop().time()
        if self._offset is not None and offset >= self._offset - _CLOCK_SLACK:
            self._offset = offset
            return
        latest = self._rules.schedule.latest(now)
        if corrected := await self._store.correct_times(now, latest):
            log.warning("the clock was put back: %d jobs get new times", corrected)
        self._offset = offset

    async def _forget_revoked(self) -> None:
        revoked = await self._store.revoked() if self._waiting else set()
        for domain, claims in list(self._waiting.items()):
            for claim in [one for one in claims if one.job.id in revoked]:
                claims.remove(claim)
                self._spawn(self._give_back(claim.job), domain)
            if not claims:
                del self._waiting[domain]

    async def _claim_due(self) -> None:
        limit = min((self._window.free + 1) // 2, _CLAIMS)
        full = self._window.full()
        claims = await self._store.claim(self._clock.now(), limit, full) if limit else []
        self._behind = bool(full) or bool(claims)
        self._take_on(claims)

    # Whether the message's jobs come straight into the window; else the store is to be asked
    def _admit(self, message: Message) -> bool:
        domains = {parse_mailbox(one).destination for one in message.envelope.recipients}
        has_room = not self._resting and all(map(self._window.has_room, domains))
        self._behind = self._behind or not has_room
        return has_room

    # Not in accept(): the client may have gone while its message was committed
    def _accepted(self, kept: "Future[list[Claim]]") -> None:
        if kept.cancelled():
            return
        if error := kept.exception():
            if isinstance(error, StorageClosedError):
                self._break(error)
            return
        self._take_on(kept.result())

    # A full disk stops a thousand jobs at once: one warning a minute tells of them
    def _note(self, error: StorageError, what: str) -> None:
        if isinstance(error, StorageClosedError):
            self._break(error)
        now = asyncio.get_running_loop().time()
        if (others := self._told[what].lets_through(now)) is not None:
            more = f" (and {others} times since the last warning)" if others else ""
            log.warning("%s, trying again: %s%s", what, error, more)

    def _break(self, error: StorageClosedError) -> None:
        self._broken = error
        self._wake.set()

    def _take_on(self, claims: Sequence[Claim]) -> None:
        if self._resting:
            return  # they are released with all others
        now = asyncio.get_running_loop().time()
        for claim in (Claim(one.job, one.body, now) for one in claims):
            domain = claim.job.domain
            self._window.take(domain)
            if domain not in self._waiting and self._may_start(domain):
                self._start(claim)
            else:
                self._waiting.setdefault(domain, deque()).append(_lightened(claim))
                self._call_in_turn(domain)

    def _may_start(self, domain: str) -> bool:
        now = asyncio.get_running_loop().time()
        return self._slots.has_room(domain) and not self._pace.delay(domain, now)

    # Where only the pace keeps a domain back, nothing else would call it
    def _call_in_turn(self, domain: str) -> None:
        loop = asyncio.get_running_loop()
        delay = self._pace.delay(domain, loop.time())
        if delay and domain not in self._turns:
            self._turns[domain] = loop.call_later(delay, self._take_turn, domain)

    def _take_turn(self, domain: str) -> None:
        del self._turns[domain]
        if domain in self._waiting and not self._resting:
            self._start_waiting(domain)

    def _start(self, claim: Claim) -> None:
        self._slots.take(claim.job.domain)
        self._pace.take(claim.job.domain, asyncio.get_running_loop().time())
        task = self._spawn(self._attempt(claim), claim.job.domain)
        self._delivering.add(task)
        task.add_done_callback(lambda _: self._next(claim.job.domain))

    def _next(self, domain: str) -> None:
        self._slots.give_back(domain)
        for other in list(self._waiting):
            if not self._slots.free or self._resting:
                break
            self._start_waiting(other)
        if self._behind and sum(map(len, self._waiting.values())) < _FEW:
            self._wake.set()

    # Who has been served goes to the end of the line
    def _start_waiting(self, domain: str) -> None:
        if not self._slots.has_room(domain):
            return
        claims = self._waiting.pop(domain)
        while claims and self._may_start(domain):
            self._start(claims.popleft())
        if claims:
            self._waiting[domain] = claims
            self._call_in_turn(domain)

    def _spawn(self, work: Coroutine[None, None, None], domain: str) -> "Task[None]":
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(lambda task: self._ended(task, domain))
        return task

    def _ended(self, task: "Task[None]", domain: str) -> None:
        self._tasks.discard(task)
        self._delivering.discard(task)
        self._window.give_back(domain)
        if not task.cancelled() and (error := task.exception()):
            log.error("telling of a settlement failed", exc_info=error)

    async def _attempt(self, claim: Claim) -> None:
        settlement, result = await self._try(claim)
        if task := asyncio.current_task():
            self._delivering.discard(task)
        await self._keep(settlement, result)

    async def _try(self, claim: Claim) -> tuple[Settlement, DeliveryResult]:
        job, body = claim.job, claim.body
        try:
            async with self._room.hold(job.domain, job.size if body is None else 0):
                if body is None:
                    body = await self._store.body(job.message_id)
                result = await self._deliver(job.domain, job.envelope, body, claim.since)
                return settle(job, result, body, self._clock.now(), self._rules), result
        except StorageError as error:
            self._note(error, "a job cannot be attempted")
            why = str(error)
        except Exception:
            log.exception("the attempt for job %s failed in an unforeseen way", job.id)
            why = "an internal error; the relay's log tells more"
        return settle_later(job, why, self._clock.now(), self._rules), _NOTHING

    async def _keep(self, settlement: Settlement, result: DeliveryResult) -> None:
        async def settle() -> None:
            claimed = all(map(self._admit, settlement.notices))
            self._take_on(await self._store.settle(settlement, claimed=claimed))

        if await self._insist(settle, "what became of a job cannot be kept"):
            self._on_settled(settlement, result)

    async def _give_back(self, job: Job) -> None:
        if await self._insist(partial(self._store.give_back, job.id), "a job cannot be given back"):
            self._on_settled(Settlement(job, None), _NOTHING)

    # Never given up while the relay runs: what was delivered must not be delivered again
    async def _insist(self, work: Callable[[], Awaitable[None]], trouble: str) -> bool:
        for tries in count(1):
            try:
                await work()
            except StorageError as error:
                self._note(error, trouble)
            else:
                return True
            if self._closing.is_set():
                break
            await _wait_for(self._closing, pause(tries))
        return False


async def _wait_for(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


def _lightened(claim: Claim) -> Claim:
    if claim.body is None or len(claim.body) <= _BODY_LIMIT:
        return claim
    return replace(claim, body=None)
