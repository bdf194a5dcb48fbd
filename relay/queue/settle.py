"""What an attempt's result means for its job: done, retry or bounce. Pure.

The only place where a message is given up (RFC 8461 §5.1: policy failures are transient), and only
after an attempt.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from relay.address import AddressError, parse_mailbox
from relay.evidence import Action, Finding
from relay.outcome import DeliveryResult, Outcome, Reason, Status
from relay.queue.dsn import Notice, write_notice
from relay.queue.job import Job, Last, Remainder, Settlement
from relay.queue.retry import Dice, Schedule
from relay.reply import Reply

_NO_ANSWER = Reply(451, "4.3.0", "the attempt ended without an answer for this recipient")


@dataclass(frozen=True, slots=True)
class Rules:
    """What is the same for all settlements: schedule, our name, chance and fresh queue ids."""

    schedule: Schedule
    hostname: str
    dice: Dice
    new_id: Callable[[], str]


def settle(
    job: Job, result: DeliveryResult, original: bytes, now: float, rules: Rules
) -> Settlement:
    """The settlement of an attempt ended at `now`: every recipient is done, kept or given up.

    What the sender is told of it is one notice at most. `original` is the message's content.
    """
    outcomes = _one_for_each(job.envelope.recipients, result.outcomes)
    deferred = [one for one in outcomes if one.status is Status.DEFERRED]
    failed = [one for one in outcomes if one.status is Status.FAILED]
    if rules.schedule.is_expired(job.created, now):
        failed, deferred = failed + deferred, []
    late = bool(deferred) and not job.warned and rules.schedule.is_late(job.created, now)
    ends = rules.schedule.ends(job.created)
    notice = Notice(job, failed, deferred if late else [], result.findings, now, ends)
    return Settlement(
        job,
        _remainder(job, deferred, now, rules, warned=job.warned or late) if deferred else None,
        (write_notice(notice, original, rules.hostname, rules.new_id()),)
        if _is_told(notice)
        else (),
        tuple(_stamped(one, job) for one in result.findings),
    )


def settle_later(job: Job, why: str, now: float, rules: Rules) -> Settlement:
    """The settlement of an attempt that was none, by a fault of our own: the job is kept.

    `why` is for the operator. It counts as an attempt, so that the schedule spaces the next ones,
    but nothing is given up for it.
    """
    reply = Reply(451, "4.3.0", why)
    deferred = [_deferred(recipient, reply) for recipient in job.envelope.recipients]
    return Settlement(job, _remainder(job, deferred, now, rules, warned=job.warned))


# An attempt that forgot a recipient has not delivered to it
def _one_for_each(recipients: Sequence[str], outcomes: Sequence[Outcome]) -> list[Outcome]:
    by_recipient = {outcome.recipient: outcome for outcome in outcomes}
    return [by_recipient.get(one) or _deferred(one, _NO_ANSWER) for one in recipients]


def _deferred(recipient: str, reply: Reply) -> Outcome:
    return Outcome(recipient, Status.DEFERRED, reply, Reason.UNREACHABLE)


def _remainder(
    job: Job, deferred: list[Outcome], now: float, rules: Rules, *, warned: bool
) -> Remainder:
    shown = deferred[-1]
    return Remainder(
        recipients=tuple(one.recipient for one in deferred),
        next_attempt=rules.schedule.next_attempt(job.attempts + 1, job.created, now, rules.dice),
        reason=(shown.reason or Reason.UNREACHABLE).value,
        last=Last(now, shown.host, str(shown.reply)),
        warned=warned,
    )


# RFC 5321 §4.5.4: never a notice about a notice
def _is_told(notice: Notice) -> bool:
    sender = notice.job.envelope.sender
    if sender is None or not (notice.failed or notice.delayed):
        return False
    try:
        parse_mailbox(sender)
    except AddressError:
        return False  # there is nowhere to send it; the log has it
    return True


def _stamped(finding: Finding, job: Job) -> Finding:
    if finding.action is Action.NOTED:
        return finding
    return replace(finding, queue_id=job.message_id)
