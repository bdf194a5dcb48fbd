"""What was lately seen of a host, so that not every message tries in vain (RFC 8461 §5)."""

from collections.abc import Iterable
from typing import Generic, TypeVar

from relay.delivery.hop import Flaw, Hop
from relay.delivery.tls import down_to, rungs_below
from relay.evidence import Failure

_SPAN = 60.0  # seconds
_LONG_SPAN = 3600.0  # seconds, where nobody has promised more
_SILENCE = 600.0  # seconds that a silent address is tried last
_LIMIT = 10_000

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """Values by key, each for a while. Times are in seconds, all by the same clock."""

    def __init__(self, span: float = _SPAN) -> None:
        """Nothing is known; what is kept will be for `span` seconds."""
        self._span = span
        self._seen: dict[K, tuple[float, V]] = {}

    def keep(self, key: K, value: V, now: float) -> None:
        """Remember the value from now on."""
        if len(self._seen) >= _LIMIT:
            self._seen.clear()
        self._seen[key] = (now, value)

    def recall(self, key: K, now: float) -> V | None:
        """The value, where it was kept less than the span ago."""
        known = self._seen.get(key)
        # a clock that was set back must not make the memory longer
        return known[1] if known and 0 <= now - known[0] < self._span else None


_Flaws = Recent[tuple[str, str, int], Flaw]


class FlawMemory:
    """Flaws by host, address and level under policies of one mode. Times are seconds since 1970.

    Only where a lower level will do: what enforce mode asks for is looked at every time. In testing
    mode a flaw is kept for a minute, as somebody waits to see it gone. Without a policy one of a
    certificate is kept for an hour, as each look costs the host and us a connection more; that
    STARTTLS is missing never longer than a minute: who strips it once must not gain an hour of
    mail in clear text.
    """

    def __init__(self, mode: str) -> None:
        """Nothing is known."""
        self._unproven = _Flaws(_LONG_SPAN if mode == "none" else _SPAN)
        self._without_tls = _Flaws(_SPAN)

    def keep(self, hop: Hop, flaw: Flaw, now: float) -> None:
        """Remember what a hop failed by; a broken handshake may pass and is not remembered."""
        if flaw.failure is not Failure.VALIDATION_FAILURE and _leaves_a_rung(hop, flaw):
            no_tls = flaw.failure is Failure.STARTTLS_NOT_SUPPORTED
            flaws = self._without_tls if no_tls else self._unproven
            flaws.keep((hop.host, hop.address, hop.level), flaw, now)

    def recall(self, hop: Hop, now: float) -> Flaw | None:
        """What a hop would fail by; None where nothing is known or there is no lower level."""
        key = (hop.host, hop.address, hop.level)
        flaw = self._without_tls.recall(key, now) or self._unproven.recall(key, now)
        return flaw if flaw and _leaves_a_rung(hop, flaw) else None


# What would keep mail back is looked at every time
def _leaves_a_rung(hop: Hop, flaw: Flaw) -> bool:
    return bool(rungs_below(down_to(hop.least), hop.level, flaw.failure))


class AddressMemory:
    """Addresses at which nobody was reached, for ten minutes. Times are seconds since 1970."""

    def __init__(self) -> None:
        """Nothing is known."""
        self._silent = Recent[str, bool](_SILENCE)

    def keep(self, address: str, now: float) -> None:
        """Remember that nobody was reached there."""
        self._silent.keep(address, value=True, now=now)

    # RFC 8305 §4: what has worked lately goes first; none is left out
    def ordered(self, addresses: Iterable[str], now: float) -> tuple[str, ...]:
        """Those of a host in the order to be tried: as given, but the silent ones last."""
        return tuple(sorted(addresses, key=lambda one: bool(self._silent.recall(one, now))))
