"""What an attempt to deliver came to: one outcome for each recipient, and the findings made."""

from enum import StrEnum

from relay.evidence import Finding, Handover
from relay.immutable import immutable
from relay.reply import Reply


class Status(StrEnum):
    """What became of a recipient in this attempt."""

    DELIVERED = "delivered"
    DEFERRED = "deferred"
    FAILED = "failed"


class Reason(StrEnum):
    """Why a recipient was not served: the `reason` of a queue record."""

    POLICY = "policy"  # the domain's MTA-STS policy ruled every host out
    TLS_FLOOR = "tls-floor"  # only our own least TLS level kept the mail back
    DNS = "dns"
    UNREACHABLE = "unreachable"  # no host could be talked to, or the connection was lost
    ANSWERED = "answered"  # a host said no


PROTECTIVE = frozenset({Reason.POLICY, Reason.TLS_FLOOR})
"""What keeps mail back for its own protection."""


@immutable
class Outcome:
    """What became of one recipient.

    `reply` is the host's own where `remote` is true, else our decision in the form of a reply.
    `reason` None: delivered. `host` and `address` None: no host was concerned. `tls` tells the
    protection of the connection for the log ("verified TLSv1.3", "TLSv1.2", "clear"), None where
    there was none. `dsn`: the host knows RFC 3461, so telling of what follows is its duty now.
    """

    recipient: str
    status: Status
    reply: Reply
    reason: Reason | None = None
    remote: bool = False
    host: str | None = None
    address: str | None = None
    tls: str | None = None
    dsn: bool = False


@immutable
class Prospect:
    """What an attempt would come to now, as far as that is found out without mail.

    `domain` is the policy domain. `host` would be offered the mail; None: it would be kept back,
    or nobody can be asked. `tls` as in Outcome. `policy` (mode and record id) and `mx`, the names
    of the MX hosts in order, are what was found on the way, `findings` what was amiss with that.
    """

    domain: str
    host: str | None = None
    tls: str | None = None
    policy: tuple[str, str | None] = ("none", None)
    mx: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()


@immutable
class DeliveryResult:
    """Everything one attempt came to: an outcome for every recipient of the envelope, what was
    found on the way, and which hosts took the mail for some of them.

    `anew`: MX and policy records were not taken from an older memory.
    """

    outcomes: tuple[Outcome, ...]
    findings: tuple[Finding, ...] = ()
    handovers: tuple[Handover, ...] = ()
    anew: bool = False
