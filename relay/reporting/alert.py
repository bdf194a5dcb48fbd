"""Alerts: violations in the form in which they are told to the operator's programs. Pure."""

from typing import Any

from relay.evidence import Action, Failure, Finding, PolicySnapshot
from relay.immutable import immutable
from relay.reporting.violations import Record, to_record
from relay.timestamp import rfc3339

VERSION = 1
"""The `v` of an alert: one more where the meaning of a key changes, not where keys are added."""

_DOWNGRADES = {
    Failure.POLICY_REMOVED,
    Failure.POLICY_WEAKENED,
    Failure.POLICY_REPLACED,
    Failure.TLS_DOWNGRADE,
}
_SAMPLE_ID = "0" * 12


@immutable
class Alert:
    """What is to be told: the newest violation of a domain and reason, and how many there were.

    `count` are those since the last alert, this one included, from `first` to `last` in seconds
    since 1970.
    """

    domain: str
    reason: str
    count: int
    first: float
    last: float
    record: Record


def to_object(alert: Alert, hostname: str, now: float, *, is_test: bool = False) -> dict[str, Any]:
    """The alert, ready for JSON; keys and meaning are those of docs/alerts.md."""
    return {
        "v": VERSION,
        "kind": "downgrade" if alert.reason in _DOWNGRADES else "violation",
        "test": is_test,
        "time": rfc3339(now),
        "hostname": hostname,
        "count": alert.count,
        "since": rfc3339(alert.first),
        "text": _text(alert, hostname, is_test=is_test),
        "violation": alert.record,
    }


def sample(now: float) -> Alert:
    """An alert about nothing, to try the way that alerts take; `now` in seconds since 1970."""
    domain, host = "example.org", "mx.example.org"
    policy = PolicySnapshot("20260101T0000", "enforce", ("mail.example.org",), 604_800, now)
    failure = Failure.MX_MISMATCH
    detail = f"{host} is not in the policy of {domain}, which lists mail.example.org"
    finding = Finding(now, domain, policy, failure, detail, Action.REFUSED, host, recipients=1)
    return Alert(domain, failure, 1, now, now, to_record(finding, _SAMPLE_ID) or {})


def _text(alert: Alert, hostname: str, *, is_test: bool) -> str:
    record = alert.record
    before = "a test, nothing has happened: " if is_test else ""
    text = f"{hostname}: {before}{record['detail']} ({alert.reason}, {record['action']})"
    if alert.count == 1:
        return text
    return f"{text}; {alert.count} times for {alert.domain} since {rfc3339(alert.first)}"
