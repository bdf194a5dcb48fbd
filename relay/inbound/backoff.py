"""Who has failed to log in too often, and when to hear them again. Pure; memory is bounded."""

from collections import OrderedDict

_FREE = 5  # failures in a row that cost nothing: people mistype
_LONGEST = 600.0  # seconds
_FORGOTTEN = 3600.0  # seconds without a failure
_CLIENTS = 10_000  # remembered; the ones that failed longest ago are forgotten first


class Backoff:
    """Failures in a row by client; every `now` is of one clock that never jumps, in seconds."""

    def __init__(self) -> None:
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def wait(self, client: str, now: float) -> float:
        """Seconds until the client is heard again; none: it is."""
        count, last = self._known(client, now)
        pause = min(2.0 ** (count - _FREE), _LONGEST) if count >= _FREE else 0.0
        return max(0.0, last + pause - now)

    def fail(self, client: str, now: float) -> None:
        """The client has failed once more."""
        count, _ = self._known(client, now)
        self._failures[client] = min(count, _CLIENTS) + 1, now
        self._failures.move_to_end(client)
        if len(self._failures) > _CLIENTS:
            self._failures.popitem(last=False)

    def succeed(self, client: str) -> None:
        """The client has logged in: its failures are forgotten."""
        self._failures.pop(client, None)

    def _known(self, client: str, now: float) -> tuple[int, float]:
        count, last = self._failures.get(client, (0, now))
        return (0, now) if now - last > _FORGOTTEN else (count, last)
