"""The time of day as an argument, so that no rule about time needs to wait in a test."""

import time
from typing import Protocol


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> float:
        """Seconds since 1970-01-01T00:00:00Z."""
        ...


class SystemClock:
    """The machine's own clock; it may jump, so callers never trust a stored time in the future."""

    def now(self) -> float:
        """Seconds since 1970-01-01T00:00:00Z."""
        return time.time()  # noqa: TID251 - the one place where the clock is read
