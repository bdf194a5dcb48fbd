"""Times as text, in UTC: RFC 3339 with milliseconds for programs, RFC 5322 for mail headers."""

from datetime import UTC, datetime
from functools import lru_cache

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def rfc3339(seconds: float) -> str:
    """Seconds since 1970 as "2026-09-01T07:00:00.000Z"."""
    whole, micro = divmod(round(seconds * 1_000_000), 1_000_000)
    return f"{_second(whole)}.{micro // 1000:03}Z"


@lru_cache(maxsize=8)  # a log has many lines of one second
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().removesuffix("+00:00")


# RFC 5322 §3.3: the names are English whatever the locale, which strftime would ask
@lru_cache(maxsize=8)  # all mail of one second has the same
def rfc5322(seconds: float) -> str:
    """Seconds since 1970 as "Tue, 01 Sep 2026 07:00:00 +0000"."""
    moment = datetime.fromtimestamp(seconds, UTC)
    day, month = _DAYS[moment.weekday()], _MONTHS[moment.month - 1]
    return f"{day}, {moment:%d} {month} {moment.year:04} {moment:%H:%M:%S} +0000"


def parse_rfc3339(text: str) -> float:
    """Seconds since 1970. Raises ValueError; a time without a zone is refused."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return moment.timestamp()
