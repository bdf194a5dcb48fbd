"""Violations and counts of deliveries are kept for a while. Removing old ones holds no mail up."""

import asyncio
import logging

from relay.clock import Clock
from relay.errors import StorageClosedError, StorageError
from relay.mta_sts.upkeep import Steadiness
from relay.reporting.store import LedgerStore

log = logging.getLogger(__name__)

_PAUSE = 600.0  # seconds between looks
_BATCH = 500  # records removed in one transaction: new ones get in between
_MOST = 1_000_000  # records, a gigabyte: the disk is there for mail in the first place


class Retention:
    """Removes from the ledger what is older than `keep` seconds, which may change at any time, and
    the oldest of more than a million."""

    def __init__(self, ledger: LedgerStore, clock: Clock, keep: float) -> None:
        """Nothing is removed yet."""
        self._ledger = ledger
        self._clock = clock
        self.keep = keep

    async def run(self) -> None:
        """Work until cancelled. Nothing is removed before the clock has run steadily for a while:
        one that is wrong at boot, or jumps, must not make evidence old. Raises StorageClosedError.
        """
        loop = asyncio.get_running_loop()
        steadiness = Steadiness(self._clock.now(), loop.time())
        while True:
            await asyncio.sleep(_PAUSE)
            if steadiness.observe(self._clock.now(), loop.time()):
                try:
                    await self.prune()
                except StorageClosedError:
                    raise
                except StorageError as error:
                    log.warning("old violations cannot be removed now: %s", error)

    async def prune(self) -> None:
        """Remove all that is too old or too much. Raises StorageError."""
        before = self._clock.now() - self.keep
        while await self._ledger.prune(before, _MOST, _BATCH):
            pass
        while await self._ledger.prune_traffic(before, _MOST, _BATCH):
            pass
