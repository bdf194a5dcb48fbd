"""The control flow of an attempt: which hops come, what is recorded, what the outcomes say."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.delivery.attempt import Attempt
from relay.delivery.blame import Blame
from relay.delivery.hop import (
    Declined,
    Exchange,
    Flaw,
    HopReport,
    Host,
    Unprotected,
    Unreachable,
)
from relay.delivery.terms import Terms
from relay.delivery.tls import Floors, ladder_for
from relay.evidence import Failure, Handover, PolicySnapshot
from relay.outcome import DeliveryResult, Outcome, Reason, Status
from relay.reply import Reply, parse_reply

NOW = 1_800_000_000.0
ONE, TWO = "1@d.test", "2@d.test"
A = Host("a.d.test", ("192.0.2.1", "2001:db8::1"))
B = Host("b.d.test", ("192.0.2.2",))
A1, A2, B1 = "192.0.2.1", "2001:db8::1", "192.0.2.2"
GONE = Unreachable("connection refused")
LOST = Exchange(lost="connection lost")
EXPIRED = Unprotected(Flaw(Failure.CERTIFICATE_EXPIRED, "the certificate of X has expired"))
BROKEN = Unprotected(Flaw(Failure.VALIDATION_FAILURE, "TLS with X failed"))
NO_TLS = Unprotected(Flaw(Failure.STARTTLS_NOT_SUPPORTED, "X does not offer STARTTLS"))
TAKEN = "250 2.0.0 taken"


def said(**replies: str) -> Exchange:
    """An exchange: said(_1="250 ok", _2="550 5.1.1 who")."""
    texts = {f"{name[1:]}@d.test": reply for name, reply in replies.items()}
    return Exchange({one: parse_reply(int(text[:3]), text[4:]) for one, text in texts.items()})


def play(
    reports: list[HopReport],
    mode: str = "none",
    hosts: tuple[Host, ...] = (A, B),
    recipients: tuple[str, ...] = (ONE,),
    floors: Floors | None = None,
) -> tuple[list[str], DeliveryResult]:
    """The hops taken, as "address LEVEL", and the result; every report must be asked for."""
    snapshot = PolicySnapshot("1", mode, ("*.d.test",), 86400, NOW + 86400)
    terms = Terms("d.test", mode, snapshot, ladder_for(mode, floors or Floors()))
    attempt = Attempt(terms, hosts, recipients, NOW)
    hops = []
    for number, report in enumerate(reports, 1):
        hop = attempt.next_hop()
        assert hop, "the attempt ended early"
        hops.append(f"{hop.address} {hop.level.name}")
        attempt.feed(report, NOW + number)
    assert attempt.next_hop() is None, "the attempt goes on"
    return hops, attempt.final()


def only(result: DeliveryResult) -> Outcome:
    (outcome,) = result.outcomes
    return outcome


def told(result: DeliveryResult) -> list[str]:
    return [f"{one.mx} {one.failure} {one.action}" for one in result.findings]


UNLISTED = replace(A, listed=False)
OK = said(_1=TAKEN)

FLOWS = [
    pytest.param("none", [OK], [f"{A1} VERIFIED"], [], id="no policy, good host"),
    pytest.param(
        "none", [GONE, GONE, OK], [f"{A1} VERIFIED", f"{A2} VERIFIED", f"{B1} VERIFIED"], [],
        id="SND-05",
    ),
    pytest.param(
        "none", [NO_TLS, OK], [f"{A1} VERIFIED", f"{A1} CLEAR"], [], id="STS-91 no STARTTLS"
    ),
    pytest.param(
        "none", [BROKEN, BROKEN, OK], [f"{A1} VERIFIED", f"{A1} ENCRYPTED", f"{A1} CLEAR"], [],
        id="broken TLS, in the clear",
    ),
    pytest.param(
        "none", [EXPIRED, OK], [f"{A1} VERIFIED", f"{A1} ENCRYPTED"], [], id="any certificate"
    ),
    pytest.param("enforce", [OK], [f"{A1} VERIFIED"], [], id="enforce, good host"),
    pytest.param(
        "enforce", [EXPIRED, OK], [f"{A1} VERIFIED", f"{B1} VERIFIED"],
        ["a.d.test certificate-expired refused"], id="STS-88 next host",
    ),
    pytest.param(
        "enforce", [GONE, NO_TLS, OK], [f"{A1} VERIFIED", f"{A2} VERIFIED", f"{B1} VERIFIED"],
        ["a.d.test starttls-not-supported refused"], id="STS-94 unreachable is no violation",
    ),
    pytest.param(
        "testing", [EXPIRED, OK], [f"{A1} VERIFIED", f"{A1} ENCRYPTED"],
        ["a.d.test certificate-expired delivered"], id="CNF-02 CNF-03 STS-90",
    ),
    pytest.param(
        "testing", [NO_TLS, OK], [f"{A1} VERIFIED", f"{B1} VERIFIED"],
        ["a.d.test starttls-not-supported refused"], id="CNF-01 the floor refuses",
    ),
    pytest.param(
        "testing", [BROKEN, BROKEN, OK], [f"{A1} VERIFIED", f"{A1} ENCRYPTED", f"{B1} VERIFIED"],
        ["a.d.test validation-failure refused"], id="one record, and what held the mail counts",
    ),
    pytest.param(
        "testing", [EXPIRED, NO_TLS, OK], [f"{A1} VERIFIED", f"{A1} ENCRYPTED", f"{B1} VERIFIED"],
        ["a.d.test certificate-expired delivered", "a.d.test starttls-not-supported refused"],
        id="the certificate did not keep it, STARTTLS did",
    ),
    pytest.param(
        "testing", [EXPIRED, GONE, EXPIRED, OK],
        [f"{A1} VERIFIED", f"{A1} ENCRYPTED", f"{A2} VERIFIED", f"{A2} ENCRYPTED"],
        ["a.d.test certificate-expired delivered"], id="once for a host and reason",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("mode", "reports", "hops", "records"), FLOWS)
def test_flow(mode: str, reports: list[HopReport], hops: list[str], records: list[str]) -> None:
    taken, result = play(reports, mode)
    assert taken == hops
    assert told(result) == records
    assert only(result).status is Status.DELIVERED
    assert only(result).reason is None


def test_opportunistic_testing() -> None:
    """CNF-01: the RFC's own leniency delivers in the clear, recorded once."""
    floors = Floors(testing="opportunistic")
    hops, result = play([NO_TLS, OK], "testing", floors=floors)
    assert hops == [f"{A1} VERIFIED", f"{A1} CLEAR"]
    assert told(result) == ["a.d.test starttls-not-supported delivered"]


