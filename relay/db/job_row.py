"""Rows of a spool's job table as an operator sees them; a damaged one as far as it goes."""

from typing import Any

import orjson

from relay.db.jobs import parse_recipients
from relay.queue.job import Attempted, Last, QueueRecord

COLUMNS = """
  message_id, number, created, sender, domain, recipients, size, attempts, next_attempt, state,
  reason, last"""


def record_of(row: tuple[Any, ...]) -> QueueRecord:
    """The record of a row of COLUMNS."""
    (message_id, number, created, sender, domain, recipients, *rest) = row
    (size, attempts, next_attempt, state, reason, last) = rest
    return QueueRecord(
        id=f"{message_id}.{number}",
        message_id=message_id,
        created=created,
        sender=sender or "",
        domain=domain,
        recipients=parse_recipients(recipients) or (),
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
