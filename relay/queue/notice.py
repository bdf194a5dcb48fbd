"""Who is told what of an attempt: NOTIFY and null senders decide (RFC 3461 §4.1, §5.2). Pure.

Knows no format.
"""

from collections.abc import Sequence

from relay.address import AddressError, parse_mailbox
from relay.envelope import Envelope
from relay.evidence import Finding
from relay.immutable import immutable
from relay.outcome import Outcome
from relay.queue.job import Job


@immutable
class Fates:
    """What became of recipients in one attempt, as far as somebody may be told of it.

    `failed` are given up: an outcome in it that says deferred has run out of time. `delayed` are
    late. `relayed` went to hosts that do not know RFC 3461.
    """

    failed: Sequence[Outcome] = ()
    delayed: Sequence[Outcome] = ()
    relayed: Sequence[Outcome] = ()

    def __bool__(self) -> bool:
        """Whether there is anything to tell."""
        return bool(self.failed or self.delayed or self.relayed)


@immutable
class Notice:
    """What `to` is told of an attempt: the sender, or the postmaster where no sender can be told.

    `findings` are those of the attempt. `now` and `ends`, the end of the lifetime, are in seconds
    since 1970.
    """

    job: Job
    to: str
    fates: Fates
    findings: Sequence[Finding]
    now: float
    ends: float


def addressee(envelope: Envelope, postmaster: str | None) -> str | None:
    """Who is told of mail with this envelope; None: nobody can be.

    A notice that fails is told to the postmaster, and one to the postmaster to nobody: no loop.
    """
    if has_sender(envelope):
        return envelope.sender
    return None if postmaster in envelope.recipients else postmaster


def has_sender(envelope: Envelope) -> bool:
    """Whether there is a sender that can be told: not the null path, and an address."""
    try:
        return envelope.sender is not None and bool(parse_mailbox(envelope.sender))
    except AddressError:
        return False


# RFC 5321 §4.5.4: never a notice about a notice to its sender; the postmaster hears of failures
def wanted(fates: Fates, envelope: Envelope) -> Fates:
    """Those of the fates that are to be told."""
    if not has_sender(envelope):
        return Fates(fates.failed)
    # RFC 3461 §4.1: where nothing was asked, of failures and delays
    if not envelope.dsn:
        return Fates(fates.failed, fates.delayed)

    def asked(outcomes: Sequence[Outcome], event: str) -> list[Outcome]:
        return [one for one in outcomes if envelope.asked(one.recipient).wants(event)]

    return Fates(
        asked(fates.failed, "FAILURE"),
        asked(fates.delayed, "DELAY"),
        # RFC 3461 §5.2.2: a host without DSN will not tell of success, so its relay does now
        asked(fates.relayed, "SUCCESS"),
    )
