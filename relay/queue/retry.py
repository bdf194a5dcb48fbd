"""When to try again, when to warn, when to give up (RFC 5321 §4.5.4.1). Pure; no clock, no dice."""

from collections.abc import Callable

from relay.immutable import immutable
from relay.outcome import Reason

Dice = Callable[[], float]
"""A number from 0 to 1, evenly by chance."""

_JITTER = 0.1


@immutable
class Schedule:
    """`delays` between attempts (the last repeats), in seconds; `warn_after` None: never.

    `warn_after_policy` is the same for mail that a policy keeps back; the sooner one counts.
    """

    delays: tuple[float, ...]
    lifetime: float
    warn_after: float | None
    warn_after_policy: float | None = None

    def next_attempt(
        self, attempts: int, created: float, now: float, dice: Dice, reason: Reason | None = None
    ) -> float:
        """When to try again after `attempts` attempts, at least one, the last of them in vain for
        this reason.

        An attempt also falls on the moment a delay is told and on the lifetime's end: nobody is
        warned and nothing is given up without a fresh look.
        """
        delay = self.delays[min(attempts, len(self.delays)) - 1]
        due = now + delay * (1 - _JITTER + 2 * _JITTER * dice())
        moments = (self._warns(created, reason) or created, self.ends(created))
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

    def is_late(self, created: float, now: float, reason: Reason | None = None) -> bool:
        """Whether the sender should be told of a delay for this reason."""
        moment = self._warns(created, reason)
        return moment is not None and now >= moment

    def _warns(self, created: float, reason: Reason | None) -> float | None:
        early = self.warn_after_policy if reason is Reason.POLICY else None
        ages = [one for one in (self.warn_after, early) if one is not None]
        return created + min(ages) if ages else None
