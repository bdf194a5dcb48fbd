"""Violation records: findings in the form of the violation log and `relay violations`."""

from typing import Any

from relay.evidence import Finding, PolicySnapshot
from relay.timestamp import rfc3339

Record = dict[str, Any]
"""One violation, ready for JSON; the keys and their order are the outside contract."""


def to_record(finding: Finding) -> Record | None:
    """The violation record of a finding; None for a finding without a failure."""
    if finding.failure is None:
        return None
    policy = finding.policy
    return {
        "time": rfc3339(finding.time),
        "domain": finding.domain,
        "mode": _mode(policy),
        "mx": finding.mx,
        "reason": finding.failure.value,
        "result_type": finding.failure.result_type,
        "action": finding.action.value,
        "detail": finding.detail,
        "policy": None if policy is None else _policy(policy),
        "queue_id": finding.queue_id,
        "recipients": finding.recipients,
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
