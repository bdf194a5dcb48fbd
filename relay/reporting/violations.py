"""Violation records: findings in the form of the violation log and `relay violations`."""

from typing import Any

from relay.evidence import Certificate, Finding, PolicySnapshot
from relay.timestamp import rfc3339

Record = dict[str, Any]
"""One violation, ready for JSON; the keys and their order are the outside contract."""

VERSION = 1
"""The `v` of a record: one more where the meaning of a key changes, not where keys are added."""


def to_record(finding: Finding, record_id: str) -> Record | None:
    """The violation record of a finding; None for a finding without a failure."""
    if finding.failure is None:
        return None
    policy, handshake = finding.policy, finding.handshake
    shown = handshake.certificate if handshake else None
    return {
        "time": rfc3339(finding.time),
        "domain": finding.domain,
        "mode": _mode(policy),
        "mx": finding.mx,
        "reason": finding.failure.value,
        "result_type": (finding.cause or finding.failure).result_type,
        "action": finding.action.value,
        "detail": finding.detail,
        "policy": None if policy is None else _policy(policy),
        "queue_id": finding.queue_id,
        "recipients": finding.recipients,
        "addresses": list(finding.addresses),
        "tls_version": handshake.tls if handshake else None,
        "tls_error": handshake.error if handshake else None,
        "certificate": None if shown is None else _certificate(shown),
        "id": record_id,
        "v": VERSION,
    }


# "none" is no policy in force (RFC 8461 §5); the record's mode is null then
def _mode(policy: PolicySnapshot | None) -> str | None:
    return policy.mode if policy and policy.mode in ("enforce", "testing") else None


def _policy(policy: PolicySnapshot) -> Record:
    return {
        "id": policy.id,
        "mx": list(policy.mx),
        "max_age": policy.max_age,
        "expires": rfc3339(policy.expires),
    }


def _certificate(shown: Certificate) -> Record:
    return {
        "subject": shown.subject,
        "issuer": shown.issuer,
        "san": list(shown.names),
        "san_count": shown.names_count,
        "not_before": rfc3339(shown.not_before),
        "not_after": rfc3339(shown.not_after),
        "sha256": shown.sha256,
    }
