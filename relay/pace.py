"""How much a domain or a host is burdened with: so many at once, so many in a time. Pure."""

from collections.abc import Callable

from relay.immutable import immutable

_LIMIT = 10_000  # keys remembered before those that may go on are forgotten


@immutable
class Bound:
    """`at_once` deliveries at a time and `rate` of them a second; None: as many as come."""

    at_once: int
    rate: float | None = None


FindBound = Callable[[str], Bound]
"""The bound of a domain or host by its name."""


class Pace:
    """Spaces what is done for each key evenly. Times are seconds on a clock that never jumps."""

    def __init__(self, bound: FindBound) -> None:
        """Nothing has been done yet."""
        self.bound = bound
        self._next: dict[str, float] = {}

    def delay(self, key: str, now: float) -> float:
        """Seconds until the next may be done; zero: now."""
        return max(0.0, self._next.get(key, now) - now)

    def take(self, key: str, now: float) -> None:
        """One is done, or will be once the delay is over."""
        rate = self.bound(key).rate
        if rate is None:
            return
        if len(self._next) >= _LIMIT:
            self._next = {one: due for one, due in self._next.items() if due > now}
        self._next[key] = max(now, self._next.get(key, now)) + 1 / rate
