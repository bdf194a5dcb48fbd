"""The books of a running relay: violations, counts, alerts. None of them ever holds mail up."""

import contextlib
import secrets
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any

from relay.clock import Clock
from relay.config import Settings
from relay.db.ledger import Ledger
from relay.evidence import Finding, Handover
from relay.reporting.alerter import Alerter
from relay.reporting.copier import Copier, entries_of
from relay.reporting.log_file import LogFile
from relay.reporting.retention import Retention
from relay.reporting.traffic import Traffic
from relay.storage import Stores
from relay.wiring import build_channels


class Bookkeeping:
    """What is written beside the mail, started, renewed and closed together."""

    def __init__(self, settings: Settings, stores: Stores, clock: Clock) -> None:
        """Nothing is written yet."""
        ledger = stores.ledger
        self._settings = settings
        self._clock = clock
        self._spool = stores.spool
        self._levels = stores.levels
        self._alerter = Alerter(ledger, clock, settings.hostname, build_channels(settings))
        log_file = LogFile(settings.violation_log)
        self._copier = Copier(stores.spool, ledger, log_file, self._alerter.wake)
        self._traffic = Traffic(ledger)
        self._retention = Retention(ledger, clock, settings.violations.keep)

    def works(self) -> list[Coroutine[Any, Any, None]]:
        """What runs until it is cancelled; what is told of comes after who tells."""
        return [
            self._alerter.run(),
            self._copier.run(),
            self._traffic.run(),
            self._retention.run(),
            self._levels.run(self._clock),
        ]

    def wake(self) -> None:
        """There may be findings in the outbox."""
        self._copier.wake()

    async def note_findings(self, findings: Sequence[Finding]) -> None:
        """Record findings that belong to no job. Raises StorageError."""
        await self._spool.add_findings(findings)
        self._copier.wake()

    def count(self, handovers: Iterable[Handover], now: float) -> None:
        """Hosts took a message; `now` is in seconds since 1970."""
        self._traffic.count(handovers, now)
        if self._settings.tls.remember:
            self._levels.note(handovers, now)

    def reopen_log(self) -> None:
        """Open the violation log anew (SIGHUP)."""
        self._copier.reopen(self._settings.violation_log)

    def renew(self, settings: Settings) -> None:
        """Go on with other settings."""
        self._settings = settings
        self._retention.keep = settings.violations.keep
        self._alerter.renew(settings.hostname, build_channels(settings))
        self.reopen_log()

    async def aclose(self) -> None:
        """Write what is left, as far as it goes; what runs must have been cancelled."""
        await self._copier.aclose()
        await self._traffic.aclose()


async def record_now(settings: Settings, ledger: Ledger, findings: Sequence[Finding]) -> None:
    """Record what a command has found; a running relay's outbox is not this process's."""
    entries = entries_of([(secrets.token_hex(16), finding) for finding in findings])
    await ledger.append(entries)
    log_file = LogFile(settings.violation_log)
    with contextlib.closing(log_file):
        for entry in entries:
            log_file.write(entry.line)
