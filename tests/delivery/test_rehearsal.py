"""What an attempt would come to by what hosts told a probe: the attempt's own judgement."""

from collections.abc import Mapping

import pytest

from relay.delivery.blame import unreachable
from relay.delivery.hop import Declined, Exchange, Flaw, HopReport, Host, Unprotected, Unreachable
from relay.delivery.rehearsal import Place, Verdict, rehearse
from relay.delivery.terms import Terms
from relay.delivery.tls import Level
from relay.evidence import Failure, PolicySnapshot
from relay.reply import Reply

from .conftest import NOW

ONE = Host("a.test", ("192.0.2.1", "192.0.2.2"))
TWO = Host("b.test", ("192.0.2.3",))
LOST = Host("c.test", trouble=unreachable("c.test", "192.0.2.4", "no route"))
OTHER = Host("o.test", ("192.0.2.9",), listed=False)
TAKEN = Exchange({"u@d.test": Reply(250, None, "yes")}, tls="verified TLSv1.3")
FLAW = Unprotected(Flaw(Failure.STARTTLS_NOT_SUPPORTED, "no STARTTLS"))


def judge(mode: str, *hosts: Host, reports: Mapping[Place, HopReport]) -> Verdict:
    snapshot = PolicySnapshot("1", mode, ("a.test",), 60, NOW)
    ladder = {
        "enforce": (Level.VERIFIED,),
        "testing": (Level.VERIFIED, Level.ENCRYPTED),
        "none": (Level.ENCRYPTED, Level.CLEAR),
    }[mode]
    return rehearse(Terms("d.test", mode, snapshot, ladder), hosts, "u@d.test", reports, NOW)


def at(address: str, level: Level = Level.VERIFIED, host: str = "a.test") -> Place:
    return (host, address, level)


def test_what_nobody_was_asked_stays_open() -> None:
    assert judge("enforce", OTHER, LOST, ONE, reports={}) == Verdict(
        "offered", "a.test", "verified"
    )


@pytest.mark.parametrize(
    ("mode", "hosts", "reports", "status", "host", "reason"),
    [
        ("enforce", [ONE], {at("192.0.2.1"): TAKEN}, "delivered", "a.test", None),
        (
            "enforce",
            [ONE],
            {at("192.0.2.1"): Unreachable("gone"), at("192.0.2.2"): TAKEN},
            *("delivered", "a.test", None),
        ),
        (
            "enforce",
            [ONE, TWO],
            {at("192.0.2.1"): FLAW, at("192.0.2.3", host="b.test"): TAKEN},
            *("delivered", "b.test", None),
        ),
        ("enforce", [ONE, TWO], {at("192.0.2.1"): FLAW}, "offered", "b.test", None),
        ("enforce", [ONE], {at("192.0.2.1"): FLAW}, "deferred", "a.test", "policy"),
        ("testing", [ONE], {at("192.0.2.1"): FLAW}, "deferred", "a.test", "tls-floor"),
        ("none", [ONE], {at("192.0.2.1", Level.ENCRYPTED): FLAW}, "offered", "a.test", None),
        ("enforce", [OTHER], {}, "deferred", "o.test", "policy"),
        ("enforce", [LOST], {}, "deferred", "c.test", "unreachable"),
        (
            "enforce",
            [ONE],
            {at("192.0.2.1"): Declined(Reply(554, None, "no"))},
            *("bounced", "a.test", "answered"),
        ),
    ],
)
def test_verdict(
    mode: str,
    hosts: list[Host],
    reports: dict[Place, HopReport],
    status: str,
    host: str,
    reason: str | None,
) -> None:
    verdict = judge(mode, *hosts, reports=reports)
    assert (verdict.status, verdict.host, verdict.reason) == (status, host, reason)
    assert bool(verdict.detail) == (status in ("deferred", "bounced"))


def test_violations_are_told() -> None:
    verdict = judge("testing", OTHER, reports={at("192.0.2.9", host="o.test"): TAKEN})
    assert [one.failure for one in verdict.findings] == [Failure.MX_MISMATCH]
