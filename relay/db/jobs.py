"""Statements on a spool's jobs and messages; each takes the connection of an open transaction."""

import logging
import re
import sqlite3
from collections.abc import Sequence
from typing import Any

import orjson

from relay.db.dsn_column import dsn_column, dsn_fields
from relay.envelope import Envelope, Message
from relay.errors import StorageError
from relay.queue.job import Claim, Job, Last, Remainder, split

log = logging.getLogger(__name__)

_NUMBER = re.compile(r"[1-9][0-9]{0,8}")
_PUT_JOB = """
  INSERT INTO job (message_id, number, domain, sender, recipients, smtputf8, eight_bit, requiretls,
                   created, size, state, next_attempt, dsn)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_DUE = """
  SELECT message_id, number, domain, sender, recipients, smtputf8, eight_bit, requiretls,
         created, attempts, warned, dsn
  FROM job WHERE state = 'waiting' AND next_attempt <= ?
  AND domain NOT IN (SELECT value FROM json_each(?))
  ORDER BY next_attempt LIMIT ?"""
_KEEP = """
  UPDATE job SET state = 'waiting', recipients = ?, attempts = attempts + 1, next_attempt = ?,
                 reason = ?, last = ?, warned = ?
  WHERE message_id = ? AND number = ?"""
_END_MESSAGE = """
  DELETE FROM message
  WHERE id = ? AND NOT EXISTS (SELECT 1 FROM job WHERE message_id = message.id)"""


def put(message: Message, claimed: bool, db: sqlite3.Connection) -> list[Claim]:
    """Keep a message with its jobs; the claims on them if they are born claimed."""
    db.execute("INSERT INTO message VALUES (?, ?)", (message.id, message.body))
    jobs = split(message)
    state = "active" if claimed else "waiting"
    db.executemany(_PUT_JOB, [_row(job, len(message.body), state) for job in jobs])
    return [Claim(job, message.body) for job in jobs] if claimed else []


def claim(
    now: float, limit: int, passing_over: Sequence[str], db: sqlite3.Connection
) -> list[Claim]:
    """Make due jobs active, the longest due first; one that cannot be read is held."""
    domains = orjson.dumps(passing_over).decode()
    jobs = []
    for row in db.execute(_DUE, (now, domains, limit)).fetchall():
        if job := _job(row):
            jobs.append(job)
        else:
            _hold_damaged(row[:2], now, db)
    activate = "UPDATE job SET state = 'active' WHERE message_id = ? AND number = ?"
    db.executemany(activate, [job_key(job.id) for job in jobs])
    return [Claim(job) for job in jobs]


# It would keep all that is due behind it from being claimed
def _hold_damaged(key: Sequence[Any], now: float, db: sqlite3.Connection) -> None:
    log.error("job %s.%s is damaged in the spool: it is held, see relay queue show", *key)
    last = orjson.dumps(Last(now, None, "the job is damaged in the spool")).decode()
    hold = (
        "UPDATE job SET state = 'held', reason = 'damaged', last = ?"
        " WHERE message_id = ? AND number = ?"
    )
    db.execute(hold, (last, *key))


def content(message_id: str, db: sqlite3.Connection) -> bytes:
    """The content of a message. Raises StorageError where there is none."""
    row = db.execute("SELECT content FROM message WHERE id = ?", (message_id,)).fetchone()
    if row is None:
        raise StorageError(f"message {message_id} has no content in the spool")
    return bytes(row[0])


def is_wanted(job_id: str, db: sqlite3.Connection) -> bool:
    """Whether the job is still there and the operator has not dropped it."""
    query = "SELECT 1 FROM job WHERE message_id = ? AND number = ? AND NOT dropped"
    return db.execute(query, job_key(job_id)).fetchone() is not None


def is_active(job_id: str, db: sqlite3.Connection) -> bool:
    """Whether a relay has the job in hand."""
    query = "SELECT 1 FROM job WHERE message_id = ? AND number = ? AND state = 'active'"
    return db.execute(query, job_key(job_id)).fetchone() is not None


def keep(job_id: str, rest: Remainder, db: sqlite3.Connection) -> None:
    """Let what is left of a job wait."""
    recipients, last = orjson.dumps(rest.recipients).decode(), orjson.dumps(rest.last).decode()
    values = (recipients, rest.next_attempt, rest.reason, last, rest.warned)
    db.execute(_KEEP, (*values, *job_key(job_id)))


def end(job_id: str, db: sqlite3.Connection) -> None:
    """End a job, and its message if it was the last."""
    message_id, number = job_key(job_id)
    db.execute("DELETE FROM job WHERE message_id = ? AND number = ?", (message_id, number))
    db.execute(_END_MESSAGE, (message_id,))


def dropped(db: sqlite3.Connection) -> set[str]:
    """The ids of jobs the operator dropped while they were active."""
    rows = db.execute("SELECT message_id, number FROM job WHERE dropped").fetchall()
    return {f"{message_id}.{number}" for message_id, number in rows}


def release_all(db: sqlite3.Connection) -> None:
    """No job is active any more: they wait, or end if they were dropped."""
    for job_id in dropped(db):
        end(job_id, db)
    db.execute("UPDATE job SET state = 'waiting' WHERE state = 'active'")


def job_key(job_id: str) -> tuple[str, int]:
    """The primary key of a job; one that no job has for a text that is no job id."""
    message_id, _, number = job_id.rpartition(".")
    if not job_id.isascii():
        return "", -1
    return message_id, int(number) if _NUMBER.fullmatch(number) else -1


def parse_recipients(text: object) -> tuple[str, ...] | None:
    """The recipients of a job's row; None where it is damaged."""
    try:
        found = orjson.loads(text) if isinstance(text, str) else None
    except orjson.JSONDecodeError:
        return None
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        return None
    return tuple(found) or None


def _row(job: Job, size: int, state: str) -> tuple[object, ...]:
    envelope = job.envelope
    return (
        *job_key(job.id),
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


# None: the row is damaged
def _job(row: tuple[Any, ...]) -> Job | None:
    message_id, number, domain, sender, recipients, utf8, eight_bit, tls, *rest = row
    created, attempts, warned, dsn = rest
    to = parse_recipients(recipients)
    if to is None:
        return None
    try:
        asked = dsn_fields(dsn)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    envelope = Envelope(sender, to, bool(utf8), bool(eight_bit), bool(tls), **asked)
    job_id = f"{message_id}.{number}"
    return Job(job_id, message_id, created, domain, envelope, attempts, bool(warned))
