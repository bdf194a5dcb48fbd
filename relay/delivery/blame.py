"""Why mail was not delivered: our decisions as replies (RFC 3463), and which reason is told. Pure.

Knows no hosts' order and no TLS; permanent or transient is what `Reply.severity` says.
"""

from collections.abc import Sequence

from relay.evidence import Failure
from relay.immutable import immutable
from relay.outcome import Outcome, Reason, Status
from relay.reply import Reply, Severity

# RFC 8461 has no codes of its own; these tell the other side best what to repair
_STATUS = {Failure.MX_MISMATCH: "4.7.1", Failure.STARTTLS_NOT_SUPPORTED: "4.7.4"}
_CERTIFICATE_STATUS = "4.7.5"
# The reason nearest to what someone must repair comes first
_PRECEDENCE = (
    Reason.POLICY,
    Reason.TLS_FLOOR,
    Reason.ANSWERED,
    Reason.UNREACHABLE,
    Reason.DNS,
)
_BECAME = {
    Severity.SUCCESS: Status.DELIVERED,
    Severity.TRANSIENT: Status.DEFERRED,
    Severity.PERMANENT: Status.FAILED,
}


@immutable
class Blame:
    """Why a host, or (host None) a whole route, did not serve; fields as in Outcome."""

    reason: Reason
    reply: Reply
    host: str | None = None
    address: str | None = None
    remote: bool = False
    tls: str | None = None
    dsn: bool = False


def main_blame(blames: Sequence[Blame]) -> Blame:
    """The one to tell of those for a recipient, at least one; permanent only where all are.

    RFC 5321 §4.2.1: what a host says of itself is final only where no other host is left.
    """
    passing = [one for one in blames if one.reply.severity is not Severity.PERMANENT]
    return min(passing or blames, key=lambda one: _PRECEDENCE.index(one.reason))


def outcome_of(recipient: str, cause: Blame) -> Outcome:
    """What became of a recipient where this is the last word; a success has no reason."""
    status = _BECAME[cause.reply.severity]
    reason = None if status is Status.DELIVERED else cause.reason
    where = (cause.host, cause.address, cause.tls, cause.dsn)
    return Outcome(recipient, status, cause.reply, reason, cause.remote, *where)


def unreachable(host: str, address: str, why: str) -> Blame:
    """Nobody answered at an address."""
    reply = Reply(451, "4.4.1", f"{host} [{address}] cannot be reached: {why}")
    return Blame(Reason.UNREACHABLE, reply, host, address)


# RFC 5321 §3.8: a lost connection is as a 451
def lost(host: str, address: str, why: str, tls: str | None) -> Blame:
    """The connection broke before everything was answered."""
    reply = Reply(451, "4.4.2", f"the connection to {host} [{address}] was lost: {why}")
    return Blame(Reason.UNREACHABLE, reply, host, address, tls=tls)


# RFC 8461 §5: failures of the policy are transient
def unprotected(reason: Reason, failure: Failure, text: str, host: str) -> Blame:
    """Policy or floor keep the mail from a host; `text` is one sentence that says it all."""
    return Blame(reason, Reply(451, _STATUS.get(failure, _CERTIFICATE_STATUS), text), host)
