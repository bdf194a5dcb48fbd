"""Waiting until what the event loop has to do brings no more, so that what came goes together.

A turn of the loop in which nothing is to be done takes some microseconds: on an idle one nobody is
kept waiting for others who do not come.
"""

import asyncio
from collections.abc import Callable


class Lull:
    """Acts on what has gathered once some turns of the event loop in a row have brought no more."""

    def __init__(
        self, count: Callable[[], int], act: Callable[[], None], turns: int, patience: float
    ) -> None:
        """`count` tells how much there is. `patience` is in seconds; the turn in which it ends is
        the last one, for what is brought may have no end."""
        self._count = count
        self._act = act
        self._turns = turns
        self._patience = patience
        self._next: asyncio.Handle | None = None

    def begin(self) -> None:
        """Look at each turn of the running loop from now on, and act in time."""
        if self._next:
            self._next.cancel()
        loop = asyncio.get_running_loop()
        self._look(loop, -1, self._turns, loop.time() + self._patience)

    def _look(self, loop: asyncio.AbstractEventLoop, known: int, turns: int, until: float) -> None:
        come = self._count()
        turns = turns - 1 if come == known else self._turns
        if turns and loop.time() < until:
            self._next = loop.call_soon(self._look, loop, come, turns, until)
        else:
            self._next = None
            self._act()
