"""When to try again, when to warn, when to give up (RFC 5321 §4.5.4.1). Pure; no clock, no dice."""

from collections.abc import Callable
from dataclasses import dataclass

Dice = Callable[[], float]
"""A number from 0 to 1, evenly by chance."""

_JITTER = 0.1


@dataclass(frozen=True, slots=True)
class Schedule:
    """`delays` between attempts (the last repeats), in seconds; `warn_after` None: never."""

    delays: tuple[float, ...]
    lifetime: float
    warn_after: float | None

    def next_attempt(self, attempts: int, created: float, now: float, dice: Dice) -> float:
        """When to try again after `attempts` attempts, at least one.

        An attempt also falls on the moment a delay is told and on the lifetime's end: nobody is
        warned and nothing is given up without a fresh look.
        """
        delay = self.delays[min(attempts, len(self.delays)) - 1]
        due = now + delay * (1 - _JITTER + 2 * _JITTER * dice())
        moments = (created + (self.warn_after or 0), self.ends(created))
        return min([due, *(moment for moment in moments if moment > now)])

    def latest(self, now: float) -> float:
        """When the last of all jobs is due that wait now; a later time is a wrong clock's."""
        return now + max(self.delays) * (1 + _JITTER)

    def ends(self, created: float) -> float:
        """When a message of that age is given up, at the next attempt."""
        return created + self.lifetime

    def is_expired(self, created: float, now: float) -> bool:
        """Whether the attempt just made was the last."""
        return now >= self.ends(created)

    def is_late(self, created: float, now: float) -> bool:
        """Whether the sender should be told of the delay."""
        return self.warn_after is not None and now >= created + self.warn_after
