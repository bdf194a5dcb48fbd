"""An attempt at a domain without a policy that was reached with better TLS before."""

import pytest

from relay.delivery.attempt import Attempt
from relay.delivery.hop import HopReport
from relay.delivery.terms import Terms
from relay.delivery.tls import Floors, Level, down_to, ladder_for
from relay.delivery.waiver import Waiver
from relay.outcome import DeliveryResult, Reason, Status
from tests.delivery.test_attempt_waivers import BROKEN, END, EXPIRED, NO_TLS, NOW, OK, ONE, A

OPEN = ladder_for("none", Floors())
ENCRYPTED, VERIFIED = Level.ENCRYPTED, Level.VERIFIED


def run(
    reports: list[HopReport], *, seen: Level = VERIFIED, strict: bool = False, waive: str = ""
) -> DeliveryResult:
    waivers = [Waiver("d.test", waive, END, "known", "waiver[0]")] if waive else []
    ladder, floor = (down_to(seen), "tls.remember") if strict else (OPEN, None)
    terms = Terms("d.test", "none", None, ladder, floor, waivers, remembered=seen)
    attempt = Attempt(terms, [A], [ONE], NOW)
    for report in reports:
        assert attempt.next_hop()
        attempt.feed(report, NOW)
    assert attempt.next_hop() is None
    return attempt.final()


def told(result: DeliveryResult) -> list[tuple[str, str, str]]:
    return [(one.failure or "", one.cause or "", one.action) for one in result.findings]


DROP = "tls-downgrade"


@pytest.mark.parametrize(
    ("reports", "seen", "findings"),
    [
        ([NO_TLS, OK], VERIFIED, [(DROP, "starttls-not-supported", "delivered")]),
        ([NO_TLS, OK], ENCRYPTED, [(DROP, "starttls-not-supported", "delivered")]),
        ([EXPIRED, OK], VERIFIED, [(DROP, "certificate-expired", "delivered")]),
        ([EXPIRED, OK], ENCRYPTED, []),
        ([EXPIRED, BROKEN, OK], ENCRYPTED, [(DROP, "validation-failure", "delivered")]),
        ([OK], VERIFIED, []),
    ],
)
def test_a_drop_is_recorded(
    reports: list[HopReport], seen: Level, findings: list[tuple[str, str, str]]
) -> None:
    result = run(reports, seen=seen)
    assert told(result) == findings
    assert result.outcomes[0].status is Status.DELIVERED
    assert all(one.policy is None for one in result.findings)


@pytest.mark.parametrize(
    ("reports", "seen", "findings"),
    [
        ([NO_TLS], VERIFIED, [(DROP, "starttls-not-supported", "refused")]),
        ([EXPIRED], VERIFIED, [(DROP, "certificate-expired", "refused")]),
        ([EXPIRED, NO_TLS], ENCRYPTED, [(DROP, "starttls-not-supported", "refused")]),
    ],
)
def test_strictly_it_is_refused_and_deferred(
    reports: list[HopReport], seen: Level, findings: list[tuple[str, str, str]]
) -> None:
    result = run(reports, seen=seen, strict=True)
    assert told(result) == findings
    (outcome,) = result.outcomes
    assert (outcome.status, outcome.reason) == (Status.DEFERRED, Reason.TLS_FLOOR)
    assert "(tls.remember)" in str(outcome.reply)


@pytest.mark.parametrize(
    ("reports", "waive", "strict", "actions"),
    [
        ([NO_TLS, OK], "no-tls", True, ["waived"]),
        ([EXPIRED, OK], "bad-certificate", True, ["waived"]),
        ([EXPIRED], "no-tls", True, ["refused"]),
        ([NO_TLS, OK], "no-tls", False, []),
        ([EXPIRED, OK], "no-tls", False, ["delivered"]),
    ],
)
def test_a_waiver_stands_above_it(
    reports: list[HopReport], waive: str, strict: bool, actions: list[str]
) -> None:
    assert [one.action for one in run(reports, strict=strict, waive=waive).findings] == actions
