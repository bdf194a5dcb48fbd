"""Trouble with the store while the queue runs: told now and then, waited out. Knows no jobs."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import count

from relay.errors import StorageClosedError, StorageError
from relay.queue.patience import pause
from relay.spacing import Spacing

log = logging.getLogger(__name__)


class Trouble:
    """The trouble of one queue. `broken`, once it is there: nothing goes on in this storage."""

    def __init__(self, closing: asyncio.Event, on_broken: Callable[[], None]) -> None:
        """Once `closing` is set nothing is tried again; `on_broken` is called at the end of all."""
        self.broken: StorageClosedError | None = None
        self._closing = closing
        self._on_broken = on_broken
        self._told: defaultdict[str, Spacing] = defaultdict(Spacing)

    # A full disk stops a thousand jobs at once: one warning a minute tells of them
    def note(self, error: StorageError, what: str) -> None:
        """Tell of it; `what` is not done."""
        self.judge(error)
        now = asyncio.get_running_loop().time()
        if (others := self._told[what].lets_through(now)) is not None:
            more = f" (and {others} times since the last warning)" if others else ""
            log.warning("%s, trying again: %s%s", what, error, more)

    def judge(self, error: BaseException) -> None:
        """Whether that is the end; told to nobody."""
        if isinstance(error, StorageClosedError):
            self.broken = error
            self._on_broken()

    # Never given up while the relay runs: what was delivered must not be delivered again
    async def insist(self, work: Callable[[], Awaitable[None]], what: str) -> bool:
        """Work until it is done; False: it is not, as the relay is closing."""
        for tries in count(1):
            try:
                await work()
            except StorageError as error:
                self.note(error, what)
            else:
                return True
            if self._closing.is_set():
                break
            await wait_for(self._closing, pause(tries))
        return False


async def wait_for(event: asyncio.Event, seconds: float | None) -> None:
    """Wait for the event, but not longer; None: for ever."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