HANDED_OVER = [
    ("enforce", [OK], A, "verified", []),
    ("testing", [EXPIRED, OK], A, "encrypted", ["certificate-expired"]),
    ("testing", [OK], UNLISTED, "verified", ["mx-mismatch"]),
    ("testing", [EXPIRED, OK], UNLISTED, "encrypted", ["mx-mismatch", "certificate-expired"]),
    ("none", [OK], A, "verified", []),
    ("none", [NO_TLS, OK], A, "clear", ["starttls-not-supported"]),
    ("none", [BROKEN, BROKEN, OK], A, "clear", ["validation-failure"]),
]


@pytest.mark.parametrize(("mode", "reports", "host", "level", "flaws"), HANDED_OVER)
def test_how_well_mail_was_protected(
    mode: str, reports: list[HopReport], host: Host, level: str, flaws: list[str]
) -> None:
    _, result = play(reports, mode, (host,))
    expected = Handover("d.test", mode, "a.d.test", level, tuple(map(Failure, flaws)), 1)
    assert result.handovers == (expected,)


def test_only_who_took_the_mail_has_it() -> None:
    reports: list[HopReport] = [said(_1="550 no", _2="450 later"), said(_2=TAKEN)]
    _, result = play(reports, recipients=(ONE, TWO))
    assert [(one.mx, one.recipients) for one in result.handovers] == [("b.d.test", 1)]
    assert not play([said(_1="550 no")])[1].handovers


