"""What an attempt's result means for its job: done, retry or bounce. Pure.

The only place where a message is given up (RFC 8461 §5.1: policy failures are transient), and only
after an attempt.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from relay.envelope import Message
from relay.evidence import Action, Finding
from relay.immutable import immutable
from relay.outcome import PROTECTIVE, DeliveryResult, Outcome, Reason, Status
from relay.queue.dsn import write_notice
from relay.queue.job import Job, Last, Remainder, Settlement
from relay.queue.notice import Fates, Notice, addressee, wanted
from relay.queue.retry import Dice, Schedule
from relay.reply import Reply

_NO_ANSWER = Reply(451, "4.3.0", "the attempt ended without an answer for this recipient")


@immutable
class Rules:
    """What is the same for all settlements: schedule, our name, chance and fresh queue ids.

    `postmaster` is told of failures that no sender can be told; None: only the log has them.
    """

    schedule: Schedule
    hostname: str
    dice: Dice
    new_id: Callable[[], str]
    postmaster: str | None = None


def settle(
    job: Job, result: DeliveryResult, original: bytes, now: float, rules: Rules
) -> Settlement:
    """The settlement of an attempt ended at `now`: every recipient is done, kept or given up.

    What the sender is told of it is one notice at most. `original` is the message's content.
    """
    outcomes = _one_for_each(job.envelope.recipients, result.outcomes)
    deferred = [one for one in outcomes if one.status is Status.DEFERRED]
    failed = [one for one in outcomes if one.status is Status.FAILED]
    expired = rules.schedule.is_expired(job.created, now)
    # RFC 8461 §5.1: nothing is given up before its policy was looked for anew
    unsure = expired and not result.anew and any(one.reason in PROTECTIVE for one in deferred)
    if expired and not unsure:
        failed, deferred = failed + deferred, []
    is_late = partial(rules.schedule.is_late, job.created, now)
    late = not job.warned and any(is_late(one.reason) for one in deferred)
    rest = _remainder(job, deferred, now, rules, warned=job.warned or late) if deferred else None
    relayed = [one for one in outcomes if one.status is Status.DELIVERED and not one.dsn]
    fates = Fates(failed, deferred if late else (), relayed)
    return Settlement(
        job,
        replace(rest, next_attempt=now) if rest and unsure else rest,
        _notices(job, fates, result.findings, original, now, rules),
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
    reason = shown.reason or Reason.UNREACHABLE
    when = (job.attempts + 1, job.created, now, rules.dice, reason)
    return Remainder(
        recipients=tuple(one.recipient for one in deferred),
        next_attempt=rules.schedule.next_attempt(*when),
        reason=reason.value,
        last=Last(now, shown.host, str(shown.reply)),
        warned=warned,
    )


# One at most: everything an attempt came to is told together (RFC 5321 §4.4)
def _notices(
    job: Job,
    fates: Fates,
    findings: Sequence[Finding],
    original: bytes,
    now: float,
    rules: Rules,
) -> tuple[Message, ...]:
    told = wanted(fates, job.envelope)
    to = addressee(job.envelope, rules.postmaster) if told else None
    if to is None:
        return ()
    notice = Notice(job, to, told, findings, now, rules.schedule.ends(job.created))
    return (write_notice(notice, original, rules.hostname, rules.new_id()),)


def _stamped(finding: Finding, job: Job) -> Finding:
    if finding.action is Action.NOTED:
        return finding
    return replace(finding, queue_id=job.message_id)
