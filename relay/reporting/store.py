"""Where findings wait and where violations are kept. Knows no engine."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from relay.evidence import Finding
from relay.reporting.violations import Record


class Outbox(Protocol):
    """Findings of this process, safe on disk, on their way to ledger and log."""

    async def add_findings(self, findings: Sequence[Finding]) -> None:
        """Keep findings that belong to no job. Raises StorageError."""
        ...

    async def pending_findings(self, limit: int) -> list[tuple[str, Finding]]:
        """The oldest findings with their ids, which no other finding ever has."""
        ...

    async def remove_findings(self, finding_ids: Sequence[str]) -> None:
        """They have arrived."""
        ...

    async def findings_lost(self) -> int:
        """How many findings had no room, ever."""
        ...


@dataclass(frozen=True, slots=True)
class Entry:
    """A violation for the ledger: the record, and the line the log gets."""

    finding_id: str
    record: Record
    line: bytes


class LedgerStore(Protocol):
    """The violations of all processes."""

    async def append(self, entries: Sequence[Entry]) -> None:
        """Record each once, however often it is handed in. Raises StorageError."""
        ...

    async def prune(self, before: float, most: int, limit: int) -> int:
        """Remove up to `limit` violations from before that time, or if there are none, of those
        that are more than `most`, the oldest first; how many. Raises StorageError.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which violations are wanted; None: all. Times in seconds since 1970, `until` exclusive.

    `mode` "none" is where no policy was in force. `after` and `up_to` are numbers, in the order
    written.
    """

    since: float | None = None
    until: float | None = None
    domain: str | None = None
    mx: str | None = None
    mode: str | None = None
    reason: str | None = None
    action: str | None = None
    after: int = 0
    up_to: int | None = None


@dataclass(frozen=True, slots=True)
class Repeat:
    """Violations that differ only in time and message: how many, from when to when, the newest.

    `mode` and `mx` as in a record. Times in seconds since 1970; `record_id` and `detail` are those
    of the newest.
    """

    domain: str
    mode: str | None
    mx: str | None
    reason: str
    action: str
    count: int
    first: float
    last: float
    record_id: str
    detail: str


Counts = tuple[tuple[str, int], ...]
"""How many of what, the most first."""


@dataclass(frozen=True, slots=True)
class Summary:
    """How many violations, how many of them refused, from when to when; 0.0 where there are none.

    `by_day` has the begin of each day (UTC) that had any, the latest first. Times in seconds since
    1970.
    """

    count: int
    refused: int
    first: float
    last: float
    by_domain: Counts
    by_reason: Counts
    by_day: tuple[tuple[float, int], ...]
