"""Waiting as long as the event loop has something to do: what comes of it then goes together.

A turn of the loop in which nothing is to be done takes some microseconds, so nobody is kept waiting
for others who do not come.
"""

import asyncio
from collections.abc import Callable


class Lull:
    """Acts on what has gathered once some turns of the event loop in a row have brought no more."""

    def __init__(
        self, count: Callable[[], int], act: Callable[[], None], turns: int, patience: float
    ) -> None:
        """`count` tells how much there is. `patience` is in seconds: it does not wait longer, since
        what is brought may have no end."""
        self._count = count
        self._act = act
        self._turns = turns
        self._patience = patience
        self._next: asyncio.Handle | None = None

    def begin(self) -> None:
        """Look at each turn of the running loop from now on, and act in time."""
        self.end()
        loop = asyncio.get_running_loop()
        self._look(loop, -1, self._turns, loop.time() + self._patience)

    def end(self) -> None:
        """Do not act."""
        if self._next:
            self._next.cancel()
            self._next = None

    def _look(self, loop: asyncio.AbstractEventLoop, known: int, turns: int, until: float) -> None:
        come = self._count()
        turns = turns - 1 if come == known else self._turns
        if turns and loop.time() < until:
            self._next = loop.call_soon(self._look, loop, come, turns, until)
        else:
            self._next = None
            self._act()
