"""Copies findings from the outbox to the ledger and the violation log. Never holds mail up."""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import orjson

from relay.errors import StorageClosedError, StorageError
from relay.evidence import Finding
from relay.reporting.log_file import LogFile
from relay.reporting.store import Entry, LedgerStore, Outbox
from relay.reporting.violations import to_record

log = logging.getLogger(__name__)

_BATCH = 200
_INTERVAL = 0.5  # seconds a finding may wait
_PATIENCE = 10.0  # seconds after trouble
_ID_OCTETS = 6  # two of a million records share an id once in a thousand ledgers; both are shown


class Copier:
    """Whatever fails, the findings stay in the outbox and are copied later, each once."""

    def __init__(
        self,
        outbox: Outbox,
        ledger: LedgerStore,
        log_file: LogFile,
        recorded: Callable[[], None] = lambda: None,
    ) -> None:
        """Copy from `outbox` to `ledger` and `log_file`; `recorded` hears of what is there then."""
        self._outbox = outbox
        self._ledger = ledger
        self._log_file = log_file
        self._recorded = recorded
        self._logged: set[str] = set()
        self._lost: int | None = None  # as last told; None: not yet looked at
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """There may be findings."""
        self._wake.set()

    def reopen(self, path: Path) -> None:
        """Open the log file anew, at this path."""
        self._log_file.reopen(path)

    async def run(self) -> None:
        """Copy until cancelled. Raises StorageClosedError."""
        while True:
            try:
                await self._tell_lost()
                while await self.copy():
                    pass
            except StorageClosedError:
                raise
            except (StorageError, OSError) as error:
                log.warning("violations cannot be recorded now, they are kept: %s", error)
                await asyncio.sleep(_PATIENCE)
                continue  # what is left does not wait for the next finding
            await self._wake.wait()
            self._wake.clear()
            await asyncio.sleep(_INTERVAL)  # what comes together is copied together

    async def copy(self) -> int:
        """Copy one batch; how many findings there were. Raises StorageError or OSError."""
        pending = await self._outbox.pending_findings(_BATCH)
        entries = entries_of(pending)
        if entries:
            await self._ledger.append(entries)
            await asyncio.to_thread(self._write, entries)
            self._recorded()
        if pending:
            await self._outbox.remove_findings([finding_id for finding_id, _ in pending])
            self._logged.clear()
        return len(pending)

    async def _tell_lost(self) -> None:
        lost = await self._outbox.findings_lost()
        if self._lost is not None and lost > self._lost:
            log.warning("%d violations had no room and are lost", lost - self._lost)
        self._lost = lost

    def _write(self, entries: list[Entry]) -> None:
        for entry in entries:
            if entry.finding_id not in self._logged:
                self._log_file.write(entry.line)
                self._logged.add(entry.finding_id)

    async def aclose(self) -> None:
        """Copy what is left, as far as it goes."""
        try:
            while await self.copy():
                pass
        except (StorageError, OSError) as error:
            log.warning("violations are kept for the next start: %s", error)
        self._log_file.close()


def entries_of(findings: Sequence[tuple[str, Finding]]) -> list[Entry]:
    """The ledger's entries for findings with their ids; those without a failure have none."""
    entries = []
    for finding_id, finding in findings:
        if record := to_record(finding, record_id_of(finding_id)):
            entries.append(Entry(finding_id, record, orjson.dumps(record)))
    return entries


def record_id_of(finding_id: str) -> str:
    """The id of the violation record of a finding: short to type, the same at each copying."""
    return hashlib.blake2s(finding_id.encode(), digest_size=_ID_OCTETS).hexdigest()
