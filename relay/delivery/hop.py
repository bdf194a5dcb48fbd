"""What an attempt visits and what a visit came to. Pure values, no control flow."""

from collections.abc import Mapping
from dataclasses import field

from relay.delivery.blame import Blame
from relay.delivery.tls import Level
from relay.delivery.waiver import Waiver
from relay.evidence import Failure, Handshake
from relay.immutable import immutable
from relay.reply import Reply, Severity

_TOO_MANY_RECIPIENTS = 452


@immutable
class Host:
    """An MX host: its name as in the MX record, its addresses, whether the policy lists it.

    `trouble` says why there is no address to try; None where there is one.
    """

    name: str
    addresses: tuple[str, ...] = ()
    trouble: Blame | None = None
    listed: bool = True


@immutable
class Flaw:
    """Why a host did not come up to a TLS level; `detail` is one sentence for a person.

    `handshake` None: no certificate was refused. `cause` is what a downgrade came by, else None.
    """

    failure: Failure
    detail: str
    handshake: Handshake | None = None
    cause: Failure | None = None


@immutable
class Waived:
    """A flaw that a waiver lets pass.

    `until`, in seconds since 1970, is the end of that waiver, or of one that the same host needed
    before if that is sooner.
    """

    flaw: Flaw
    waiver: Waiver
    until: float


@immutable
class Hop:
    """The next thing to do: offer the mail for these recipients to this address at this level.

    `least` is the lowest level that would do for this host; equal to `level` on the last rung.
    `hurried`: the host has another address left, so a silent one is not waited for. `waived` None:
    policy and floors have nothing against the host.
    """

    host: str
    address: str
    level: Level
    least: Level
    recipients: tuple[str, ...]
    hurried: bool = False
    waived: Waived | None = None

    @property
    def waived_for(self) -> str | None:
        """The policy domain whose waiver it needs; None: none."""
        return self.waived.waiver.domain if self.waived else None


@immutable
class Unreachable:
    """Nobody there: no connection, or no greeting on it. Another address may do better."""

    why: str


@immutable
class Unprotected:
    """The level was not reached; no mail command was given."""

    flaw: Flaw


@immutable
class Lapsed:
    """Before the first mail command the waiver ended that let `flaw` pass; none was given."""

    flaw: Flaw


@immutable
class Declined:
    """The host takes nothing from us, or not this message; no recipient was asked about.

    `remote` False: we saw ourselves that it cannot take the message. `tls` as in Outcome. `login`:
    it is our login that it refuses.
    """

    reply: Reply
    remote: bool = True
    tls: str | None = None
    login: bool = False


@immutable
class Exchange:
    """What was said about the recipients: the last word on each that got one.

    `lost` says why the connection broke, empty where it did not. `in_doubt`: it broke after the
    whole message was out, so that the host may have it. `tls` and `dsn` as in Outcome.
    """

    replies: Mapping[str, Reply] = field(default_factory=dict)
    lost: str = ""
    in_doubt: bool = False
    tls: str | None = None
    dsn: bool = False

    @property
    def taken(self) -> int:
        """For how many recipients the host has taken the message."""
        replies = self.replies.values()
        return sum(reply.severity is Severity.SUCCESS for reply in replies)

    # RFC 5321 §4.5.3.1.10: 452 to some recipients after others were taken asks to send again
    @property
    def asks_for_more(self) -> bool:
        """Whether the host took the message for some and wants the others in a new transaction."""
        codes = {reply.code for reply in self.replies.values()}
        return _TOO_MANY_RECIPIENTS in codes and not self.lost and self.taken > 0


HopReport = Unreachable | Unprotected | Lapsed | Declined | Exchange
