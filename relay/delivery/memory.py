"""Which TLS level a host lately failed, so that not every message tries in vain (RFC 8461 §5).

Only where a lower level will do: what enforce mode asks for is looked at every time.
"""

from relay.delivery.hop import Flaw, Hop
from relay.evidence import Failure

_SPAN = 60.0  # seconds
_LIMIT = 10_000


class FlawMemory:
    """Flaws by host, address and level, for a minute. Times are seconds since 1970."""

    def __init__(self) -> None:
        """Nothing is known."""
        self._flaws: dict[tuple[str, str, int], tuple[float, Flaw]] = {}

    def keep(self, hop: Hop, flaw: Flaw, now: float) -> None:
        """Remember what a hop failed by; a broken handshake may pass and is not remembered."""
        if flaw.failure is Failure.VALIDATION_FAILURE or hop.level <= hop.least:
            return
        if len(self._flaws) >= _LIMIT:
            self._flaws.clear()
        self._flaws[hop.host, hop.address, hop.level] = (now, flaw)

    def recall(self, hop: Hop, now: float) -> Flaw | None:
        """What a hop would fail by; None where nothing is known or there is no lower level."""
        known = self._flaws.get((hop.host, hop.address, hop.level))
        # a clock that was set back must not make the memory longer
        if known is None or hop.level <= hop.least or not 0 <= now - known[0] < _SPAN:
            return None
        return known[1]
