"""How often to try again, and to tell of it, while the store is in trouble. Pure; no clock."""

_FIRST = 1.0  # seconds
_LONGEST = 60.0
_TELL_EVERY = 60.0


def pause(tries: int) -> float:
    """Seconds to wait after that many tries in vain, at least one: 1, 2, 4 ... 60."""
    return min(_FIRST * 2.0 ** min(tries - 1, 10), _LONGEST)


class Spacing:
    """Lets one warning through a minute, and counts what it holds back."""

    def __init__(self) -> None:
        """The first is let through."""
        self._last: float | None = None
        self._held = 0

    def lets_through(self, now: float) -> int | None:
        """How many were held back since the last one; None: this one is. `now` in seconds."""
        if self._last is not None and 0 <= now - self._last < _TELL_EVERY:
            self._held += 1
            return None
        held, self._held, self._last = self._held, 0, now
        return held
