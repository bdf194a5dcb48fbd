"""The running queue: takes messages in, starts what is due. Sees delivery as one callable."""

import asyncio
import logging
from asyncio import Future
from collections.abc import Callable
from functools import partial

from relay.clock import Clock
from relay.envelope import Message
from relay.errors import StorageError
from relay.pace import FindBound
from relay.queue.attempts import Attempts, Deliver, OnSettled
from relay.queue.job import Claim
from relay.queue.line import USUAL, Limits, Line
from relay.queue.settle import Rules
from relay.queue.store import QueueStore
from relay.queue.trouble import Trouble, wait_for

log = logging.getLogger(__name__)

_POLL = 0.5  # seconds; how soon an operator's command takes effect
_CLOCK_SLACK = 60.0  # seconds the clock may go back and nothing is done
_CLAIMS = 250  # taken on at a time


class Scheduler:
    """The running queue of one relay: between the store, the line of claims and the attempts."""

    def __init__(
        self,
        store: QueueStore,
        deliver: Deliver,
        rules: Rules,
        clock: Clock,
        on_settled: OnSettled,
        limits: Limits = USUAL,
    ) -> None:
        """`on_settled` is told every settlement once it is safe.

        A job that the operator took back before its attempt is told as done, without an outcome.
        """
        self._store = store
        self._clock = clock
        self._wake = asyncio.Event()
        self._closing = asyncio.Event()
        self._trouble = Trouble(self._closing, self._wake.set)
        self._attempts = Attempts(store, deliver, rules, clock, on_settled, limits.memory)
        self._line = Line(limits, self._attempts.start, self._wake.set)
        self._attempts.join(self._line, self._trouble)
        self._looking = asyncio.Lock()  # at what is due, in the store
        self._offset: float | None = None  # of the time of day to the loop's own

    def renew(self, rules: Rules, per_domain: FindBound) -> None:
        """Settle by these rules and bind domains by this from now on."""
        self._attempts.rules = rules
        self._line.bind(per_domain)

    async def accept(self, message: Message, on_kept: Callable[[], None]) -> None:
        """Keep a message; it is safe on return. Raises StorageError, and then nothing is kept.

        Cancelling leaves open which of the two it is, as a lost connection does; but `on_kept` is
        called once it is safe, before anything is done for it, whether or not anybody waits.
        """
        if self._closing.is_set():
            raise StorageError("the relay is stopping")
        told: Future[None] = asyncio.get_running_loop().create_future()
        kept = self._store.put(message, claimed=self._line.admits(message))
        kept.add_done_callback(partial(self._accepted, on_kept, told))
        await told

    async def run(self) -> None:
        """Start what is due, until cancelled or at rest. Raises StorageClosedError."""
        while not self._line.resting:
            self._wake.clear()
            async with self._looking:
                await self._look()
            if self._trouble.broken:
                raise self._trouble.broken
            await wait_for(self._wake, _POLL)

    async def _look(self) -> None:
        try:
            await self._correct_times()
            await self._forget_revoked()
            await self._claim_due()
        except StorageError as error:
            self._trouble.note(error, "the queue cannot be read")

    # Before the end: the later an attempt begins, the likelier it is cut with its final dot out
    def rest(self) -> None:
        """Start nothing more; what is accepted from now on waits in the store."""
        self._line.rest()
        self._wake.set()

    async def aclose(self, timeout: float) -> None:  # noqa: ASYNC109 - the operator's stop_timeout
        """Rest, accept nothing more; let attempts end for `timeout` seconds, then cut them.

        What was cut waits in the store, due at the next start.
        """
        self.rest()
        self._closing.set()
        await self._attempts.end(timeout)
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
        latest = self._attempts.rules.schedule.latest(now)
        if corrected := await self._store.correct_times(now, latest):
            log.warning("the clock was put back: %d jobs get new times", corrected)
        self._offset = offset

    async def _forget_revoked(self) -> None:
        if self._line.is_empty():
            return
        for job in self._line.withdraw(await self._store.revoked()):
            self._attempts.give_back(job)

    async def _claim_due(self) -> None:
        limit = min(self._line.room, _CLAIMS)
        full = self._line.full()
        claims = await self._store.claim(self._clock.now(), limit, full) if limit else []
        self._line.behind = bool(full) or bool(claims)
        self._line.take_on(claims)

    # Not in accept(): the client may have gone while its message was committed
    def _accepted(
        self, on_kept: Callable[[], None], told: "Future[None]", kept: "Future[list[Claim]]"
    ) -> None:
        if error := kept.exception():
            self._trouble.judge(error)
            if not told.cancelled():
                told.set_exception(error)
            return
        if not told.cancelled():
            told.set_result(None)
        self._line.take_on(kept.result())
        on_kept()
