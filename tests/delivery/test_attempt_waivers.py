"""An attempt with waivers: what each kind lets pass and no more, in which order, until when."""

from dataclasses import replace

import pytest

from relay.delivery.attempt import Attempt
from relay.delivery.hop import Exchange, Flaw, HopReport, Host, Lapsed, Unprotected, Unreachable
from relay.delivery.terms import Terms
from relay.delivery.tls import Floors, ladder_for
from relay.delivery.waiver import Waiver
from relay.evidence import Failure, PolicySnapshot
from relay.outcome import DeliveryResult, Reason, Status
from relay.reply import parse_reply

NOW = 1_800_000_000.0
END = NOW + 100
ONE = "1@d.test"
A = Host("a.d.test", ("192.0.2.1",))
B = Host("b.d.test", ("192.0.2.2",))
STRANGER = replace(A, listed=False)
GONE = Unreachable("connection refused")
EXPIRED = Unprotected(Flaw(Failure.CERTIFICATE_EXPIRED, "the certificate has expired"))
BROKEN = Unprotected(Flaw(Failure.VALIDATION_FAILURE, "TLS failed"))
NO_TLS = Unprotected(Flaw(Failure.STARTTLS_NOT_SUPPORTED, "no STARTTLS"))
OK = Exchange({ONE: parse_reply(250, "2.0.0 taken")})
LATER = Exchange({ONE: parse_reply(450, "4.2.0 later")})
NEVER = Exchange({ONE: parse_reply(550, "5.1.1 who")})
MX, CERT, CLEAR = "mx-mismatch", "bad-certificate", "no-tls"
FLAWS = {
    "unlisted": (STRANGER, ()),
    "certificate": (A, (EXPIRED,)),
    "no STARTTLS": (A, (NO_TLS,)),
    "broken TLS": (A, (BROKEN,)),
}


class Play:
    """One attempt for one recipient; the hops as "host LEVEL"."""

    def __init__(
        self, *kinds: str, mode: str = "enforce", hosts: tuple[Host, ...] = (A,), floors: Floors
    ) -> None:
        snapshot = PolicySnapshot("1", mode, ("b.d.test",), 86400, NOW + 86400)
        waivers = [Waiver("d.test", kind, END, "they know", "waiver[0]") for kind in kinds]
        terms = Terms("d.test", mode, snapshot, ladder_for(mode, floors), None, waivers)
        self.attempt = Attempt(terms, hosts, [ONE], NOW)
        self.hops: list[str] = []

    def feed(self, *reports: HopReport, now: float = NOW) -> None:
        for report in reports:
            hop = self.attempt.next_hop()
            assert hop, "the attempt ended early"
            mark = " waived" if hop.waived else ""
            self.hops.append(f"{hop.host[0]} {hop.level.name}{mark}")
            self.attempt.feed(report, now)

    def end(self) -> DeliveryResult:
        assert self.attempt.next_hop() is None, "the attempt goes on"
        return self.attempt.final()


def play(*kinds: str, mode: str = "enforce", hosts: tuple[Host, ...] = (A,)) -> Play:
    return Play(*kinds, mode=mode, hosts=hosts, floors=Floors())


def told(result: DeliveryResult) -> list[str]:
    return [f"{one.mx[0] if one.mx else ''} {one.failure} {one.action}" for one in result.findings]


def reason(result: DeliveryResult) -> Reason | None:
    return result.outcomes[0].reason


@pytest.mark.parametrize(
    ("flaw", "kind", "hop"),
    [
        ("unlisted", MX, "a VERIFIED waived"),
        ("certificate", CERT, "a ENCRYPTED waived"),
        ("no STARTTLS", CLEAR, "a CLEAR waived"),
        ("broken TLS", CLEAR, "a CLEAR waived"),
        *((flaw, kind, None) for flaw in ("certificate", "no STARTTLS", "broken TLS")
          for kind in (MX, CERT, CLEAR)
          if (flaw, kind) not in {("certificate", CERT), ("no STARTTLS", CLEAR),
                                  ("broken TLS", CLEAR)}),
        ("unlisted", CERT, None),
        ("unlisted", CLEAR, None),
    ],
)  # fmt: skip
def test_sts_87_each_kind_lets_its_own_flaw_pass(flaw: str, kind: str, hop: str | None) -> None:
    host, reports = FLAWS[flaw]
    one = play(kind, hosts=(host,))
    one.feed(*reports)
    if hop is None:
        result = one.end()
        assert reason(result) is Reason.POLICY
        assert "has ended" not in result.outcomes[0].reply.text
        assert [line.rpartition(" ")[2] for line in told(result)] == ["refused"]
        return
    one.feed(OK)
    result = one.end()
    assert one.hops[-1] == hop
    assert result.outcomes[0].status is Status.DELIVERED
    (finding,) = result.findings
    assert finding.action == "waived"
    assert finding.detail.endswith(
        f"; waiver[0] ({kind}, until 2027-01-15T08:01:40.000Z) lets it pass: they know"
    )


