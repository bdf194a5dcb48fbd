"""Looking after kept policies while the relay runs (RFC 8461 §3.3, §10.2). Knows no mail."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from relay.clock import Clock
from relay.errors import StorageDamagedError, StorageError
from relay.evidence import Finding
from relay.mta_sts.finder import PolicyFinder
from relay.mta_sts.freshness import is_live
from relay.mta_sts.policy import CachedPolicy
from relay.mta_sts.store import PolicyStore
from relay.mta_sts.upkeep import HISTORY, Steadiness, is_over, leased_until

log = logging.getLogger(__name__)

_PAUSE = 60.0  # seconds between looks for what is due
_AT_ONCE = 10  # refreshes under way at a time
_BATCH = 1000  # past versions removed in one transaction


class Refresher:
    """Refreshes live policies about daily and removes what ended long ago.

    Several processes on one storage share the work: each domain is given to one of them.
    """

    def __init__(
        self,
        finder: PolicyFinder,
        store: PolicyStore,
        clock: Clock,
        record: Callable[[Sequence[Finding]], Awaitable[None]],
    ) -> None:
        """`record` keeps what was found; it may raise StorageError."""
        self._finder = finder
        self._store = store
        self._clock = clock
        self._record = record

    async def run(self) -> None:
        """Work until cancelled. Nothing is done before the clock has run steadily for a while: one
        that is wrong at boot, or jumps, must not make policies old.

        Raises StorageDamagedError.
        """
        loop = asyncio.get_running_loop()
        steadiness = Steadiness(self._clock.now(), loop.time())
        while True:
            if steadiness.observe(self._clock.now(), loop.time()):
                await self._work_or_warn()
            await asyncio.sleep(_PAUSE)

    # On a damaged database the relay has to begin anew: it is of no use to wait
    async def _work_or_warn(self) -> None:
        faults: list[Exception] = []
        try:
            await self.work()
        except* StorageError as group:
            faults += group.exceptions
        for fault in faults:
            if isinstance(fault, StorageDamagedError):
                raise fault
        if faults:
            log.warning("policies cannot be looked after now: %s", faults[0])

    async def work(self) -> None:
        """Look after all that is due. Raises StorageError in an ExceptionGroup."""
        async with asyncio.TaskGroup() as workers:
            for _ in range(_AT_ONCE):
                workers.create_task(self._drain())
            workers.create_task(self._trim_history())

    async def _drain(self) -> None:
        now = self._clock.now()
        until = partial(leased_until, now=now)
        while due := await self._store.claim_due(now, 1, until):
            for cached in due:
                await self._look_after(cached)

    async def _look_after(self, cached: CachedPolicy) -> None:
        now = self._clock.now()
        if is_live(cached, now):
            # RFC 8461 §3.3: whether or not the record has changed
            found = await self._finder.find(cached.domain, refresh=True, seen_by="refresh")
            if found.findings:
                await self._record(found.findings)
        elif is_over(cached, now):
            await self._store.forget(cached.domain, now)

    async def _trim_history(self) -> None:
        before = self._clock.now() - HISTORY
        while await self._store.forget_history(before, _BATCH) == _BATCH:
            pass
