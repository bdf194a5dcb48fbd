"""The control flow of one attempt (RFC 8461 §5, RFC 5321 §5.1) as pure state. Does no I/O.

Hosts are walked in the order given, each host's addresses in turn until one answers, at that
address the levels of the ladder from the top. What is left then is offered to hosts that a waiver
lets pass, those with the fewest flaws first: so a waiver changes nothing for mail that goes without
one. The walk is a generator: it yields hops and is sent what each of them came to.
"""

from collections import deque
from collections.abc import Generator, Iterable, Sequence
from dataclasses import replace

from relay.delivery import blame
from relay.delivery.blame import Blame
from relay.delivery.handovers import Handovers
from relay.delivery.hop import (
    Declined,
    Exchange,
    Flaw,
    Hop,
    HopReport,
    Host,
    Lapsed,
    Unprotected,
    Unreachable,
    Waived,
)
from relay.delivery.terms import Terms
from relay.delivery.tls import Level, reason_for, rungs_below
from relay.delivery.waiver import ended_waiver, find_waiver
from relay.evidence import Action, Failure, Finding
from relay.outcome import DeliveryResult, Outcome, Reason
from relay.reply import Severity

_TIME_LIMIT = 1800.0  # seconds; then no new address is tried: many silent ones would take hours
_SHOWN = 5  # patterns told in a sentence; a policy has room for ten thousand
_Walk = Generator[Hop, HopReport, None]


