"""The ledger of violations in SQLite, shared by every process on one storage."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import orjson

from relay.db.committer import Committer
from relay.db.connection import open_database, storage_errors
from relay.reporting.store import Entry, Filter
from relay.reporting.violations import Record
from relay.timestamp import parse_rfc3339

# Read page by page: no transaction stays open while somebody reads a pager
_NEXT = """
  SELECT id, record FROM violation
  WHERE id > ?1 AND time >= ?2 AND (?3 IS NULL OR domain = ?3) AND (?4 IS NULL OR mode = ?4)
  ORDER BY id LIMIT 1000"""


class Ledger:
    """A LedgerStore for a running relay; `read` serves commands without one."""

    def __init__(self, path: Path) -> None:
        """Open or create the database. Raises StorageError."""
        self._committer = Committer(open_database(path, "ledger", durable=False), path)

    def close(self) -> None:
        """Finish what waits and close."""
        self._committer.close()

    async def append(self, entries: Sequence[Entry]) -> None:
        """See LedgerStore."""
        await self._committer.run(partial(_append, entries))


def read_ledger(path: Path, wanted: Filter) -> Iterator[tuple[int, Record]]:
    """The records that fit, in the order written, each with its number. Raises StorageError."""
    values = (wanted.since or 0.0, wanted.domain, wanted.mode)
    with closing(open_database(path, "ledger", durable=False)) as db, storage_errors(path):
        after = max(wanted.after, _before(wanted.since, db))
        while rows := db.execute(_NEXT, (after, *values)).fetchall():
            yield from ((number, orjson.loads(record)) for number, record in rows)
            after = rows[-1][0]


# Times are nearly in the order of the numbers: the first number leaves the older records aside
def _before(since: float | None, db: sqlite3.Connection) -> int:
    if since is None:
        return 0
    first = db.execute("SELECT min(id) FROM violation WHERE time >= ?", (since,)).fetchone()[0]
    return first - 1 if first else 0


def _append(entries: Sequence[Entry], db: sqlite3.Connection) -> None:
    db.executemany(
        "INSERT OR IGNORE INTO violation (finding_id, time, domain, mode, record)"
        " VALUES (?, ?, ?, ?, ?)",
        [
            (
                entry.finding_id,
                parse_rfc3339(entry.record["time"]),
                entry.record["domain"],
                entry.record["mode"],
                entry.line.decode(),
            )
            for entry in entries
        ],
    )
