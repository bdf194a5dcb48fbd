"""What the operator does to a queue from another process: list, show, retry, drop."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import orjson

from relay.db import jobs
from relay.db.connection import open_database, storage_errors
from relay.queue.job import Last, QueueRecord

_PAGE = 1000  # records read at a time: no transaction stays open while somebody reads a pager
_RECORDS = """
  SELECT message_id, number, created, sender, domain, recipients, size, attempts, next_attempt,
         state, reason, last
  FROM job"""
_NEXT = f"""{_RECORDS}
  WHERE (message_id, number) > (?, ?) AND domain = coalesce(?, domain)
  ORDER BY message_id, number LIMIT {_PAGE}"""
_NAMED = f"""{_RECORDS}
  WHERE message_id = ? OR (message_id, number) = (?, ?) ORDER BY message_id, number"""
_HEADER = "SELECT substr(content, 1, 65536) FROM message WHERE id = ?"


class Desk:
    """The spools of a storage directory as one queue; a running relay sees changes in a second."""

    def __init__(self, directory: Path) -> None:
        """Nothing is opened before it is asked for."""
        self._directory = directory

    def jobs(self, domain: str | None = None) -> Iterator[QueueRecord]:
        """Every job, the oldest message first; with `domain` only those for it."""
        for db in self._spools():
            key: tuple[object, ...] = ("", 0)
            while rows := db.execute(_NEXT, (*key, domain)).fetchall():
                yield from map(_record, rows)
                key = rows[-1][:2]

    def find(self, name: str) -> list[QueueRecord]:
        """The jobs of a job id or a message id."""
        values = (name, *jobs.job_key(name))
        return [_record(row) for db in self._spools() for row in db.execute(_NAMED, values)]

    def header(self, message_id: str) -> str:
        """The header of a message, the first 64 KiB of it."""
        for db in self._spools():
            if row := db.execute(_HEADER, (message_id,)).fetchone():
                return bytes(row[0]).partition(b"\r\n\r\n")[0].decode("utf-8", "replace")
        return ""

    def retry(self, job_ids: Sequence[str], now: float) -> int:
        """Make waiting and held jobs due now; how many there were."""
        return self._change(lambda db: sum(_retry(db, job_id, now) for job_id in job_ids))

    def drop(self, job_ids: Sequence[str]) -> int:
        """End jobs without a notice, active ones when their attempt ends; how many."""
        return self._change(lambda db: sum(_drop(db, job_id) for job_id in job_ids))

    def _change(self, change: Callable[[sqlite3.Connection], int]) -> int:
        total = 0
        for db in self._spools():
            db.execute("BEGIN IMMEDIATE")
            total += change(db)
            db.execute("COMMIT")
        return total

    def _spools(self) -> Iterator[sqlite3.Connection]:
        for path in sorted(self._directory.glob("spool-*.db")):
            with _opened(path) as db:
                yield db


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_database(path, "spool", durable=True)) as db, storage_errors(path):
        yield db


def _retry(db: sqlite3.Connection, job_id: str, now: float) -> int:
    update = (
        "UPDATE job SET state = 'waiting', next_attempt = ?"
        " WHERE message_id = ? AND number = ? AND state != 'active'"
    )
    return db.execute(update, (now, *jobs.job_key(job_id))).rowcount


def _drop(db: sqlite3.Connection, job_id: str) -> int:
    mark = "UPDATE job SET dropped = 1 WHERE message_id = ? AND number = ?"
    found = db.execute(mark, jobs.job_key(job_id)).rowcount
    if found and not jobs.is_active(job_id, db):
        jobs.end(job_id, db)
    return found


def _record(row: Sequence[Any]) -> QueueRecord:
    (message_id, number, created, sender, domain, recipients, *rest) = row
    (size, attempts, next_attempt, state, reason, last) = rest
    return QueueRecord(
        id=f"{message_id}.{number}",
        message_id=message_id,
        created=created,
        sender=sender or "",
        domain=domain,
        recipients=tuple(orjson.loads(recipients)),
        size=size,
        attempts=attempts,
        next_attempt=None if state == "held" else next_attempt,
        state=state,
        reason=reason,
        last=Last(**orjson.loads(last)) if last else None,
    )
