"""Violation records hold exactly what the contract lists, in its order."""

from dataclasses import replace

import pytest

from relay.evidence import (
    Action,
    Certificate,
    Failure,
    Finding,
    Handshake,
    PolicySnapshot,
)
from relay.reporting.violations import to_record

SNAPSHOT = PolicySnapshot("20260901", "enforce", ("mx.d.test", "*.in.d.test"), 604800, 1788825600)

CERTIFICATE = Certificate(
    subject="CN=mx.d.test",
    issuer="CN=root",
    names=("mx.d.test",),
    names_count=2,
    not_before=1788220800,
    not_after=1788825600,
    sha256="ab",
)
WRITTEN = {
    "subject": "CN=mx.d.test",
    "issuer": "CN=root",
    "san": ["mx.d.test"],
    "san_count": 2,
    "not_before": "2026-09-01T00:00:00.000Z",
    "not_after": "2026-09-08T00:00:00.000Z",
    "sha256": "ab",
}


def finding(policy: PolicySnapshot | None, failure: Failure | None) -> Finding:
    return Finding(
        time=1788220800.25,
        domain="d.test",
        policy=policy,
        failure=failure,
        detail="mx.evil.test is not listed",
        action=Action.REFUSED,
        mx="mx.evil.test",
        addresses=("192.0.2.1",),
        queue_id="Q1",
        recipients=2,
    )


def test_a_violation_record() -> None:
    record = to_record(finding(SNAPSHOT, Failure.MX_MISMATCH), "a1")
    assert record is not None
    assert list(record.items()) == [
        ("time", "2026-09-01T00:00:00.250Z"),
        ("domain", "d.test"),
        ("mode", "enforce"),
        ("mx", "mx.evil.test"),
        ("reason", "mx-mismatch"),
        ("result_type", "validation-failure"),
        ("action", "refused"),
        ("detail", "mx.evil.test is not listed"),
        (
            "policy",
            {
                "id": "20260901",
                "mx": ["mx.d.test", "*.in.d.test"],
                "max_age": 604800,
                "expires": "2026-09-08T00:00:00.000Z",
            },
        ),
        ("queue_id", "Q1"),
        ("recipients", 2),
        ("addresses", ["192.0.2.1"]),
        ("tls_version", None),
        ("tls_error", None),
        ("certificate", None),
        ("id", "a1"),
        ("v", 1),
    ]


@pytest.mark.parametrize("shown", [None, CERTIFICATE], ids=["unreadable", "readable"])
def test_what_a_failed_handshake_has_shown(shown: Certificate | None) -> None:
    handshake = Handshake("TLSv1.3", "certificate has expired", shown)
    seen = replace(finding(SNAPSHOT, Failure.CERTIFICATE_EXPIRED), handshake=handshake)
    record = to_record(seen, "a1")
    assert record is not None
    assert (record["tls_version"], record["tls_error"]) == ("TLSv1.3", "certificate has expired")
    assert record["certificate"] == (shown and WRITTEN)


# RFC 8460 §4.3 has no type for these
NAMELESS = [
    Failure.MX_MISMATCH,
    Failure.POLICY_REMOVED,
    Failure.POLICY_WEAKENED,
    Failure.POLICY_REPLACED,
    Failure.TLS_DOWNGRADE,
]


@pytest.mark.parametrize("failure", NAMELESS)
def test_what_has_no_type_of_its_own_is_the_general_one(failure: Failure) -> None:
    record = to_record(finding(SNAPSHOT, failure), "a1")
    assert record is not None
    assert (record["reason"], record["result_type"]) == (failure.value, "validation-failure")


@pytest.mark.parametrize("failure", [one for one in Failure if one not in NAMELESS])
def test_every_other_reason_is_a_result_type_of_rfc_8460(failure: Failure) -> None:
    record = to_record(finding(SNAPSHOT, failure), "a1")
    assert record is not None
    assert record["reason"] == record["result_type"] == failure.value


def test_without_a_policy_mode_and_policy_are_null() -> None:
    record = to_record(finding(None, Failure.STS_POLICY_FETCH_ERROR), "a1")
    assert record is not None
    assert (record["mode"], record["policy"]) == (None, None)


def test_mode_none_is_no_policy_in_force() -> None:
    none = PolicySnapshot("1", "none", (), 86400, 0)
    record = to_record(finding(none, Failure.STS_POLICY_INVALID), "a1")
    assert record is not None
    assert record["mode"] is None
    assert record["policy"]["id"] == "1"


def test_a_finding_without_a_failure_is_no_violation() -> None:
    assert to_record(finding(SNAPSHOT, None), "a1") is None


def test_a_downgrade_has_the_type_of_what_it_came_by() -> None:
    drop = replace(finding(None, Failure.TLS_DOWNGRADE), cause=Failure.CERTIFICATE_EXPIRED)
    record = to_record(drop, "a1")
    assert record is not None
    told = (record["reason"], record["result_type"])
    assert told == ("tls-downgrade", "certificate-expired")
