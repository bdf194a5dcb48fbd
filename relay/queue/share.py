"""Places shared among domains, so that slow ones never take them all. Pure; knows no jobs."""

from collections import Counter
from collections.abc import Callable


class Share:
    """`places` in all; a domain takes at most `each(domain)`, and never more than it leaves free.

    So one domain alone may hold half of the places, two a third each, and there is always a place
    for another domain while there are places at all.
    """

    def __init__(self, places: int, each: Callable[[str], int]) -> None:
        """Nothing is taken yet."""
        self._each = each
        self._taken: Counter[str] = Counter()
        self.free = places

    def has_room(self, domain: str) -> bool:
        """Whether the domain may take one more place."""
        return self._taken[domain] < min(self._each(domain), self.free)

    def take(self, domain: str) -> None:
        """Take a place, whether there is room or not: what is already here must be somewhere."""
        self._taken[domain] += 1
        self.free -= 1

    def give_back(self, domain: str) -> None:
        """A place taken is free again."""
        self.free += 1
        self._taken[domain] -= 1
        if not self._taken[domain]:
            del self._taken[domain]

    def full(self) -> list[str]:
        """The domains that may take no more."""
        return [domain for domain in self._taken if not self.has_room(domain)]
