"""Which domains are looked at next, and how often: ever more seldom, spread by chance. Pure.

Knows neither what is looked at nor why. Times are seconds on a clock that never jumps.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from relay.queue.retry import Dice

_LONGEST = 600.0  # seconds between two looks
_SPREAD = 0.25
_AT_ONCE = 10  # domains a second where all are to be looked at


def spacing(first: float, looks: int, dice: float) -> float:
    """Seconds until the next look after so many; `dice` from 0 to 1 spreads them."""
    plain = min(first * 2.0 ** min(looks, 20), max(first, _LONGEST))
    return plain * (1 - _SPREAD + 2 * _SPREAD * dice)


@dataclass(slots=True)
class _Visit:
    due: float
    looks: int
    known: object


class Rounds:
    """The domains that are looked at, so many at most; `overflown`: others have found no room."""

    def __init__(self, first: float, limit: int, dice: Dice) -> None:
        """`first` is the time from a domain's coming to the first look, in seconds."""
        self.overflown = False
        self._first = first
        self._limit = limit
        self._dice = dice
        self._visits: dict[str, _Visit] = {}

    def has_room_again(self) -> bool:
        """Whether there is much room now, but others have found none."""
        return self.overflown and len(self._visits) <= self._limit / 2

    def add(self, domain: str, known: object, now: float) -> bool:
        """Look at a domain from now on, if there is room; `known` is what is known of it."""
        if len(self._visits) >= self._limit:
            self.overflown = True
            return False
        due = now + spacing(self._first, 0, self._dice())
        self._visits.setdefault(domain, _Visit(due, 0, known))
        return True

    def take(self, now: float, most: int) -> list[str]:
        """Those whose time has come, `most` at most; each is put off or dropped once looked at."""
        due = (one for one, visit in self._visits.items() if visit.due <= now)
        taken = sorted(due, key=lambda one: self._visits[one].due)[:most]
        for domain in taken:
            self._visits[domain].due = math.inf
        return taken

    def put_off(self, domain: str, known: object, now: float) -> None:
        """It has been looked at, and is to be looked at again."""
        if visit := self._visits.get(domain):
            visit.looks += 1
            visit.due = now + spacing(self._first, visit.looks, self._dice())
            visit.known = known

    def drop(self, domain: str) -> None:
        """It need not be looked at any more."""
        self._visits.pop(domain, None)

    def clear(self, first: float) -> None:
        """Begin anew, with another time to the first look."""
        self._visits.clear()
        self.overflown = False
        self._first = first

    def notice(self, known: Callable[[str], object], now: float) -> None:
        """Let those be due of which something else is known than before."""
        for domain, visit in self._waiting():
            if (news := known(domain)) != visit.known:
                visit.known = news
                visit.due = min(visit.due, now)

    def hurry(self, now: float) -> None:
        """Look at all of them soon, and often at first, as though they had just come."""
        within = min(self._first, len(self._visits) / _AT_ONCE)
        for _, visit in self._waiting():
            visit.looks = 0
            visit.due = min(visit.due, now + within * self._dice())

    def next_due(self) -> float | None:
        """When the next is to be looked at; None: no time is set for any."""
        due = min((visit.due for visit in self._visits.values()), default=math.inf)
        return due if due < math.inf else None

    def _waiting(self) -> list[tuple[str, _Visit]]:
        return [one for one in self._visits.items() if one[1].due < math.inf]
