"""Where findings wait and where violations are kept. Knows no engine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from relay.evidence import Failure, Finding
from relay.immutable import immutable
from relay.reporting.alert import Alert
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


@immutable
class Entry:
    """A violation for the ledger: the record, and the line the log gets."""

    finding_id: str
    record: Record
    line: bytes


DAY = 86_400.0
"""Seconds of the day that a Passage counts."""


# a tuple, as it is the key by which each delivery is counted
class Passage(NamedTuple):
    """How mail passed: the fields of a Handover but its host, and the day since 1970 (UTC)."""

    mode: str
    domain: str
    day: int
    level: str
    flaws: tuple[Failure, ...]


@immutable
class Passed:
    """How much of it, from when to when in seconds since 1970.

    A message counts for each attempt and host that took it.
    """

    messages: int
    recipients: int
    first: float
    last: float

    def joined(self, other: "Passed") -> "Passed":
        """Both together."""
        return Passed(
            self.messages + other.messages,
            self.recipients + other.recipients,
            min(self.first, other.first),
            max(self.last, other.last),
        )


class LedgerStore(Protocol):
    """The violations of all processes, and counts of what they delivered."""

    async def append(self, entries: Sequence[Entry]) -> None:
        """Record each once, however often it is handed in. Raises StorageError."""
        ...

    async def prune(self, before: float, most: int, limit: int) -> int:
        """Remove up to `limit` violations from before that time, or if there are none, of those
        that are more than `most`, the oldest first; how many. Raises StorageError.
        """
        ...

    async def add_traffic(self, counted: Mapping[Passage, Passed]) -> None:
        """Add to the counts. Raises StorageError."""
        ...

    async def prune_traffic(self, before: float, most: int, limit: int) -> int:
        """The same as `prune` for the counts, by the day."""
        ...


class AlertStore(Protocol):
    """What alerts have told of the violations of all processes, and have to tell."""

    async def next_alert(self, now: float) -> tuple[Alert | None, int]:
        """What is to be told now, each violation once and to one process, at most one an hour for a
        domain and reason; None: nothing. And of how many violations too old or too many are not
        told any more. The first call begins with what is recorded after it. Raises StorageError.
        """
        ...

    async def give_back(self, alert: Alert, now: float) -> None:
        """It could not be told: it is due again, after what else is. Raises StorageError."""
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


@immutable
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


@immutable
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


@immutable
class Exposure:
    """What was delivered for one domain, and how much of it with less than everything asks for.

    `clear` and `flawed` are of `messages`: in clear text; with a flaw, which mode enforce or a
    floor of "verify" refuses. Times in seconds since 1970; `last_flawed` None: none was. `reasons`
    are of the flaws, a message counting for each it has.
    """

    domain: str
    messages: int
    recipients: int
    clear: int
    flawed: int
    first: float
    last: float
    last_flawed: float | None
    reasons: Counts


@immutable
class Shadow:
    """The domains of an Exposure each, and the sums of all there are, shown or not.

    `clean` counts domains without a flawed message. Times None: there was no message.
    """

    exposures: tuple[Exposure, ...]
    domains: int
    clean: int
    messages: int
    clear: int
    flawed: int
    first: float | None
    last: float | None
