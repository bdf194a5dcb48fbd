"""What the keys of a waiver may look like in the file. Knows neither other keys nor files."""

from datetime import UTC, date, datetime, time, timedelta

from relay.address import AddressError, parse_domain

KINDS = ("mx-mismatch", "bad-certificate", "no-tls")
_YEARS = range(2000, 3000)
_LONGEST = 300  # characters of a reason, which each violation record repeats
_MOMENT = (
    "must be a date without quotes, such as 2027-01-31, or a time with its zone, such as "
    "2027-01-31T18:00:00Z, of the years 2000 to 2999"
)


def policy_domain(value: object) -> str:
    """One domain, without patterns: a waiver is never wider."""
    try:
        return parse_domain(value if isinstance(value, str) else "")
    except AddressError:
        raise ValueError('must be one domain such as "example.org", without a star') from None


def kinds(value: object) -> tuple[str, ...]:
    """One kind, or a list of them."""
    found = value if isinstance(value, list) else [value]
    if not found or any(one not in KINDS for one in found) or len(set(found)) < len(found):
        words = " or ".join(f'"{one}"' for one in KINDS)
        raise ValueError(f"must be {words}, or a list of these")
    return tuple(found)


# A date is the whole of that day: "until the 31st" means so to most people
def moment(value: object) -> float:
    """Seconds since 1970 at which a time has come, or a day (in UTC) has ended."""
    if isinstance(value, datetime):
        end = value
    elif isinstance(value, date):
        end = datetime.combine(value, time(tzinfo=UTC)) + timedelta(days=value.year in _YEARS)
    else:
        raise ValueError(_MOMENT)  # noqa: TRY004 - the reader of settings tells ValueErrors
    if end.tzinfo is None or value.year not in _YEARS:
        raise ValueError(_MOMENT)
    return end.timestamp()


def sentence(value: object) -> str:
    """A few words for a person, on one line."""
    text = value.strip() if isinstance(value, str) else ""
    if not text or not text.isprintable() or len(text) > _LONGEST:
        raise ValueError(f"must be a few words on one line, at most {_LONGEST} characters")
    return text
