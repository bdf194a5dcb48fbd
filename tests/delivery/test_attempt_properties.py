"""Whatever hosts do, an attempt ends, tells of everyone once, and never goes below its policy."""

from hypothesis import given
from hypothesis import strategies as st

from relay.delivery.attempt import Attempt
from relay.delivery.blame import Blame
from relay.delivery.hop import (
    Declined,
    Exchange,
    Flaw,
    Hop,
    HopReport,
    Host,
    Unprotected,
    Unreachable,
    Waived,
)
from relay.delivery.terms import Terms
from relay.delivery.tls import Floors, Level, ladder_for
from relay.delivery.waiver import Waiver
from relay.evidence import Action, Failure
from relay.outcome import DeliveryResult, Reason, Status
from relay.reply import Reply

TRANSIENT = st.sampled_from([421, 450, 451, 452, 454])
REFUSALS = st.builds(Reply, TRANSIENT | st.sampled_from([550, 552, 554]), st.none(), st.just("no"))
REPLIES = REFUSALS | st.builds(Reply, st.sampled_from([250, 251, 259]), st.none(), st.just("ok"))
FLOORS = st.builds(
    Floors,
    st.sampled_from(["opportunistic", "encrypt", "verify"]),
    st.sampled_from(["opportunistic", "encrypt", "verify"]),
)
TROUBLE = Blame(Reason.DNS, Reply(451, "4.4.3", "SERVFAIL"))


@st.composite
def hosts(draw: st.DrawFn) -> list[Host]:
    """One to three hosts, each with its own addresses or a trouble."""
    made = []
    for number in range(draw(st.integers(1, 3))):
        count = draw(st.integers(0, 3))
        addresses = tuple(f"192.0.{number}.{one}" for one in range(count))
        trouble = None if addresses else TROUBLE
        made.append(Host(f"mx{number}.test", addresses, trouble, draw(st.booleans())))
    return made


@st.composite
def reports(draw: st.DrawFn, hop: Hop) -> HopReport:
    """Anything a visit may come to."""
    match draw(st.integers(0, 3)):
        case 0:
            return Unreachable("gone")
        case 1:
            return Unprotected(Flaw(draw(st.sampled_from(list(Failure)[1:6])), "flaw"))
        case 2:
            return Declined(draw(REFUSALS), remote=draw(st.booleans()))
    heard = draw(st.lists(st.sampled_from(hop.recipients), unique=True))
    replies = {recipient: draw(REPLIES) for recipient in heard}
    lost = draw(st.booleans()) or len(heard) < len(hop.recipients)
    return Exchange(replies, "cut" if lost else "", lost and draw(st.booleans()))


END = 10.0
KINDS = ["mx-mismatch", "bad-certificate", "no-tls"]
LEAST = {"mx-mismatch": Level.VERIFIED, "bad-certificate": Level.ENCRYPTED, "no-tls": Level.CLEAR}


class Play:
    """One attempt with given hosts, and what they said."""

    def __init__(
        self,
        mode: str,
        floors: Floors,
        given_hosts: list[Host],
        count: int,
        kinds: frozenset[str] = frozenset(),
    ) -> None:
        self.mode = mode
        self.kinds = kinds
        self.ladder = ladder_for(mode, floors)
        self.hosts = {host.name: host for host in given_hosts}
        self.recipients = [f"{number}@d.test" for number in range(count)]
        waivers = [Waiver("d.test", kind, END, "why", "waiver[0]") for kind in sorted(kinds)]
        terms = Terms("d.test", mode, None, self.ladder, None, waivers)
        self.attempt = Attempt(terms, given_hosts, self.recipients, 0.0)
        self.settled: dict[str, Status] = {}
        self.in_doubt = False

    def allow(self, hop: Hop) -> None:
        assert not self.in_doubt
        assert hop.address in self.hosts[hop.host].addresses
        assert hop.recipients
        assert not self.settled.keys() & set(hop.recipients)
        if hop.waived:
            self.allow_waived(hop, hop.waived)
            return
        assert hop.level in self.ladder
        if self.mode == "enforce":
            assert hop.level is Level.VERIFIED
            assert self.hosts[hop.host].listed

    def allow_waived(self, hop: Hop, waived: Waived) -> None:
        assert waived.waiver.kind in self.kinds
        assert waived.until == END
        assert hop.level is hop.least is LEAST[waived.waiver.kind]
        if self.mode == "enforce" and not self.hosts[hop.host].listed:
            assert "mx-mismatch" in self.kinds

    def note(self, report: HopReport) -> None:
        if isinstance(report, Exchange):
            self.in_doubt = report.in_doubt
            self.settled |= {
                recipient: Status.DELIVERED if reply.code < 300 else Status.FAILED
                for recipient, reply in report.replies.items()
                if not 400 <= reply.code < 500
            }

    def check(self, result: DeliveryResult) -> None:
        assert [outcome.recipient for outcome in result.outcomes] == self.recipients
        for outcome in result.outcomes:
            delivered = outcome.status is Status.DELIVERED
            assert outcome.status is self.settled.get(outcome.recipient, outcome.status)
            assert delivered == (outcome.reason is None)
            assert not delivered or outcome.recipient in self.settled
        actions = {finding.action for finding in result.findings}
        allowed = {"enforce": {Action.REFUSED}, "testing": {Action.REFUSED, Action.DELIVERED}}
        waived = {Action.WAIVED} if self.kinds else set()
        assert actions <= allowed.get(self.mode, set()) | waived


@given(
    st.data(),
    st.sampled_from(["enforce", "testing", "none"]),
    FLOORS,
    hosts(),
    st.integers(1, 3),
    st.frozensets(st.sampled_from(KINDS)),
)
def test_any_attempt(
    data: st.DataObject,
    mode: str,
    floors: Floors,
    given_hosts: list[Host],
    count: int,
    kinds: frozenset[str],
) -> None:
    """SND-17: one outcome for each; STS-87: nothing to an unlisted host, nothing below the top, but
    what a waiver lets pass; and the walk ends."""
    play = Play(mode, floors, given_hosts, count, kinds)
    levels = len(play.ladder) + len(kinds)
    for _ in range(sum(len(host.addresses) for host in given_hosts) * levels * (count + 1)):
        if hop := play.attempt.next_hop():
            play.allow(hop)
            report = data.draw(reports(hop))
            play.note(report)
            play.attempt.feed(report, 1.0)
    assert play.attempt.next_hop() is None
    play.check(play.attempt.final())


@given(
    st.data(),
    st.sampled_from(["enforce", "testing", "none"]),
    FLOORS,
    hosts(),
    st.frozensets(st.sampled_from(KINDS), min_size=1),
)
def test_a_waiver_changes_nothing_for_mail_that_goes_without(
    data: st.DataObject,
    mode: str,
    floors: Floors,
    given_hosts: list[Host],
    kinds: frozenset[str],
) -> None:
    """The same hops come first, and where these serve everyone there are no others."""
    plain = Play(mode, floors, given_hosts, 2)
    waiving = Play(mode, floors, given_hosts, 2, kinds)
    while hop := plain.attempt.next_hop():
        assert waiving.attempt.next_hop() == hop
        report = data.draw(reports(hop))
        for play in (plain, waiving):
            play.note(report)
            play.attempt.feed(report, 1.0)
    if plain.in_doubt or plain.settled.keys() == set(plain.recipients):
        assert waiving.attempt.next_hop() is None
        with_it, without = waiving.attempt.final(), plain.attempt.final()
        assert [one.status for one in with_it.outcomes] == [one.status for one in without.outcomes]
        assert with_it.findings == without.findings
