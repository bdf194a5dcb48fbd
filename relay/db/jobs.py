"""Statements on a spool's jobs and messages; each takes the connection of an open transaction."""

import logging
import mmap
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import orjson

from relay.db.job_row import job_key, job_of, values_of
from relay.envelope import Message
from relay.errors import StorageError
from relay.queue.job import Claim, Last, Remainder, split

log = logging.getLogger(__name__)

_HISTORY = 20  # attempts remembered of a job
_SHARE = 4  # a domain gets a quarter of a claim at most, where others wait too
_MUCH = 1_048_576  # octets; what a smaller content takes of memory may stay taken a while
_PUT_CONTENT = "INSERT INTO message VALUES (?, ?)"
_PUT_LARGE = "INSERT INTO message SELECT :id, :content WHERE :id IS NOT NULL"
_PUT_JOB = """
  INSERT INTO job (message_id, number, domain, sender, recipients, smtputf8, eight_bit, requiretls,
                   created, size, state, next_attempt, dsn)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_TURNS = """
  SELECT domain FROM turn
  WHERE next_due <= ? AND domain NOT IN (SELECT value FROM json_each(?))
  ORDER BY next_due LIMIT ?"""
_DUE = """
  SELECT message_id, number, domain, sender, recipients, smtputf8, eight_bit, requiretls,
         created, attempts, warned, size, dsn
  FROM job WHERE state = 'waiting' AND domain = ? AND next_attempt <= ?
  ORDER BY next_attempt LIMIT ?"""
_NEXT_TURN = """
  INSERT OR REPLACE INTO turn
  SELECT domain, next_attempt FROM job WHERE state = 'waiting' AND domain = ?
  ORDER BY next_attempt LIMIT 1"""
# SQLite's json functions fail on what is no JSON, and a settlement must not
_KEEP = """
  UPDATE job SET state = iif(on_hold, 'held', 'waiting'), on_hold = 0, recipients = :recipients,
                 attempts = attempts + 1, next_attempt = :next_attempt, reason = :reason,
                 last = :last, warned = :warned,
                 history = json_insert(
                   CASE WHEN NOT coalesce(json_valid(history), 0) THEN '[]'
                        WHEN json_array_length(history) < :most THEN history
                        ELSE json_remove(history, '$[0]') END,
                   '$[#]', json(:attempt))
  WHERE message_id = :message_id AND number = :number"""
_CORRECT = """
  UPDATE job SET created = min(created, :now), next_attempt = min(next_attempt, :latest)
  WHERE created > :now OR next_attempt > :latest"""
_GIVE_BACK = """
  UPDATE job SET state = 'held', on_hold = 0
  WHERE message_id = ? AND number = ? AND state = 'active' AND on_hold"""
_END_MESSAGE = """
  DELETE FROM message
  WHERE id = ? AND NOT EXISTS (SELECT 1 FROM job WHERE message_id = message.id)"""


def put(message: Message, claimed: bool, db: sqlite3.Connection) -> list[Claim]:
    """Keep a message with its jobs; the claims on them if they are born claimed."""
    content = message.content
    if len(content) > _MUCH:
        _put_large(message.id, content, db)
    else:
        db.execute(_PUT_CONTENT, (message.id, content))
    jobs = split(message)
    state = "active" if claimed else "waiting"
    rows = [values_of(job, number, len(content), state) for number, job in enumerate(jobs, 1)]
    db.executemany(_PUT_JOB, rows)
    # what was too large to be held on its way in is not held on its way out
    body = content if isinstance(content, bytes) else None
    return [Claim(job, body) for job in jobs] if claimed else []


# A hundred may be kept in one transaction, each in memory only while it is written; a statement
# holds the values of its last run, so it is run once more with none
def _put_large(name: str, content: bytes | memoryview, db: sqlite3.Connection) -> None:
    db.execute(_PUT_LARGE, {"id": name, "content": content})
    db.execute(_PUT_LARGE, {"id": None, "content": b""})
    if isinstance(content, memoryview) and isinstance(content.obj, mmap.mmap):
        with suppress(OSError, AttributeError):  # advice, which not every system takes
            content.obj.madvise(mmap.MADV_DONTNEED)


def claim(
    now: float, limit: int, passing_over: Sequence[str], db: sqlite3.Connection
) -> list[Claim]:
    """Make due jobs active, the longest due first within a domain, and of several domains."""
    claims: list[Claim] = []
    passed_over = orjson.dumps(passing_over).decode()
    while not claims and limit > 0:
        turns = [domain for (domain,) in db.execute(_TURNS, (now, passed_over, limit)).fetchall()]
        if not turns:
            break
        most = limit if len(turns) == 1 else -(-limit // _SHARE)
        for domain in turns:
            claims += _claim_from(domain, now, min(most, limit - len(claims)), db)
            if len(claims) == limit:
                break
    return claims


# Asked for a domain whose jobs are no longer due, it claims none and puts the domain's turn right
def _claim_from(domain: str, now: float, limit: int, db: sqlite3.Connection) -> list[Claim]:
    jobs = []
    for row in db.execute(_DUE, (domain, now, limit)).fetchall():
        if job := job_of(row):
            jobs.append(job)
        else:
            _hold_damaged(row[:2], now, db)
    activate = "UPDATE job SET state = 'active' WHERE message_id = ? AND number = ?"
    db.executemany(activate, [job_key(job.id) for job in jobs])
    if not db.execute(_NEXT_TURN, (domain,)).rowcount:
        db.execute("DELETE FROM turn WHERE domain = ?", (domain,))
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
    """Let what is left of a job wait, or hold it where the operator asked for that meanwhile."""
    message_id, number = job_key(job_id)
    attempt = {
        "time": rest.last.time,
        "reason": rest.reason,
        "host": rest.last.host,
        "reply": rest.last.reply,
    }
    values = {
        "recipients": orjson.dumps(rest.recipients).decode(),
        "next_attempt": rest.next_attempt,
        "reason": rest.reason,
        "last": orjson.dumps(rest.last).decode(),
        "warned": rest.warned,
        "attempt": orjson.dumps(attempt).decode(),
        "most": _HISTORY,
        "message_id": message_id,
        "number": number,
    }
    db.execute(_KEEP, values)


def end(job_id: str, db: sqlite3.Connection) -> None:
    """End a job, and its message if it was the last."""
    message_id, number = job_key(job_id)
    db.execute("DELETE FROM job WHERE message_id = ? AND number = ?", (message_id, number))
    db.execute(_END_MESSAGE, (message_id,))


def revoked(db: sqlite3.Connection) -> set[str]:
    """The ids of active jobs that the operator has dropped or wants held."""
    query = "SELECT message_id, number FROM job WHERE dropped OR on_hold"
    return {f"{message_id}.{number}" for message_id, number in db.execute(query).fetchall()}


def give_back(job_id: str, db: sqlite3.Connection) -> None:
    """Do with an active job what the operator asked for; without that it goes on waiting."""
    if not is_wanted(job_id, db):
        end(job_id, db)
    elif not db.execute(_GIVE_BACK, job_key(job_id)).rowcount:
        wait = "UPDATE job SET state = 'waiting' WHERE message_id = ? AND number = ?"
        db.execute(wait, job_key(job_id))


def release_all(db: sqlite3.Connection) -> None:
    """No job is active any more: they wait, or are held or end if the operator asked for that."""
    for job_id in revoked(db):
        give_back(job_id, db)
    db.execute("UPDATE job SET state = 'waiting' WHERE state = 'active'")


def correct_times(now: float, latest: float, db: sqlite3.Connection) -> int:
    """Let no job be younger than `now` or wait beyond `latest`; how many did."""
    return db.execute(_CORRECT, {"now": now, "latest": latest}).rowcount