class TestUnlisted:
    def test_enforce_passes_over(self) -> None:
        """STS-87: an unlisted host is not even connected to."""
        hops, result = play([OK], "enforce", (UNLISTED, B))
        assert hops == [f"{B1} VERIFIED"]
        assert told(result) == ["a.d.test mx-mismatch refused"]
        (finding,) = result.findings
        assert finding.detail == "a.d.test is not in the policy of d.test, which lists *.d.test"
        assert (finding.time, finding.recipients) == (NOW, 1)
        assert finding.addresses == (A1, A2)

    def test_a_long_list_is_cut_short(self) -> None:
        patterns = tuple(f"mx{number}.d.test" for number in range(100))
        snapshot = PolicySnapshot("1", "enforce", patterns, 86400, NOW + 86400)
        terms = Terms("d.test", "enforce", snapshot, ladder_for("enforce", Floors()))
        (finding,) = Attempt(terms, (UNLISTED,), (ONE,), NOW).final().findings
        assert finding.detail.endswith("which lists mx0.d.test, mx1.d.test, mx2.d.test, "
                                       "mx3.d.test, mx4.d.test and others")  # fmt: skip

    def test_testing_goes_there(self) -> None:
        """STS-89, CNF-12: the order does not change."""
        hops, result = play([OK], "testing", (UNLISTED, B))
        assert hops == [f"{A1} VERIFIED"]
        assert told(result) == ["a.d.test mx-mismatch delivered"]

    def test_not_recorded_without_contact(self) -> None:
        _, result = play([GONE, GONE, OK], "testing", (UNLISTED, B))
        assert told(result) == []

    def test_recorded_once_with_other_flaws(self) -> None:
        _, result = play([EXPIRED, said(_1="450 no")], "testing", (UNLISTED,))
        assert told(result) == [
            "a.d.test mx-mismatch delivered",
            "a.d.test certificate-expired delivered",
        ]

    def test_mode_none_asks_for_nothing(self) -> None:
        """STS-91."""
        _, result = play([OK], "none", (UNLISTED,))
        assert told(result) == []


HELD = [
    pytest.param("enforce", [EXPIRED], A, Reason.POLICY, "4.7.5", id="STS-99 certificate"),
    pytest.param("enforce", [NO_TLS], A, Reason.POLICY, "4.7.4", id="STS-99 no TLS"),
    pytest.param("enforce", [], UNLISTED, Reason.POLICY, "4.7.1", id="STS-99 unlisted"),
    pytest.param("testing", [NO_TLS], A, Reason.TLS_FLOOR, "4.7.4", id="CNF-10 testing floor"),
]


@pytest.mark.parametrize(("mode", "reports", "host", "reason", "status"), HELD)
def test_held(mode: str, reports: list[HopReport], host: Host, reason: Reason, status: str) -> None:
    _, result = play(reports, mode, (host,))
    outcome = only(result)
    assert outcome.status is Status.DEFERRED
    assert (outcome.reason, outcome.reply.code, outcome.reply.enhanced) == (reason, 451, status)
    assert not outcome.remote
    assert outcome.host == "a.d.test"
    assert "d.test" in outcome.reply.text
    assert ("mode enforce" if mode == "enforce" else "tls.testing") in outcome.reply.text
    (finding,) = result.findings
    assert ("tls.testing" in finding.detail) == (mode == "testing")


def test_held_without_policy() -> None:
    """Only our own floor: no violation."""
    _, result = play([NO_TLS], hosts=(B,), floors=Floors(no_policy="encrypt"))
    assert only(result).reason is Reason.TLS_FLOOR
    assert "tls.no_policy" in only(result).reply.text
    assert not result.findings


REPLIES = [
    pytest.param(TAKEN, Status.DELIVERED, id="SND-12 2yz"),
    pytest.param("259 odd", Status.DELIVERED, id="SND-10 any 2yz"),
    pytest.param("251 will forward", Status.DELIVERED, id="SND-38"),
    pytest.param("550 5.1.1 who", Status.FAILED, id="SND-12 5yz"),
]


@pytest.mark.parametrize(("reply", "status"), REPLIES)
def test_last_word(reply: str, status: Status) -> None:
    _, result = play([said(_1=reply)])
    assert (only(result).status, only(result).remote) == (status, True)
    assert (only(result).host, only(result).address) == ("a.d.test", A1)


def test_transient_goes_to_the_next_host() -> None:
    hops, result = play([said(_1="450 4.2.0 later"), said(_1=TAKEN)])
    assert hops == [f"{A1} VERIFIED", f"{B1} VERIFIED"]
    assert only(result).status is Status.DELIVERED


