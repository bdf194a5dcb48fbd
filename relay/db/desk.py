"""What the operator does to a queue from another process: list, show, retry, drop."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson

from relay.db import jobs, outbox
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
        for spool in self._spools():
            key: tuple[object, ...] = ("", 0)
            while rows := spool.read(_NEXT, (*key, domain)):
                yield from map(_record, rows)
                key = rows[-1][:2]

    def find(self, name: str) -> list[QueueRecord]:
        """The jobs of a job id or a message id."""
        if not name.isascii():
            return []
        values = (name, *jobs.job_key(name))
        rows = [row for spool in self._spools() for row in spool.read(_NAMED, values)]
        return list(map(_record, rows))

    def header(self, message_id: str) -> str:
        """The header of a message, the first 64 KiB of it."""
        for spool in self._spools():
            for (start,) in spool.read(_HEADER, (message_id,)):
                return bytes(start).partition(b"\r\n\r\n")[0].decode("utf-8", "replace")
        return ""

    def retry(self, job_ids: Sequence[str], now: float) -> int:
        """Make waiting and held jobs due now; how many there were."""
        return self._change(lambda db: sum(_retry(db, job_id, now) for job_id in job_ids))

    def drop(self, job_ids: Sequence[str]) -> int:
        """End jobs without a notice, active ones when their attempt ends; how many."""
        return self._change(lambda db: sum(_drop(db, job_id) for job_id in job_ids))

    def findings_lost(self) -> int:
        """How many violations had no room in the spools, ever."""
        return sum(spool.read(outbox.LOST, ())[0][0] for spool in self._spools())

    def _change(self, change: Callable[[sqlite3.Connection], int]) -> int:
        return sum(spool.change(change) for spool in self._spools())

    def _spools(self) -> Iterator["_Spool"]:
        for path in sorted(self._directory.glob("spool-*.db")):
            with closing(open_database(path, "spool", durable=True)) as db:
                yield _Spool(path, db)


class _Spool:
    """One open database of the queue; every trouble with it is a StorageError."""

    def __init__(self, path: Path, db: sqlite3.Connection) -> None:
        self._path = path
        self._db = db

    def read(self, query: str, values: Sequence[object]) -> list[Any]:
        with storage_errors(self._path):
            return self._db.execute(query, values).fetchall()

    def change(self, change: Callable[[sqlite3.Connection], int]) -> int:
        with storage_errors(self._path):
            self._db.execute("BEGIN IMMEDIATE")
            count = change(self._db)
            self._db.execute("COMMIT")
        return count


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
        recipients=jobs.parse_recipients(recipients) or (),
        size=size,
        attempts=attempts,
        next_attempt=None if state == "held" else next_attempt,
        state=state,
        reason=reason,
        last=_last(last) if last else None,
    )


# A damaged row is shown as far as it goes: the operator must be able to see and to drop it
def _last(text: str) -> Last | None:
    try:
        return Last(**orjson.loads(text))
    except (ValueError, TypeError):
        return None
