"""How well the mail was protected that hosts took: counted in memory, written in the background.

The path of a message pays for one entry of a dictionary. What was counted in the last seconds
before a crash is lost: these are figures to decide by, no evidence of single messages.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping

from relay.errors import StorageClosedError, StorageError
from relay.evidence import Handover
from relay.reporting.store import DAY, LedgerStore, Passage, Passed

log = logging.getLogger(__name__)

_INTERVAL = 5.0  # seconds that are written together
_PATIENCE = 60.0  # seconds after trouble
_MOST = 10_000  # entries in memory while the ledger is in trouble


class Traffic:
    """Counts what hosts took, by day, domain, mode, level and what stood against more."""

    def __init__(self, ledger: LedgerStore) -> None:
        """Nothing is counted yet."""
        self._ledger = ledger
        self._counted: dict[Passage, Passed] = {}
        self._full = False
        self._begun = asyncio.Event()

    def count(self, handovers: Iterable[Handover], now: float) -> None:
        """A message was taken by these hosts; `now` is in seconds since 1970.

        Where a route decides, and no policy, no setting for all mail would have refused anything.
        """
        for one in handovers:
            if one.is_routed and one.mode not in ("enforce", "testing"):
                continue
            where = Passage(one.mode, one.domain, int(now // DAY), one.level, one.flaws)
            self._add(where, Passed(1, one.recipients, now, now))
            self._begun.set()

    async def run(self) -> None:
        """Write what was counted, until cancelled. Raises StorageClosedError."""
        while True:
            await self._begun.wait()
            self._begun.clear()
            await asyncio.sleep(_INTERVAL)
            try:
                await self.write()
            except StorageClosedError:
                raise
            except StorageError as error:
                log.warning("what was delivered cannot be counted in the ledger now: %s", error)
                await asyncio.sleep(_PATIENCE)
                self._begun.set()

    async def write(self) -> None:
        """Write what was counted. Raises StorageError, and then it is kept."""
        counted, self._counted, self._full = self._counted, {}, False
        try:
            await self._ledger.add_traffic(counted)
        except StorageError:
            self._take_back(counted)
            raise

    async def aclose(self) -> None:
        """Write what is left, as far as it goes."""
        try:
            await self.write()
        except StorageError as error:
            log.warning("the last deliveries are not counted: %s", error)

    def _take_back(self, counted: Mapping[Passage, Passed]) -> None:
        for where, passed in counted.items():
            self._add(where, passed)

    def _add(self, where: Passage, more: Passed) -> None:
        known = self._counted.get(where)
        if known:
            self._counted[where] = known.joined(more)
        elif len(self._counted) < _MOST:
            self._counted[where] = more
        elif not self._full:
            self._full = True
            log.warning("the ledger takes no counts, so some deliveries are not counted")