def test_each_recipient_for_itself() -> None:
    """SND-17: who was served is not offered again."""
    three = "3@d.test"
    reports: list[HopReport] = [
        said(_1=TAKEN, _2="450 4.2.0 later", _3="550 5.1.1 who"),
        said(_2="450 4.2.0 later"),
    ]
    _, result = play(reports, recipients=(ONE, TWO, three))
    statuses = [one.status for one in result.outcomes]
    assert [one.recipient for one in result.outcomes] == [ONE, TWO, three]
    assert statuses == [Status.DELIVERED, Status.DEFERRED, Status.FAILED]
    assert result.outcomes[1].reason is Reason.ANSWERED


def test_same_recipient_twice() -> None:
    _, result = play([OK], recipients=(ONE, ONE))
    assert [one.status for one in result.outcomes] == [Status.DELIVERED] * 2


def test_too_many_recipients() -> None:
    """SND-14: the rest goes to the same host in another transaction."""
    reports: list[HopReport] = [said(_1=TAKEN, _2="452 4.5.3 too many"), said(_2=TAKEN)]
    hops, result = play(reports, recipients=(ONE, TWO))
    assert hops == [f"{A1} VERIFIED"] * 2
    assert {one.status for one in result.outcomes} == {Status.DELIVERED}
    # one message, however many transactions it took
    assert [(one.mx, one.recipients) for one in result.handovers] == [("a.d.test", 2)]


def test_452_without_progress_goes_on() -> None:
    hops, _ = play([said(_1="452 4.3.1 full"), said(_1="452 4.3.1 full")])
    assert hops == [f"{A1} VERIFIED", f"{B1} VERIFIED"]


class TestLost:
    def test_next_host(self) -> None:
        """SND-18."""
        hops, result = play([LOST, LOST])
        assert hops == [f"{A1} VERIFIED", f"{B1} VERIFIED"]
        assert only(result).reason is Reason.UNREACHABLE
        assert only(result).reply.enhanced == "4.4.2"

    def test_answers_before_it_count(self) -> None:
        refused = said(_2="550 5.1.1 who")
        broken = replace(refused, lost="connection lost")
        _, result = play([broken, said(_1=TAKEN)], recipients=(ONE, TWO))
        assert [one.status for one in result.outcomes] == [Status.DELIVERED, Status.FAILED]

    def test_after_the_message_was_out(self) -> None:
        """SND-20: another host might be given a second copy."""
        doubt = Exchange(lost="no answer in time", in_doubt=True)
        hops, result = play([doubt])
        assert hops == [f"{A1} VERIFIED"]
        assert only(result).status is Status.DEFERRED
        assert only(result).reason is Reason.UNREACHABLE


DECLINED = Declined(Reply(554, "5.3.2", "no service"))
BUSY = Declined(Reply(421, "4.3.2", "busy"))
TOO_BIG = Declined(Reply(552, "5.3.4", "too big"), remote=False)
TROUBLE = Blame(Reason.DNS, Reply(451, "4.4.3", "SERVFAIL"), "b.d.test")

WHOLE_HOST = [
    pytest.param([DECLINED, OK], Status.DELIVERED, None, id="SND-13"),
    pytest.param([DECLINED, DECLINED], Status.FAILED, Reason.ANSWERED, id="SND-13 SND-39 all"),
    pytest.param([TOO_BIG, TOO_BIG], Status.FAILED, Reason.ANSWERED, id="EXT-08 all agree"),
    pytest.param([TOO_BIG, OK], Status.DELIVERED, None, id="EXT-08 another takes it"),
    pytest.param([DECLINED, BUSY], Status.DEFERRED, Reason.ANSWERED, id="one is only busy"),
    pytest.param([DECLINED, GONE], Status.DEFERRED, Reason.UNREACHABLE, id="one is away"),
    pytest.param([said(_1="450 no"), DECLINED], Status.DEFERRED, Reason.ANSWERED, id="one waits"),
]


@pytest.mark.parametrize(("reports", "status", "reason"), WHOLE_HOST)
def test_whole_host(reports: list[HopReport], status: Status, reason: Reason | None) -> None:
    _, result = play(reports)
    assert (only(result).status, only(result).reason) == (status, reason)


