"""How often something that goes on and on is told of: once a minute. Pure; no clock."""

from collections.abc import Hashable

_TELL_EVERY = 60.0  # seconds
_LIMIT = 1000  # keys remembered; what is told of further ones is spaced as one


class Spacing:
    """Lets one warning through a minute, and counts what it holds back."""

    def __init__(self) -> None:
        """The first is let through."""
        self._last: float | None = None
        self._held = 0

    def lets_through(self, now: float) -> int | None:
        """How many were held back since the last one; None: this one is. `now` in seconds."""
        if not self.is_over(now):
            self._held += 1
            return None
        held, self._held, self._last = self._held, 0, now
        return held

    def is_over(self, now: float) -> bool:
        """Whether a minute has gone by; a clock set back silences nothing."""
        return self._last is None or not 0 <= now - self._last < _TELL_EVERY


class Spacings:
    """A spacing for each key, so that one who makes much noise hides no other; bounded."""

    def __init__(self) -> None:
        """The first of each key is let through."""
        self._by_key: dict[Hashable, Spacing] = {}

    def lets_through(self, key: Hashable, now: float) -> int | None:
        """How many of this key were held back since the last one; None: this one is."""
        if key not in self._by_key and len(self._by_key) >= _LIMIT:
            self._by_key = {
                one: kept for one, kept in self._by_key.items() if not kept.is_over(now)
            }
            key = key if len(self._by_key) < _LIMIT else None
        return self._by_key.setdefault(key, Spacing()).lets_through(now)
