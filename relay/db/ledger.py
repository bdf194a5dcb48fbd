"""The ledger of violations in SQLite, shared by every process on one storage: writing it."""

import sqlite3
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from relay.db.committer import Committer
from relay.db.connection import open_database
from relay.reporting.store import Entry
from relay.timestamp import parse_rfc3339


class Ledger:
    """A LedgerStore for a running relay; ledger_reader.py serves commands without one."""

    def __init__(self, path: Path) -> None:
        """Open or create the database. Raises StorageError."""
        self._committer = Committer(open_database(path, "ledger", durable=False), path)

    def close(self) -> None:
        """Finish what waits and close."""
        self._committer.close()

    async def append(self, entries: Sequence[Entry]) -> None:
        """See LedgerStore."""
        await self._committer.run(partial(_append, entries))


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
