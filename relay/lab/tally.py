"""A list that can be waited on, so that tests await what happens instead of sleeping."""

import asyncio
from typing import TypeVar

T = TypeVar("T")


class Tally(list[T]):
    """What has happened so far, in order."""

    def __init__(self) -> None:
        super().__init__()
        self._grown = asyncio.Event()

    def append(self, item: T) -> None:
        """Add an item and wake whoever waits for it."""
        super().append(item)
        self._grown.set()

    async def reach(self, count: int, seconds: float) -> list[T]:
        """Wait until there are at least `count` items; all of them. Raises TimeoutError."""
        try:
            async with asyncio.timeout(seconds):
                while len(self) < count:
                    self._grown.clear()
                    await self._grown.wait()
        except TimeoutError:
            raise TimeoutError(f"{len(self)} of {count} after {seconds:g} s") from None
        return list(self)
