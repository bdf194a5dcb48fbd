"""Memory for the bodies of mail that is being delivered, shared among domains. Knows no jobs."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Room:
    """`octets` in all; a domain takes what it leaves free at least, so others always find some.

    A body larger than that is let in where nothing else is.
    """

    def __init__(self, octets: int) -> None:
        """Nothing is taken yet."""
        self._free = octets
        self._taken: Counter[str] = Counter()
        self._waiting: deque[tuple[str, int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def hold(self, domain: str, octets: int) -> AsyncIterator[None]:
        """Room for a body while inside; waits for it, those of one domain in turn."""
        if not octets:
            yield
            return
        if not self._fits(domain, octets) or self._is_awaited(domain):
            await self._turn(domain, octets)
        else:
            self._take(domain, octets)
        try:
            yield
        finally:
            self._give_back(domain, octets)

    def _fits(self, domain: str, octets: int) -> bool:
        return not self._taken or self._taken[domain] + octets <= self._free

    def _is_awaited(self, domain: str) -> bool:
        return any(one == domain for one, _, _ in self._waiting)

    async def _turn(self, domain: str, octets: int) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((domain, octets, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give_back(domain, octets)
            else:
                self._waiting.remove((domain, octets, turn))
            raise

    def _take(self, domain: str, octets: int) -> None:
        self._taken[domain] += octets
        self._free -= octets

    def _give_back(self, domain: str, octets: int) -> None:
        self._free += octets
        self._taken[domain] -= octets
        if not self._taken[domain]:
            del self._taken[domain]
        passed_over: set[str] = set()
        for entry in list(self._waiting):
            one, wanted, turn = entry
            if turn.done():
                continue  # it was cancelled a moment ago
            if one in passed_over or not self._fits(one, wanted):
                passed_over.add(one)
                continue
            self._waiting.remove(entry)
            self._take(one, wanted)
            turn.set_result(None)
