"""Whatever hosts do, an attempt ends, tells of everyone once, and never goes below its policy."""

from hypothesis import given
from hypothesis import strategies as st

from relay.delivery.attempt import Attempt, Terms
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
)
from relay.delivery.tls import Floors, Level, ladder_for
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


class Play:
    """One attempt with given hosts, and what they said."""

    def __init__(self, mode: str, floors: Floors, given_hosts: list[Host], count: int) -> None:
        self.mode = mode
        self.ladder = ladder_for(mode, floors)
        self.hosts = {host.name: host for host in given_hosts}
        self.recipients = [f"{number}@d.test" for number in range(count)]
        terms = Terms("d.test", mode, None, self.ladder)
        self.attempt = Attempt(terms, given_hosts, self.recipients, 0.0)
        self.settled: dict[str, Status] = {}
        self.in_doubt = False

    def allow(self, hop: Hop) -> None:
        assert not self.in_doubt
        assert hop.address in self.hosts[hop.host].addresses
        assert hop.level in self.ladder
        assert hop.recipients
        assert not self.settled.keys() & set(hop.recipients)
        if self.mode == "enforce":
            assert hop.level is Level.VERIFIED
            assert self.hosts[hop.host].listed

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
        assert actions <= allowed.get(self.mode, set())


@given(
    st.data(),
    st.sampled_from(["enforce", "testing", "none"]),
    FLOORS,
    hosts(),
    st.integers(1, 3),
)
def test_any_attempt(
    data: st.DataObject, mode: str, floors: Floors, given_hosts: list[Host], count: int
) -> None:
    """SND-17: one outcome for each; STS-87: nothing to an unlisted host, nothing below the top."""
    play = Play(mode, floors, given_hosts, count)
    most = sum(len(host.addresses) for host in given_hosts) * len(play.ladder) * (count + 1)
    for _ in range(most):
        if hop := play.attempt.next_hop():
            play.allow(hop)
            report = data.draw(reports(hop))
            play.note(report)
            play.attempt.feed(report, 1.0)
    assert play.attempt.next_hop() is None
    play.check(play.attempt.final())
