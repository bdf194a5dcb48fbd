"""The attempts under way, each from its start to its settlement; sees delivery as one callable."""

import asyncio
import logging
from asyncio import Task
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial

from relay.clock import Clock
from relay.envelope import Envelope
from relay.errors import StorageError
from relay.outcome import DeliveryResult
from relay.queue.job import Claim, Job, Settlement
from relay.queue.line import Line
from relay.queue.room import Room
from relay.queue.settle import Rules, settle, settle_later
from relay.queue.store import QueueStore
from relay.queue.trouble import Trouble

log = logging.getLogger(__name__)

Deliver = Callable[[str, Envelope, bytes, float, bool], Awaitable[DeliveryResult]]
"""Domain, envelope, body, since when the mail is here (the loop's clock), and whether everything
that DNS says is to be looked up since then."""
OnSettled = Callable[[Settlement, DeliveryResult], None]

_UNSETTLED = 200  # attempts over but not settled, which others follow: a crash delivers them again
_NOTHING = DeliveryResult(())


class Attempts:
    """Attempts claims and settles them by `rules`, which may be renewed."""

    def __init__(
        self,
        store: QueueStore,
        deliver: Deliver,
        rules: Rules,
        clock: Clock,
        on_settled: OnSettled,
        memory: int,
    ) -> None:
        """`on_settled` is told every settlement once it is safe; `memory` is for bodies that are
        read back, in octets."""
        self.rules = rules
        self._store = store
        self._deliver = deliver
        self._clock = clock
        self._on_settled = on_settled
        self._room = Room(memory)
        self._delivering: set[Task[None]] = set()  # attempts that may still be cut
        self._in_place: set[Task[None]] = set()  # those that hold the place of one in the line
        self._tasks: set[Task[None]] = set()

    def join(self, line: Line, trouble: Trouble) -> None:
        """Let claims come from this line, and notices go there."""
        self._line = line
        self._trouble = trouble

    def start(self, claim: Claim) -> None:
        """Begin the attempt of a claim."""
        task = self._spawn(self._attempt(claim), claim.job.domain)
        self._delivering.add(task)
        self._in_place.add(task)

    def give_back(self, job: Job) -> None:
        """Let a claim go, unattempted, as the operator asked for."""
        self._spawn(self._give_back(job), job.domain)

    async def end(self, timeout: float) -> None:  # noqa: ASYNC109 - the operator's stop_timeout
        """Let attempts end for `timeout` seconds, then cut them."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout)
        for task in self._delivering:
            task.cancel()
        # the others have delivered and only settle: cutting them would deliver twice
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, work: Coroutine[None, None, None], domain: str) -> "Task[None]":
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(partial(self._ended, domain))
        return task

    def _ended(self, domain: str, task: "Task[None]") -> None:
        self._tasks.discard(task)
        self._delivering.discard(task)
        self._make_way(domain, task)
        self._line.leave(domain)
        if not task.cancelled() and (error := task.exception()):
            log.error("telling of a settlement failed", exc_info=error)

    async def _attempt(self, claim: Claim) -> None:
        settlement, result = await self._try(claim)
        if task := asyncio.current_task():
            self._delivering.discard(task)
            if len(self._tasks) - len(self._in_place) < _UNSETTLED:
                self._make_way(claim.job.domain, task)
        await self._keep(settlement, result)

    # Another attempt may begin
    def _make_way(self, domain: str, task: "Task[None]") -> None:
        if task in self._in_place:
            self._in_place.discard(task)
            self._line.end_attempt(domain)

    async def _try(self, claim: Claim) -> tuple[Settlement, DeliveryResult]:
        job = claim.job
        try:
            if claim.body is not None:
                return await self._make(claim, claim.body)
            async with self._room.hold(job.domain, job.size):
                return await self._make(claim, await self._store.body(job.message_id))
        except StorageError as error:
            self._trouble.note(error, "a job cannot be attempted")
            why = str(error)
        except Exception:
            log.exception("the attempt for job %s failed in an unforeseen way", job.id)
            why = "an internal error; the relay's log tells more"
        return settle_later(job, why, self._clock.now(), self.rules), _NOTHING

    async def _make(self, claim: Claim, body: bytes) -> tuple[Settlement, DeliveryResult]:
        job = claim.job
        # RFC 8461 §5.1: before mail is given up, its policy is looked for anew
        last = self.rules.schedule.is_expired(job.created, self._clock.now())
        result = await self._deliver(job.domain, job.envelope, body, claim.since, last)
        return settle(job, result, body, self._clock.now(), self.rules), result

    async def _keep(self, settlement: Settlement, result: DeliveryResult) -> None:
        async def settle() -> None:
            claimed = all(map(self._line.admits, settlement.notices))
            self._line.take_on(await self._store.settle(settlement, claimed=claimed))

        if await self._trouble.insist(settle, "what became of a job cannot be kept"):
            self._on_settled(settlement, result)

    async def _give_back(self, job: Job) -> None:
        back = partial(self._store.give_back, job.id)
        if await self._trouble.insist(back, "a job cannot be given back"):
            self._on_settled(Settlement(job, None), _NOTHING)
