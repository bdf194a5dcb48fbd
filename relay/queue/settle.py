"""What an attempt's result means for its job: done, retry or bounce. Pure.

The only place where a message is given up (RFC 8461 §5.1: policy failures are transient), and only
after an attempt.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from relay.evidence import Action, Finding
from relay.outcome import DeliveryResult, Outcome, Reason, Status
from relay.queue.dsn import Notice, write_notice
from relay.queue.job import Job, Last, Remainder, Settlement
from relay.queue.retry import Dice, Schedule


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
    """The settlement of an attempt ended at `now`; every recipient is done, kept or bounced."""
    deferred = [one for one in result.outcomes if one.status is Status.DEFERRED]
    failed = [one for one in result.outcomes if one.status is Status.FAILED]
    if deferred and rules.schedule.is_expired(job.created, now):
        failed, deferred = failed + deferred, []
    notices = []
    if failed:
        notices.append(Notice("failed", job, failed, now))
    late = bool(deferred) and not job.warned and rules.schedule.is_late(job.created, now)
    if late:
        ends = rules.schedule.ends(job.created)
        notices.append(Notice("delayed", job, deferred, now, ends))
    # RFC 5321 §4.5.4: never a notice about a notice
    if job.envelope.sender is None:
        notices = []
    return Settlement(
        job,
        _remainder(job, deferred, now, rules, warned=job.warned or late) if deferred else None,
        tuple(write_notice(one, original, rules.hostname, rules.new_id()) for one in notices),
        tuple(_stamped(one, job) for one in result.findings),
    )


def _remainder(
    job: Job, deferred: list[Outcome], now: float, rules: Rules, *, warned: bool
) -> Remainder:
    worst = deferred[-1]
    return Remainder(
        recipients=tuple(one.recipient for one in deferred),
        next_attempt=rules.schedule.next_attempt(job.attempts + 1, job.created, now, rules.dice),
        reason=(worst.reason or Reason.UNREACHABLE).value,
        last=Last(now, worst.host, str(worst.reply)),
        warned=warned,
    )


def _stamped(finding: Finding, job: Job) -> Finding:
    if finding.action is Action.NOTED:
        return finding
    return replace(finding, queue_id=job.message_id)
