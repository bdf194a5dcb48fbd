"""What the operator does to a queue from another process: list, show, retry, drop."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

import orjson

from relay.db.connection import open_database, storage_errors
from relay.db.spool import end_message
from relay.queue.job import Last, QueueRecord

T = TypeVar("T")

_RECORDS = """
  SELECT job.id, message_id, created, sender, domain, recipients, size, attempts, next_attempt,
         state, reason, last
  FROM job JOIN message ON message.id = message_id"""


class Desk:
    """The spools of a storage directory as one queue; a running relay sees changes in a second."""

    def __init__(self, directory: Path) -> None:
        """Nothing is opened before it is asked for."""
        self._directory = directory

    def jobs(self, domain: str | None = None) -> Iterator[QueueRecord]:
        """Every job, the oldest message first; with `domain` only those for it."""
        where, values = (" WHERE domain = ?", (domain,)) if domain else ("", ())
        for db in self._spools():
            for row in db.execute(f"{_RECORDS}{where} ORDER BY created, job.id", values):
                yield _record(row)

    def find(self, name: str) -> list[QueueRecord]:
        """The jobs of a job id or a message id."""
        query = f"{_RECORDS} WHERE job.id = ? OR message_id = ? ORDER BY job.id"
        return [_record(row) for db in self._spools() for row in db.execute(query, (name, name))]

    def header(self, message_id: str) -> str:
        """The header of a message."""
        query = "SELECT substr(content, 1, 65536) FROM body WHERE message_id = ?"
        for db in self._spools():
            if row := db.execute(query, (message_id,)).fetchone():
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
    query = "UPDATE job SET state = 'waiting', next_attempt = ? WHERE id = ? AND state != 'active'"
    return db.execute(query, (now, job_id)).rowcount


def _drop(db: sqlite3.Connection, job_id: str) -> int:
    marked = db.execute("UPDATE job SET dropped = 1 WHERE id = ? AND state = 'active'", (job_id,))
    gone = db.execute(
        "DELETE FROM job WHERE id = ? AND state != 'active' RETURNING message_id", (job_id,)
    ).fetchone()
    if gone:
        end_message(db, gone[0])
    return marked.rowcount + bool(gone)


def _record(row: Sequence[object]) -> QueueRecord:
    (job_id, message_id, created, sender, domain, recipients, *rest) = row
    (size, attempts, next_attempt, state, reason, last) = rest
    return QueueRecord(
        id=str(job_id),
        message_id=str(message_id),
        created=float(str(created)),
        sender=str(sender or ""),
        domain=str(domain),
        recipients=tuple(orjson.loads(str(recipients))),
        size=int(str(size)),
        attempts=int(str(attempts)),
        next_attempt=None if state == "held" else float(str(next_attempt)),
        state=str(state),
        reason=None if reason is None else str(reason),
        last=Last(**orjson.loads(str(last))) if last else None,
    )
