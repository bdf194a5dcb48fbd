"""Times for people, in UTC."""

from relay.timestamp import rfc3339

_RECENT = 180 * 86_400.0  # seconds that a day needs no year


def moment(seconds: float) -> str:
    """A time to the second."""
    return rfc3339(seconds)[:19].replace("T", " ")


# As `ls` does: the time of day while the year is plain, then the year
def short_moment(seconds: float, now: float) -> str:
    """A time for a narrow column."""
    text = rfc3339(seconds)
    return f"{text[5:10]} {text[11:16]}" if abs(now - seconds) < _RECENT else text[:10]
