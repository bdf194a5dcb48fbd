"""Rows of a spool's job table, as the relay reads and writes them and as an operator sees them."""

import re
from typing import Any

import orjson

from relay.db.dsn_column import dsn_column, dsn_fields
from relay.envelope import Envelope
from relay.queue.job import Attempted, Job, Last, QueueRecord

COLUMNS = """
  message_id, number, created, sender, domain, recipients, size, attempts, next_attempt, state,
  reason, last"""
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")


def job_key(job_id: str) -> tuple[str, int]:
    """The primary key of a job; one that no job has for a text that is no job id."""
    message_id, _, number = job_id.rpartition(".")
    if not job_id.isascii():
        return "", -1
    return message_id, int(number) if _NUMBER.fullmatch(number) else -1


def values_of(job: Job, number: int, size: int, state: str) -> tuple[object, ...]:
    """What is written of a job that is the message's `number`th."""
    envelope = job.envelope
    return (
        job.message_id,
        number,
        job.domain,
        envelope.sender,
        orjson.dumps(envelope.recipients).decode(),
        envelope.smtputf8,
        envelope.eight_bit,
        envelope.requiretls,
        job.created,
        size,
        state,
        job.created,
        dsn_column(envelope),
    )


def job_of(row: tuple[Any, ...]) -> Job | None:
    """The job of a row that is claimed; None: the row is damaged."""
    message_id, number, domain, sender, recipients, utf8, eight_bit, tls, *rest = row
    created, attempts, warned, size, dsn = rest
    if (to := _recipients_of(recipients)) is None:
        return None
    try:
        asked = dsn_fields(dsn)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    envelope = Envelope(sender, to, bool(utf8), bool(eight_bit), bool(tls), **asked)
    job_id = f"{message_id}.{number}"
    return Job(job_id, message_id, created, domain, envelope, attempts, bool(warned), size)


def record_of(row: tuple[Any, ...]) -> QueueRecord:
    """The record of a row of COLUMNS; of a damaged one as far as it goes."""
    (message_id, number, created, sender, domain, recipients, *rest) = row
    (size, attempts, next_attempt, state, reason, last) = rest
    return QueueRecord(
        id=f"{message_id}.{number}",
        message_id=message_id,
        created=created,
        sender=sender or "",
        domain=domain,
        recipients=_recipients_of(recipients) or (),
        size=size,
        attempts=attempts,
        next_attempt=None if state == "held" else next_attempt,
        state=state,
        reason=reason,
        last=_last(last) if last else None,
    )


def history_of(text: str | None) -> list[Attempted]:
    """The attempts in a job's history."""
    try:
        return [Attempted(**one) for one in orjson.loads(text)] if text else []
    except (ValueError, TypeError):
        return []


# The operator must be able to see and to drop it
def _last(text: str) -> Last | None:
    try:
        return Last(**orjson.loads(text))
    except (ValueError, TypeError):
        return None


# None: the row is damaged
def _recipients_of(text: object) -> tuple[str, ...] | None:
    try:
        found = orjson.loads(text) if isinstance(text, str) else None
    except orjson.JSONDecodeError:
        return None
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        return None
    return tuple(found) or None
