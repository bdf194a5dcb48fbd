"""The ledger of violations in SQLite, shared by every process on one storage."""

import sqlite3
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import orjson

from relay.db.committer import Committer
from relay.db.connection import open_database, storage_errors
from relay.reporting.store import Entry, Filter
from relay.reporting.violations import Record
from relay.timestamp import parse_rfc3339


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
    conditions = ["id > ?"]
    values: list[object] = [wanted.after]
    for column, operator, value in (
        ("time", ">=", wanted.since),
        ("domain", "=", wanted.domain),
        ("mode", "=", wanted.mode),
    ):
        if value is not None:
            conditions.append(f"{column} {operator} ?")
            values.append(value)
    db = open_database(path, "ledger", durable=False)
    query = f"SELECT id, record FROM violation WHERE {' AND '.join(conditions)} ORDER BY id"  # noqa: S608 - the parts are ours
    try:
        with storage_errors(path):
            for number, record in db.execute(query, values):
                yield number, orjson.loads(record)
    finally:
        db.close()


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