def test_own_decision_is_not_remote() -> None:
    _, result = play([TOO_BIG, TOO_BIG])
    assert not only(result).remote


@pytest.mark.parametrize(
    ("mode", "reports", "hosts", "reason"),
    [
        ("enforce", [EXPIRED, said(_1="450 no")], (A, B), Reason.POLICY),
        ("enforce", [GONE], (UNLISTED, B), Reason.POLICY),
        ("none", [GONE, GONE, said(_1="450 no")], (A, B), Reason.ANSWERED),
        ("none", [GONE, GONE], (A, Host("b.d.test", trouble=TROUBLE)), Reason.UNREACHABLE),
        ("none", [], (Host("b.d.test", trouble=TROUBLE),), Reason.DNS),
        ("none", [DECLINED], (A, Host("b.d.test", trouble=TROUBLE)), Reason.DNS),
    ],
)
def test_precedence(
    mode: str, reports: list[HopReport], hosts: tuple[Host, ...], reason: Reason
) -> None:
    _, result = play(reports, mode, hosts)
    assert only(result).status is Status.DEFERRED
    assert only(result).reason is reason


def test_findings_carry_their_time() -> None:
    _, result = play([GONE, EXPIRED, OK], "testing", (A,))
    (finding,) = result.findings
    assert finding.time == NOW + 2
    assert finding.addresses == (A2,)
    assert finding.policy
    assert finding.queue_id is None


def test_no_new_address_after_half_an_hour() -> None:
    terms = Terms("d.test", "none", None, ladder_for("none", Floors()))
    attempt = Attempt(terms, (B, A), (ONE,), NOW)
    attempt.feed(DECLINED, NOW + 1801)
    assert attempt.next_hop() is None
    assert only(attempt.final()).status is Status.DEFERRED


def test_only_the_last_address_of_a_host_is_waited_for() -> None:
    terms = Terms("d.test", "none", None, ladder_for("none", Floors()))
    attempt = Attempt(terms, (A, B), (ONE,), NOW)
    seen = []
    while hop := attempt.next_hop():
        seen.append((hop.address, hop.hurried))
        attempt.feed(GONE, NOW)
    assert seen == [(A1, True), (A2, False), (B1, False)]


STRANGERS = [Host("c.test", (A1, A2), listed=False), Host("d.test", (B1,), listed=False)]
HOSTS = st.lists(st.sampled_from([A, B, *STRANGERS]), min_size=1, max_size=4)
SAID = st.builds(
    said,
    _1=st.sampled_from(["250 ok", "450 later", "550 no", "452 more"]),
    _2=st.sampled_from(["250 ok", "450 later", "550 no"]),
)
TROUBLES: list[HopReport] = [GONE, LOST, EXPIRED, BROKEN, NO_TLS, DECLINED, TOO_BIG]
REPORTS = st.sampled_from(TROUBLES) | SAID
FLOORS = st.builds(Floors, *[st.sampled_from(["opportunistic", "encrypt", "verify"])] * 2)


@given(st.sampled_from(["enforce", "testing", "none"]), HOSTS, FLOORS, st.data())
def test_whatever_hosts_answer(
    mode: str, hosts: list[Host], floors: Floors, data: st.DataObject
) -> None:
    """STS-65, STS-87, STS-91, CNF-10: the walk ends, by the rules, with a word on everyone."""
    snapshot = PolicySnapshot("1", mode, ("*.d.test",), 86400, NOW + 86400)
    ladder = ladder_for(mode, floors)
    attempt = Attempt(Terms("d.test", mode, snapshot, ladder), hosts, (ONE, TWO), NOW)
    for _ in range(100):
        if (hop := attempt.next_hop()) is None:
            break
        assert hop.level in ladder
        if mode == "enforce":
            assert (hop.level.name, hop.host in (A.name, B.name)) == ("VERIFIED", True)
        attempt.feed(data.draw(REPORTS), NOW)
    else:
        pytest.fail("the attempt does not end")
    result = attempt.final()
    assert [one.recipient for one in result.outcomes] == [ONE, TWO]
    assert mode != "none" or not result.findings
    for outcome in result.outcomes:
        if outcome.reason in (Reason.POLICY, Reason.TLS_FLOOR):
            assert outcome.status is Status.DEFERRED
            assert str(outcome.reply).startswith("451 4.7.")
