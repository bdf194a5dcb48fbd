"""What was lately seen of a host, so that not every message tries in vain (RFC 8461 §5)."""

from typing import Generic, TypeVar

from relay.delivery.hop import Flaw, Hop
from relay.evidence import Failure

_SPAN = 60.0  # seconds
_LIMIT = 10_000

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """Values by key, each for a minute. Times are seconds since 1970."""

    def __init__(self) -> None:
        """Nothing is known."""
        self._seen: dict[K, tuple[float, V]] = {}

    def keep(self, key: K, value: V, now: float) -> None:
        """Remember the value from now on."""
        if len(self._seen) >= _LIMIT:
            self._seen.clear()
        self._seen[key] = (now, value)

    def recall(self, key: K, now: float) -> V | None:
        """The value, where it was kept less than a minute ago."""
        known = self._seen.get(key)
        # a clock that was set back must not make the memory longer
        return known[1] if known and 0 <= now - known[0] < _SPAN else None


class FlawMemory:
    """Flaws by host, address and level, for a minute. Times are seconds since 1970.

    Only where a lower level will do: what enforce mode asks for is looked at every time.
    """

    def __init__(self) -> None:
        """Nothing is known."""
        self._flaws = Recent[tuple[str, str, int], Flaw]()

    def keep(self, hop: Hop, flaw: Flaw, now: float) -> None:
        """Remember what a hop failed by; a broken handshake may pass and is not remembered."""
        if flaw.failure is not Failure.VALIDATION_FAILURE and hop.level > hop.least:
            self._flaws.keep((hop.host, hop.address, hop.level), flaw, now)

    def recall(self, hop: Hop, now: float) -> Flaw | None:
        """What a hop would fail by; None where nothing is known or there is no lower level."""
        flaw = self._flaws.recall((hop.host, hop.address, hop.level), now)
        return flaw if hop.level > hop.least else None
