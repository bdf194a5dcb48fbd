"""The control flow of one attempt (RFC 8461 §5, RFC 5321 §5.1) as pure state. Does no I/O.

Hosts are walked in the order of their MX records; each host's addresses in turn; at an address the
levels of the ladder from the top. What each hop came to is fed back; the end is a DeliveryResult.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from relay.delivery.tls import Ladder, Level
from relay.evidence import Action, Failure, Finding, PolicySnapshot
from relay.outcome import DeliveryResult, Outcome, Reason, Status
from relay.reply import Reply, Severity

# RFC 8461 has no codes of its own; these say best what the other side must repair
_STATUS = {Failure.MX_MISMATCH: "4.7.1", Failure.STARTTLS_NOT_SUPPORTED: "4.7.4"}
_CERTIFICATE_STATUS = "4.7.5"


@dataclass(frozen=True, slots=True)
class Host:
    """An MX host: the record's `name`, its addresses, whether the policy lists it.

    Without addresses `trouble` says why; it is then passed over as unreachable.
    """

    name: str
    addresses: tuple[str, ...] = ()
    trouble: str = ""
    listed: bool = True


@dataclass(frozen=True, slots=True)
class Hop:
    """The next thing to try: these recipients, at this address of this host, at this level."""

    host: str
    address: str
    level: Level
    has_lower_rung: bool
    recipients: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Flaw:
    """Why a host did not come up to a TLS level; `detail` is one sentence for a person."""

    failure: Failure
    detail: str


@dataclass(frozen=True, slots=True)
class HopReport:
    """What a hop came to.

    `connected` False: no connection, `lost` says why. `flaw`: the level could not be reached and no
    mail command was given. `refusal`: the host would take nothing from us (`remote` False: we saw
    ourselves that it cannot take this message). `replies`: the last word on each recipient asked
    for. `lost`: the connection broke; `in_doubt`: after the message was out whole, so that the host
    may have it. `tls` tells the protection for the log.
    """

    connected: bool = True
    flaw: Flaw | None = None
    refusal: Reply | None = None
    remote: bool = True
    replies: Mapping[str, Reply] = field(default_factory=dict)
    lost: str = ""
    in_doubt: bool = False
    tls: str | None = None


@dataclass(frozen=True, slots=True)
class Blame:
    """Why a host was left without having served everyone."""

    reason: Reason
    reply: Reply
    host: str
    address: str | None = None
    remote: bool = False


@dataclass(frozen=True, slots=True)
class Terms:
    """What decides an attempt besides the hosts: whose policy, its mode, the levels, the time."""

    domain: str
    mode: str
    snapshot: PolicySnapshot | None
    ladder: Ladder
    now: float


class Attempt:
    """One attempt to deliver to the recipients of one domain: next_hop, feed, final."""

    def __init__(self, terms: Terms, hosts: Sequence[Host], recipients: Sequence[str]) -> None:
        """Begin at the first host; `hosts` are in the order to be tried."""
        self._terms = terms
        self._hosts = list(hosts)
        self._pending = list(recipients)
        self._served: list[Outcome] = []
        self._answers: dict[str, Blame] = {}
        self._blames: list[Blame] = []
        self._findings: list[Finding] = []
        self._flaws: dict[Failure, Flaw] = {}
        self._address = 0
        self._rung = 0
        self._mismatch_noted = False

    def next_hop(self) -> Hop | None:
        """The next hop; None when everyone is served or nothing is left to try."""
        while self._pending and self._hosts:
            host = self._hosts[0]
            if not host.listed and self._terms.mode == "enforce":
                self._refuse_unlisted(host)
            elif not host.addresses:
                self._leave(_unreachable(host.name, None, host.trouble))
            else:
                return self._hop(host)
        return None

    def feed(self, report: HopReport) -> None:
        """Take in what the last hop came to."""
        hop = self._hop(self._hosts[0])
        if not report.connected:
            self._next_address(_unreachable(hop.host, hop.address, report.lost))
            return
        self._note_mismatch()
        if report.flaw:
            self._descend(hop, report.flaw)
        elif report.refusal:
            self._leave(
                Blame(Reason.ANSWERED, report.refusal, hop.host, hop.address, report.remote)
            )
        else:
            self._take_replies(hop, report)

    def final(self) -> DeliveryResult:
        """The outcome of every recipient, and all findings."""
        rest = [self._unserved(recipient) for recipient in self._pending]
        return DeliveryResult((*self._served, *rest), tuple(self._findings))

    def _hop(self, host: Host) -> Hop:
        ladder = self._terms.ladder
        return Hop(
            host=host.name,
            address=host.addresses[self._address],
            level=ladder[self._rung],
            has_lower_rung=self._rung + 1 < len(ladder),
            recipients=tuple(self._pending),
        )

    # RFC 8461 §5.1: an unlisted host is treated as temporarily unreachable, the next one tried
    def _refuse_unlisted(self, host: Host) -> None:
        flaw = Flaw(Failure.MX_MISMATCH, self._mismatch_detail(host))
        self._note(host, flaw, Action.REFUSED)
        self._leave(self._blame_for(host.name, None, flaw))

    # RFC 8461 §5: in testing mode the host gets the mail as though it were listed
    def _note_mismatch(self) -> None:
        host = self._hosts[0]
        if not host.listed and not self._mismatch_noted:
            self._mismatch_noted = True
            flaw = Flaw(Failure.MX_MISMATCH, self._mismatch_detail(host))
            self._note(host, flaw, Action.DELIVERED)

    def _descend(self, hop: Hop, flaw: Flaw) -> None:
        self._flaws.setdefault(flaw.failure, flaw)
        lower = self._helpful_rung(flaw)
        if lower is None:
            self._next_address(self._blame_for(hop.host, hop.address, flaw))
        else:
            self._rung = lower

    # Without STARTTLS only a connection in the clear is left
    def _helpful_rung(self, flaw: Flaw) -> int | None:
        no_tls = flaw.failure is Failure.STARTTLS_NOT_SUPPORTED
        for rung in range(self._rung + 1, len(self._terms.ladder)):
            if self._terms.ladder[rung] is Level.CLEAR or not no_tls:
                return rung
        return None

    # RFC 5321 §4.2.1, §3.3: each recipient's reply counts for itself
    def _take_replies(self, hop: Hop, report: HopReport) -> None:
        for recipient, reply in report.replies.items():
            if reply.severity is Severity.TRANSIENT:
                answer = Blame(Reason.ANSWERED, reply, hop.host, hop.address, remote=True)
                self._answers[recipient] = answer
                continue
            self._pending.remove(recipient)
            delivered = reply.severity is Severity.SUCCESS
            self._served.append(
                Outcome(
                    recipient,
                    Status.DELIVERED if delivered else Status.FAILED,
                    reply,
                    None if delivered else Reason.ANSWERED,
                    remote=True,
                    host=hop.host,
                    address=hop.address,
                    tls=report.tls,
                )
            )
        self._leave(_lost(hop, report.lost) if report.lost else self._last_answer(hop))
        if report.in_doubt:
            self._hosts.clear()  # another host now might be a second copy

    def _last_answer(self, hop: Hop) -> Blame:
        answers = [self._answers[one] for one in self._pending if one in self._answers]
        silent = Reply(451, "4.4.2", f"{hop.host} gave no answer")
        return answers[-1] if answers else Blame(Reason.UNREACHABLE, silent, hop.host, hop.address)

    def _next_address(self, blame: Blame) -> None:
        self._rung = 0
        self._address += 1
        if self._address >= len(self._hosts[0].addresses):
            self._leave(blame)

    def _leave(self, blame: Blame) -> None:
        host = self._hosts.pop(0)
        tls_kept_it = blame.reason in (Reason.POLICY, Reason.TLS_FLOOR)
        for flaw in self._flaws.values():
            self._note(host, flaw, Action.REFUSED if tls_kept_it else Action.DELIVERED)
        self._flaws.clear()
        self._blames.append(blame)
        self._address = self._rung = 0
        self._mismatch_noted = False

    # RFC 8461 §5: mode none and no policy ask for nothing, so nothing violates them
    def _note(self, host: Host, flaw: Flaw, action: Action) -> None:
        if self._terms.mode not in ("enforce", "testing"):
            return
        floor = self._floor_clause() if action is Action.REFUSED else ""
        self._findings.append(
            Finding(
                time=self._terms.now,
                domain=self._terms.domain,
                policy=self._terms.snapshot,
                failure=flaw.failure,
                detail=flaw.detail + floor,
                action=action,
                mx=host.name,
                addresses=host.addresses,
                recipients=len(self._pending) + len(self._served),
            )
        )

    def _floor_clause(self) -> str:
        if self._terms.mode == "enforce":
            return ""
        return "; the local floor tls.testing, not the policy, keeps the mail back"

    def _mismatch_detail(self, host: Host) -> str:
        listed = ", ".join(self._terms.snapshot.mx if self._terms.snapshot else ()) or "no host"
        return f"{host.name} is not in the policy of {self._terms.domain}, which lists {listed}"

    # RFC 8461 §5: failures of the policy are transient, whatever the mode
    def _blame_for(self, host: str, address: str | None, flaw: Flaw) -> Blame:
        status = _STATUS.get(flaw.failure, _CERTIFICATE_STATUS)
        if self._terms.mode == "enforce":
            why = f"the MTA-STS policy of {self._terms.domain} (mode enforce) rules this host out"
            reason = Reason.POLICY
        else:
            name = "testing" if self._terms.mode == "testing" else "no_policy"
            why = f"the local floor tls.{name} rules this host out"
            reason = Reason.TLS_FLOOR
        return Blame(reason, Reply(451, status, f"{flaw.detail}; {why}"), host, address)

    def _unserved(self, recipient: str) -> Outcome:
        blame = self._answers.get(recipient) or self._main_blame()
        # RFC 5321 §4.2.1: a refusal of everything is about the host; final only where all agree
        agreed = recipient not in self._answers and all(
            one.reply.severity is Severity.PERMANENT for one in self._blames
        )
        return Outcome(
            recipient,
            Status.FAILED if agreed else Status.DEFERRED,
            blame.reply,
            blame.reason,
            blame.remote,
            blame.host,
            blame.address,
        )

    def _main_blame(self) -> Blame:
        order = (Reason.POLICY, Reason.TLS_FLOOR, Reason.ANSWERED, Reason.UNREACHABLE)
        transient = [one for one in self._blames if one.reply.severity is Severity.TRANSIENT]
        return min(transient or self._blames, key=lambda blame: order.index(blame.reason))


def _unreachable(host: str, address: str | None, why: str) -> Blame:
    where = f"{host} [{address}]" if address else host
    reply = Reply(451, "4.4.1", f"{where} cannot be reached: {why}")
    return Blame(Reason.UNREACHABLE, reply, host, address)


def _lost(hop: Hop, why: str) -> Blame:
    reply = Reply(451, "4.4.2", f"the connection to {hop.host} [{hop.address}] was lost: {why}")
    return Blame(Reason.UNREACHABLE, reply, hop.host, hop.address)
