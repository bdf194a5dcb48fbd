"""Starting attempts when they are due and settling them; sees delivery as one callable."""

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from relay.clock import Clock
from relay.envelope import Envelope, Message
from relay.errors import StorageError
from relay.outcome import DeliveryResult, Outcome, Reason, Status
from relay.queue.job import Claim, Job, Settlement
from relay.queue.settle import Rules, settle
from relay.queue.store import QueueStore
from relay.reply import Reply

log = logging.getLogger(__name__)

Deliver = Callable[[str, Envelope, bytes], Awaitable[DeliveryResult]]
OnSettled = Callable[[Settlement, DeliveryResult], None]

_POLL = 0.5  # seconds; how soon an operator's command takes effect
_STORE_PATIENCE = 1.0  # seconds between tries to keep a settlement


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is done at a time: claims in memory, attempts in all, attempts for one domain."""

    window: int = 1000
    attempts: int = 200
    per_domain: int = 20


class Scheduler:
    """The running queue of one relay."""

    def __init__(
        self, store: QueueStore, deliver: Deliver, rules: Rules, clock: Clock, on_settled: OnSettled
    ) -> None:
        """`on_settled` is told every settlement once it is safe."""
        self._store = store
        self._deliver = deliver
        self._rules = rules
        self._clock = clock
        self._on_settled = on_settled
        self._limits = Limits()
        self._waiting: defaultdict[str, deque[Claim]] = defaultdict(deque)
        self._running: defaultdict[str, int] = defaultdict(int)
        self._held = 0
        self._attempts: set[asyncio.Task[None]] = set()
        self._settling: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._closing = False

    async def accept(self, message: Message) -> None:
        """Keep a message; it is safe on return. Raises StorageError, and then nothing is kept."""
        if self._closing:
            raise StorageError("the relay is stopping")
        claims = await self._store.put(message, claimed=self._has_room())
        self._take_on(claims)

    async def run(self) -> None:
        """Start what is due, until cancelled or closed."""
        while not self._closing:
            self._wake.clear()
            try:
                await self._poll()
            except StorageError as error:
                log.warning("the queue cannot be read, trying again: %s", error)
            try:
                async with asyncio.timeout(_POLL):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def aclose(self, timeout: float) -> None:  # noqa: ASYNC109 - the operator's stop_timeout
        """Start nothing more; let attempts end for `timeout` seconds, then cut them.

        What was cut waits in the store, due at the next start.
        """
        self._closing = True
        self._wake.set()
        self._waiting.clear()
        if self._attempts:
            await asyncio.wait(self._attempts, timeout=timeout)
        for task in self._attempts:
            task.cancel()
        await asyncio.gather(*self._attempts, return_exceptions=True)
        await asyncio.gather(*self._settling)
        try:
            await self._store.release_all()
        except StorageError as error:
            log.warning("the queue could not be left in order; the next start mends it: %s", error)

    async def _poll(self) -> None:
        if any(self._waiting.values()):
            await self._forget_dropped()
        room = self._limits.window - self._held
        if room > 0:
            self._take_on(await self._store.claim(self._clock.now(), room))

    async def _forget_dropped(self) -> None:
        dropped = await self._store.dropped()
        for domain, claims in self._waiting.items():
            gone = [claim for claim in claims if claim.job.id in dropped]
            if gone:
                self._waiting[domain] = deque(one for one in claims if one not in gone)
                self._held -= len(gone)
                await self._store.forget([claim.job.id for claim in gone])
                return  # the table has changed: the others at the next poll

    def _has_room(self) -> bool:
        return self._held < self._limits.window

    def _take_on(self, claims: Sequence[Claim]) -> None:
        self._held += len(claims)
        for claim in claims:
            self._waiting[claim.job.domain].append(claim)
            self._start_next(claim.job.domain)

    # One domain never has more than its share, so a slow one does not delay the others
    def _start_next(self, domain: str) -> None:
        claims = self._waiting.get(domain)
        while (
            claims
            and not self._closing
            and self._running[domain] < self._limits.per_domain
            and len(self._attempts) < self._limits.attempts
        ):
            self._running[domain] += 1
            task = asyncio.get_running_loop().create_task(self._attempt(claims.popleft()))
            self._attempts.add(task)
            task.add_done_callback(lambda task: self._ended(task, domain))
        if not claims:
            self._waiting.pop(domain, None)

    def _ended(self, task: "asyncio.Task[None]", domain: str) -> None:
        self._attempts.discard(task)
        self._held -= 1
        self._running[domain] -= 1
        if not self._running[domain]:
            del self._running[domain]
        self._start_next(domain)
        # a place in all is free: whoever waits for it may be of another domain
        for other in list(self._waiting):
            if len(self._attempts) >= self._limits.attempts:
                break
            self._start_next(other)
        if not self._has_room() or not self._waiting:
            self._wake.set()

    async def _attempt(self, claim: Claim) -> None:
        try:
            body = claim.body
            if body is None:
                body = await self._store.body(claim.job.message_id)
        except StorageError as error:
            # the job stays active in the store; without its content there is nothing to settle
            log.warning("message %s cannot be read: %s", claim.job.message_id, error)
            body = b""
            result = _later(claim.job, str(error))
        else:
            result = await self._try(claim.job, body)
        settlement = settle(claim.job, result, body, self._clock.now(), self._rules)
        task = asyncio.get_running_loop().create_task(self._keep(settlement, result))
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)
        # a cut attempt must not leave a delivered message unsettled
        await asyncio.shield(task)

    async def _try(self, job: Job, body: bytes) -> DeliveryResult:
        try:
            return await self._deliver(job.domain, job.envelope, body)
        except Exception:
            log.exception("the attempt for job %s failed in an unforeseen way", job.id)
            return _later(job, "an internal error; the relay's log tells more")

    async def _keep(self, settlement: Settlement, result: DeliveryResult) -> None:
        while True:
            try:
                claims = await self._store.settle(settlement, claimed=self._has_room())
                break
            except StorageError as error:
                log.warning("job %s is not settled yet: %s", settlement.job.id, error)
                if self._closing:
                    return
                await asyncio.sleep(_STORE_PATIENCE)
        self._on_settled(settlement, result)
        if not self._closing:
            self._take_on(claims)


def _later(job: Job, why: str) -> DeliveryResult:
    reply = Reply(451, "4.3.0", why)
    return DeliveryResult(
        tuple(
            Outcome(recipient, Status.DEFERRED, reply, Reason.UNREACHABLE)
            for recipient in job.envelope.recipients
        )
    )
