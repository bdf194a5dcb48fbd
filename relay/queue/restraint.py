"""How soon mail that was let go is let go once more: ever more seldom. Pure.

A look may be shown another side than mail is: by one of several machines behind a name, by a host
that puts off some recipients only, or by one with mischief in mind.
"""

import math

_LONGEST = 14_400.0  # seconds between two releases: about as often as mail is tried anyway
_MEMORY = 86_400.0  # seconds without a release; then nothing stands against the next one
_LIMIT = 10_000  # domains remembered


class Restraint:
    """What was let go, by domain. Times are seconds on a clock that never jumps."""

    def __init__(self, first: float) -> None:
        """`first` is the least time between two releases, in seconds, before it is doubled."""
        self._first = first
        self._releases: dict[str, tuple[float, int]] = {}  # the last, and how many in a row

    def allows(self, domain: str, now: float) -> bool:
        """Whether mail for a domain may be let go now."""
        last, count = self._releases.get(domain, (-math.inf, 0))
        pause = min(self._first * 2.0 ** min(count, 20), max(self._first, _LONGEST))
        return now - last >= pause

    def note(self, domain: str, now: float) -> None:
        """Mail for a domain was let go."""
        last, count = self._releases.pop(domain, (-math.inf, 0))
        if len(self._releases) >= _LIMIT:
            del self._releases[next(iter(self._releases))]
        self._releases[domain] = (now, count + 1 if now - last < _MEMORY else 1)
