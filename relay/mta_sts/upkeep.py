"""When a kept policy is refreshed, warned of and removed (RFC 8461 §3.3, §10.2). Pure."""

from relay.mta_sts.freshness import BACK_OFF, is_live
from relay.mta_sts.policy import CachedPolicy

RETENTION = 30 * 86_400.0  # seconds that what has ended is still kept
HISTORY = 400 * 86_400.0  # seconds that past versions are kept
LEASE = 3600.0  # seconds one process has for what it looks after
# RFC 8461 §10.2: once a day; what lives for less than two hours is left to the next mail
_INTERVAL = 23 * 3600.0
_DAILY = 86_400.0
_SHORTEST = 3600.0
_RETRY = 3600.0
_ROW = 3  # failures before the operator is warned
_STEADY = 300.0  # seconds a clock must run steadily to be believed
_JUMP = 60.0  # seconds by which it may drift meanwhile


def due_at(cached: CachedPolicy, now: float, dice: float) -> float:
    """When to look after it next; `dice` from 0 to 1 spreads that.

    A live policy is to be refreshed well before it ends; all else is looked at daily, until it can
    be removed. Nothing is due later than that: a clock gone wrong puts nothing off for long.
    """
    if is_live(cached, now):
        at = _refresh_at(cached, now, dice)
        if at < cached.expires:
            return at
    return now + _DAILY


def _refresh_at(cached: CachedPolicy, now: float, dice: float) -> float:
    share = 1 - dice / 4
    if cached.failure:
        left = (cached.expires - now) / 4
        return now + max(BACK_OFF, min(_RETRY, left) * share)
    interval = min(_INTERVAL, (cached.expires - cached.fetched_at) / 2)
    if interval < _SHORTEST:
        return cached.expires
    return cached.fetched_at + interval * share


def is_over(cached: CachedPolicy, now: float) -> bool:
    """Whether it has been of no use for so long that it can be removed."""
    return not is_live(cached, now) and _end(cached) + RETENTION <= now


def leased_until(cached: CachedPolicy, now: float) -> float:
    """When it is due again if the process that looks after it does nothing."""
    if is_live(cached, now) or is_over(cached, now):
        return now + LEASE
    return now + _DAILY


# RFC 8461 §3.3: administrators are told of failing refreshes, but not for mode none
def is_worth_a_warning(cached: CachedPolicy, now: float) -> bool:
    """Whether the operator shall be told now that this live policy fails to be refreshed."""
    failure, policy = cached.failure, cached.policy
    if not failure or not policy or policy.mode == "none" or not is_live(cached, now):
        return False
    patience = min(_RETRY, (cached.expires - failure.since) / 4)
    if failure.count < _ROW or now - failure.since < patience:
        return False
    return failure.told_at is None or abs(now - failure.told_at) >= _DAILY


def _end(cached: CachedPolicy) -> float:
    return max(
        cached.expires if cached.policy else 0.0, cached.failure.next_try if cached.failure else 0.0
    )


class Steadiness:
    """Whether the time of day has lately run as evenly as a clock that nobody sets."""

    def __init__(self, wall: float, ticks: float) -> None:
        """Begin at the time of day `wall` and `ticks` of the other clock, both in seconds."""
        self._wall = wall
        self._ticks = ticks

    def observe(self, wall: float, ticks: float) -> bool:
        """Whether it has, for five minutes at least; a jump starts anew."""
        if abs((wall - self._wall) - (ticks - self._ticks)) > _JUMP:
            self._wall, self._ticks = wall, ticks
        return ticks - self._ticks >= _STEADY
