"""Violations in words and rows, for people."""

from collections.abc import Sequence

from relay.cli.moments import moment, short_moment
from relay.cli.output import Line
from relay.reporting.store import Repeat
from relay.reporting.violations import Record

WIDE = (
    *("last", "first", "times", "domain", "mode", "host", "what was wrong", "done", "detail", "id"),
)
STACKED = ("last seen", "domain, host", "what was wrong", "times, since")

_WORDS = {
    "mx-mismatch": "host not in policy",
    "starttls-not-supported": "no STARTTLS",
    "certificate-expired": "certificate expired",
    "certificate-host-mismatch": "certificate for another name",
    "certificate-not-trusted": "certificate not trusted",
    "validation-failure": "TLS failed",
    "sts-policy-fetch-error": "policy not fetched",
    "sts-policy-invalid": "policy not valid",
    "sts-webpki-invalid": "policy host's certificate",
    "policy-removed": "policy record gone",
    "policy-weakened": "policy weakened",
    "policy-replaced": "policy's hosts replaced",
    "tls-downgrade": "less TLS than before",
}
_STYLES = {"refused": "red", "delivered": "yellow", "waived": "magenta"}


def words_for(reason: str) -> str:
    """What was wrong in words; a reason of a later version as it is."""
    return _WORDS.get(reason, reason)


def record_row(record: Record) -> tuple[str, ...]:
    """A record as a row: time, domain, mode, host, what was wrong, what was done, detail."""
    return (
        str(record["time"])[:19].replace("T", " "),
        str(record["domain"]),
        str(record["mode"] or "-"),
        str(record["mx"] or "-"),
        words_for(record["reason"]),
        str(record["action"]),
        str(record["detail"]),
    )


def wide_row(one: Repeat) -> tuple[str, ...]:
    """A repeat as a row of WIDE."""
    return (
        moment(one.last),
        moment(one.first),
        str(one.count),
        one.domain,
        one.mode or "-",
        one.mx or "-",
        words_for(one.reason),
        one.action,
        one.detail,
        one.record_id,
    )


def stacked_row(one: Repeat, now: float) -> Sequence[Sequence[Line]]:
    """A repeat as a row of STACKED, for narrow terminals."""
    since = short_moment(one.first, now)
    return (
        ((short_moment(one.last, now), ""), (one.record_id, "dim")),
        ((one.domain, "bold"), (one.mx or "-", "")),
        (
            (words_for(one.reason), _STYLES.get(one.action, "")),
            (f"{one.mode or 'no policy'}: {one.action}", ""),
        ),
        ((str(one.count), ""), *([(since, "dim")] if one.count > 1 else [])),
    )