class Attempt:
    """One attempt to deliver to the recipients of one domain: next_hop, feed, final."""

    def __init__(
        self, terms: Terms, hosts: Sequence[Host], recipients: Sequence[str], now: float
    ) -> None:
        """Begin before the first of `hosts`, at least one, in the order to be tried.

        `now` is in seconds since 1970, here as in `feed`; findings carry it.
        """
        self._terms = terms
        self._recipients = tuple(recipients)
        self._begun = self._now = now
        self._pending = dict.fromkeys(recipients)
        self._outcomes: dict[str, Outcome] = {}
        self._blames: dict[str, list[Blame]] = {one: [] for one in recipients}
        self._findings: dict[tuple[str, Failure], Finding] = {}
        self._handovers = Handovers(terms)
        self._opened = deque[tuple[Host, Waived]]()  # hosts ruled out but for a waiver
        self._walk = self._over(hosts)
        self._hop = next(self._walk, None)

    def next_hop(self) -> Hop | None:
        """The next hop; None when everyone is served or nothing is left to try."""
        return self._hop

    def feed(self, report: HopReport, now: float) -> None:
        """Take in what the hop came to."""
        self._now = now
        try:
            self._hop = self._walk.send(report)
        except StopIteration:
            self._hop = None

    def final(self) -> DeliveryResult:
        """The outcome of every recipient, all findings, and who took the mail."""
        outcomes = [self._outcomes.get(one) or self._unserved(one) for one in self._recipients]
        findings = tuple(self._findings.values())
        return DeliveryResult(tuple(outcomes), findings, self._handovers.all())

    def _over(self, hosts: Iterable[Host]) -> _Walk:
        for host in hosts:
            # RFC 8461 §5.1: an unlisted host is passed over as though unreachable
            if not host.listed and self._terms.mode == "enforce":
                self._hold(host, self._mismatch(host))
            else:
                yield from self._visit(host, None)
            if not self._pending:
                return
        while self._opened and self._pending:
            yield from self._visit(*self._opened.popleft())

    # RFC 5321 §5.1: each address in turn; the first that answers speaks for the host
    def _visit(self, host: Host, waived: Waived | None) -> _Walk:
        if host.trouble:
            self._charge(host.trouble)
            return
        last = (host.addresses[0], "the attempt took too long")
        for address in host.addresses:
            if self._now - self._begun > _TIME_LIMIT:
                break
            hurried = address != host.addresses[-1]
            report = yield from self._descend(host, address, waived, hurried=hurried)
            if not isinstance(report, Unreachable):
                return
            last = (address, report.why)
        self._charge(blame.unreachable(host.name, *last))

    def _descend(
        self, host: Host, address: str, waived: Waived | None, *, hurried: bool
    ) -> Generator[Hop, HopReport, HopReport]:
        rungs = (waived.waiver.level,) if waived else self._terms.ladder
        flaws = [] if host.listed else [Failure.MX_MISMATCH]
        flaws += [waived.flaw.failure] if waived else []
        while True:
            told = (tuple(self._pending), hurried, waived)
            hop = Hop(host.name, address, rungs[0], rungs[-1], *told)
            report = yield hop
            self._note_contact(host, hop, report)
            match report:
                case Unprotected(flaw) | Lapsed(flaw):
                    rungs = rungs_below(rungs, hop.level, flaw.failure)
                    if not rungs:
                        self._hold(host, flaw, hop)
                        return report
                    self._note(host, flaw, Action.DELIVERED, address)
                    self._note_drop(host, flaw, rungs[0], Action.DELIVERED, hop)
                    flaws.append(flaw.failure)
                case Exchange():
                    self._take(hop, report)
                    self._handovers.note(hop, report, flaws)
                    if not report.asks_for_more:
                        return report
                case Declined(reply, remote, tls):
                    self._charge(Blame(Reason.ANSWERED, reply, host.name, address, remote, tls))
                    return report
                case Unreachable():
                    return report

    # RFC 5321 §4.2.1, §3.3: each recipient's reply counts for itself
    def _take(self, hop: Hop, report: Exchange) -> None:
        for recipient in hop.recipients:
            reply = report.replies.get(recipient)
            if reply is None:
                why = report.lost or "no answer about a recipient"
                cause = blame.lost(hop.host, hop.address, why, report.tls)
            else:
                told = (reply, hop.host, hop.address, True, report.tls, report.dsn)
                cause = Blame(Reason.ANSWERED, *told)
            self._blames[recipient].append(cause)
            if reply and reply.severity is not Severity.TRANSIENT:
                self._settle(recipient, cause)
        if report.in_doubt:
            # the host may have the message: to offer it to another now may make a second copy
            self._pending.clear()

    def _settle(self, recipient: str, answer: Blame) -> None:
        del self._pending[recipient]
        self._outcomes[recipient] = blame.outcome_of(recipient, answer)

    def _unserved(self, recipient: str) -> Outcome:
        return blame.outcome_of(recipient, blame.main_blame(self._blames[recipient]))

    def _charge(self, cause: Blame) -> None:
        for recipient in self._pending:
            self._blames[recipient].append(cause)

    # RFC 8461 §5: policy or floor keep the mail from this host, at least until all others are asked
    def _hold(self, host: Host, flaw: Flaw, hop: Hop | None = None) -> None:
        reason = reason_for(self._terms.mode)
        text = f"{flaw.detail}; {self._bar()}{self._lapse(flaw)}"
        held = replace(flaw, detail=text) if reason is Reason.TLS_FLOOR else flaw
        self._note(host, held, Action.REFUSED, *([hop.address] if hop else []))
        if waived := self._waived(flaw, hop):
            self._opened.append((host, waived))
            return
        if hop:
            self._note_drop(host, held, Level.CLEAR, Action.REFUSED, hop)
        cause = blame.unprotected(reason, flaw.failure, text, host.name)
        self._charge(replace(cause, address=hop.address if hop else None))

    # Each waiver asks for less than the hop before: so the walk ends
    def _waived(self, flaw: Flaw, hop: Hop | None) -> Waived | None:
        waiver = find_waiver(self._terms.waivers, flaw.failure, self._now)
        if waiver is None or (hop and waiver.level >= hop.level):
            return None
        before = hop.waived.until if hop and hop.waived else waiver.until
        return Waived(flaw, waiver, min(before, waiver.until))

    def _lapse(self, flaw: Flaw) -> str:
        ended = ended_waiver(self._terms.waivers, flaw.failure, self._now)
        return f"; {ended} has ended" if ended else ""

    def _bar(self) -> str:
        domain, mode = self._terms.domain, self._terms.mode
        if mode == "enforce":
            return f"the MTA-STS policy of {domain} (mode enforce) rules this host out"
        # Not the policy: a domain in testing mode would have had the mail delivered
        floor = self._terms.floor or f"tls.{'testing' if mode == 'testing' else 'no_policy'}"
        return f"our own least TLS level ({floor}) keeps the mail of {domain} back"

    # RFC 8461 §5: testing mode delivers to an unlisted host all the same; the contact is recorded
    def _note_contact(self, host: Host, hop: Hop, report: HopReport) -> None:
        if isinstance(report, Unreachable | Lapsed):
            return
        if hop.waived:
            flaw, waiver = hop.waived.flaw, hop.waived.waiver
            detail = f"{flaw.detail}; {waiver} lets it pass: {waiver.reason}"
            self._note(host, replace(flaw, detail=detail), Action.WAIVED, hop.address)
        elif not host.listed:
            self._note(host, self._mismatch(host), Action.DELIVERED)

    # Mail has reached this domain better protected before: somebody on the way may be the cause
    def _note_drop(self, host: Host, flaw: Flaw, to: Level, action: Action, hop: Hop) -> None:
        terms = self._terms
        if terms.remembered is None or to >= terms.remembered or hop.waived:
            return
        if find_waiver(terms.waivers, flaw.failure, self._now):
            return
        before = f"mail for {terms.domain} has been taken over {terms.remembered.words} before"
        drop = Flaw(Failure.TLS_DOWNGRADE, f"{flaw.detail}; {before}", flaw.handshake, flaw.failure)
        self._note(host, drop, action, hop.address)

    def _mismatch(self, host: Host) -> Flaw:
        patterns = self._terms.snapshot.mx if self._terms.snapshot else ("no host",)
        listed = ", ".join(patterns[:_SHOWN]) + " and others" * (len(patterns) > _SHOWN)
        detail = f"{host.name} is not in the policy of {self._terms.domain}, which lists {listed}"
        return Flaw(Failure.MX_MISMATCH, detail)

    # Once for each host and failure; the last one tells whether it kept the mail from the host
    def _note(self, host: Host, flaw: Flaw, action: Action, *addresses: str) -> None:
        # RFC 8461 §5: mode none and no policy ask for nothing, so nothing violates them; what a
        # waiver does is recorded all the same
        is_asked = self._terms.mode in ("enforce", "testing") or flaw.cause
        if not is_asked and action is not Action.WAIVED:
            return
        self._findings[host.name, flaw.failure] = Finding(
            time=self._now,
            domain=self._terms.domain,
            policy=None if flaw.cause else self._terms.snapshot,
            failure=flaw.failure,
            detail=flaw.detail,
            action=action,
            mx=host.name,
            addresses=addresses or host.addresses,
            recipients=len(self._recipients),
            handshake=flaw.handshake,
            cause=flaw.cause,
        )