@pytest.mark.parametrize(
    ("kinds", "reports", "hops", "records", "status"),
    [
        pytest.param(
            (MX,), (EXPIRED,), ["VERIFIED"],
            ["mx-mismatch waived", "certificate-expired refused"], Status.DEFERRED,
            id="its certificate must verify",
        ),
        pytest.param(
            (MX, CERT), (EXPIRED, OK), ["VERIFIED", "ENCRYPTED"],
            ["mx-mismatch waived", "certificate-expired waived"], Status.DELIVERED, id="both",
        ),
        pytest.param(
            (MX, CERT), (NO_TLS,), ["VERIFIED"],
            ["mx-mismatch waived", "starttls-not-supported refused"], Status.DEFERRED,
            id="not in the clear",
        ),
        pytest.param(
            (MX, CERT, CLEAR), (EXPIRED, BROKEN, OK), ["VERIFIED", "ENCRYPTED", "CLEAR"],
            ["mx-mismatch waived", "certificate-expired waived", "validation-failure waived"],
            Status.DELIVERED, id="all three",
        ),
        pytest.param(
            (MX, CLEAR), (EXPIRED,), ["VERIFIED"],
            ["mx-mismatch waived", "certificate-expired refused"], Status.DEFERRED,
            id="a bad certificate is not no TLS",
        ),
        pytest.param(
            (MX, CERT), (GONE,), ["VERIFIED"], ["mx-mismatch refused"], Status.DEFERRED,
            id="nobody there",
        ),
        pytest.param(
            (MX,), (LATER,), ["VERIFIED"], ["mx-mismatch waived"], Status.DEFERRED,
            id="whatever the host answers",
        ),
    ],
)  # fmt: skip
def test_several_flaws(
    kinds: tuple[str, ...],
    reports: tuple[HopReport, ...],
    hops: list[str],
    records: list[str],
    status: Status,
) -> None:
    one = play(*kinds, hosts=(STRANGER,))
    one.feed(*reports)
    result = one.end()
    assert one.hops == [f"a {level} waived" for level in hops]
    assert told(result) == [f"a {record}" for record in records]
    assert result.outcomes[0].status is status


class TestOrder:
    def test_who_complies_comes_first(self) -> None:
        one = play(MX, hosts=(STRANGER, B))
        one.feed(OK)
        assert one.hops == ["b VERIFIED"]
        assert told(one.end()) == ["a mx-mismatch refused"]

    def test_what_a_host_that_complies_says_is_final(self) -> None:
        one = play(MX, hosts=(STRANGER, B))
        one.feed(NEVER)
        assert one.end().outcomes[0].status is Status.FAILED

    def test_others_only_where_it_does_not_serve(self) -> None:
        one = play(MX, hosts=(STRANGER, B))
        one.feed(GONE, OK)
        assert one.hops == ["b VERIFIED", "a VERIFIED waived"]
        assert told(one.end()) == ["a mx-mismatch waived"]

    def test_fewest_flaws_first(self) -> None:
        one = play(MX, CERT, hosts=(STRANGER, B))
        one.feed(EXPIRED, EXPIRED, GONE, OK)
        assert one.hops == [
            "b VERIFIED", "a VERIFIED waived", "b ENCRYPTED waived", "a ENCRYPTED waived",
        ]  # fmt: skip


class TestOwnFloor:
    """It lets pass what our own settings ask for, too; recorded with or without a policy."""

    @pytest.mark.parametrize("mode", ["testing", "none"])
    def test_encrypt(self, mode: str) -> None:
        floors = Floors("encrypt", "encrypt")
        one = Play(CLEAR, mode=mode, floors=floors)
        one.feed(NO_TLS, OK)
        assert one.hops[-1] == "a CLEAR waived"
        assert told(one.end()) == ["a starttls-not-supported waived"]

    def test_verify(self) -> None:
        one = Play(CERT, mode="none", floors=Floors("verify", "verify"))
        one.feed(EXPIRED, OK)
        assert one.hops == ["a VERIFIED", "a ENCRYPTED waived"]
        assert told(one.end()) == ["a certificate-expired waived"]

    def test_where_testing_delivers_no_waiver_is_used(self) -> None:
        one = play(MX, CERT, CLEAR, mode="testing", hosts=(STRANGER,))
        one.feed(EXPIRED, OK)
        assert one.hops == ["a VERIFIED", "a ENCRYPTED"]
        assert told(one.end()) == ["a mx-mismatch delivered", "a certificate-expired delivered"]


class TestEnd:
    def test_on_the_second(self) -> None:
        for now, hops in ((END - 0.001, 2), (END, 1)):
            one = play(CERT)
            one.feed(EXPIRED, now=now)
            if hops == 2:
                one.feed(OK, now=now)
                assert told(one.end()) == ["a certificate-expired waived"]
            else:
                result = one.end()
                assert told(result) == ["a certificate-expired refused"]
                text = result.outcomes[0].reply.text
                assert text.endswith(
                    "waiver[0] (bad-certificate, until 2027-01-15T08:01:40.000Z) has ended"
                )

    def test_before_its_turn_came(self) -> None:
        one = play(CERT)
        one.feed(EXPIRED)
        hop = one.attempt.next_hop()
        assert hop
        assert hop.waived
        assert hop.waived.until == END
        one.feed(Lapsed(hop.waived.flaw), now=END)
        result = one.end()
        assert told(result) == ["a certificate-expired refused"]
        assert reason(result) is Reason.POLICY

    def test_the_first_of_several(self) -> None:
        """A host that needs two waivers is let pass until the first of them ends."""
        waivers = [
            Waiver("d.test", MX, END - 50, "x", "waiver[0]"),
            Waiver("d.test", CERT, END, "x", "waiver[1]"),
        ]
        terms = Terms("d.test", "enforce", None, ladder_for("enforce", Floors()), None, waivers)
        attempt = Attempt(terms, [STRANGER], [ONE], NOW)
        attempt.feed(EXPIRED, NOW)
        hop = attempt.next_hop()
        assert hop
        assert hop.waived
        assert (hop.waived.waiver, hop.waived.until) == (waivers[1], END - 50)
