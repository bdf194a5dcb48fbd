"""Reading the ledger of violations, for commands: loads nothing that a running relay needs."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import orjson

from relay.db.connection import open_database, storage_errors
from relay.errors import StorageError
from relay.reporting.store import Filter
from relay.reporting.violations import Record

# Read page by page: no transaction stays open while somebody reads a pager
_NEXT = """
  SELECT id, record FROM violation
  WHERE id > ? AND time >= ? AND domain = coalesce(?, domain) AND mode IS coalesce(?, mode)
  ORDER BY id LIMIT 1000"""


def read_ledger(path: Path, wanted: Filter) -> Iterator[tuple[int, Record]]:
    """The records that fit, in the order written, each with its number. Raises StorageError."""
    values = (wanted.since or 0.0, wanted.domain, wanted.mode)
    with closing(open_database(path, "ledger", durable=False)) as db, storage_errors(path):
        after = max(wanted.after, _before(wanted.since, db))
        while rows := db.execute(_NEXT, (after, *values)).fetchall():
            yield from ((number, _record(record, number, path)) for number, record in rows)
            after = rows[-1][0]


def _record(text: str, number: int, path: Path) -> Record:
    try:
        record: Record = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise StorageError(f"{path}: record {number} is damaged") from None
    return record


# Times are nearly in the order of the numbers: the first number leaves the older records aside
def _before(since: float | None, db: sqlite3.Connection) -> int:
    if since is None:
        return 0
    query = "SELECT coalesce(min(id), 1 << 62) - 1 FROM violation WHERE time >= ?"
    return int(db.execute(query, (since,)).fetchone()[0])
