"""How often to try again while the store is in trouble. Pure; no clock."""

_FIRST = 1.0  # seconds
_LONGEST = 60.0


def pause(tries: int) -> float:
    """Seconds to wait after that many tries in vain, at least one: 1, 2, 4 ... 60."""
    return min(_FIRST * 2.0 ** min(tries - 1, 10), _LONGEST)
