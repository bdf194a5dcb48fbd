"""The ledger of violations in SQLite, shared by every process on one storage: writing it."""

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from relay.db import ledger_alerts
from relay.db.committer import Committer
from relay.db.connection import open_database
from relay.db.ledger_traffic import add_traffic, prune_traffic
from relay.reporting.alert import Alert
from relay.reporting.store import Entry, Passage, Passed
from relay.timestamp import parse_rfc3339

_KIND = ("domain", "mode", "mx", "reason", "action")
_ADD_KIND = """
  INSERT INTO kind (domain, mode, mx, reason, action) VALUES (?, ?, ?, ?, ?)
  ON CONFLICT DO NOTHING"""
_ADD = """
  INSERT INTO violation (finding_id, record_id, time, kind)
  SELECT ?, ?, ?, id FROM kind WHERE (domain, mode, mx, reason, action) = (?, ?, ?, ?, ?)
  ON CONFLICT DO NOTHING"""
_ADD_LINE = "INSERT INTO line (id, record) VALUES (?, ?)"
_TOO_OLD = "SELECT id, kind FROM violation WHERE time < ? ORDER BY time LIMIT ?"
# Numbers have no gaps but for what was removed, the lowest first but for a clock put back
_TOO_MANY = """
  SELECT id, kind FROM violation
  WHERE id <= (SELECT max(id) FROM violation) - ? ORDER BY id LIMIT ?"""
_COUNT = """
  UPDATE kind SET count = count + 1, last = max(last, :time),
    first = iif(count = 0, :time, min(first, :time))
  WHERE id = (SELECT kind FROM violation WHERE id = :number)"""
_COUNT_AGAIN = """
  UPDATE kind SET count = count - ?,
    first = coalesce((SELECT min(time) FROM violation WHERE kind = kind.id), first),
    last = coalesce((SELECT max(time) FROM violation WHERE kind = kind.id), last)
  WHERE id = ?"""


class Ledger:
    """What a running relay keeps violations in; ledger_reader.py serves commands without one."""

    def __init__(self, path: Path) -> None:
        """Open or create the database. Raises StorageError."""
        self._committer = Committer(open_database(path, "ledger", durable=False), path)

    def close(self) -> None:
        """Finish what waits and close."""
        self._committer.close()

    async def append(self, entries: Sequence[Entry]) -> None:
        """See LedgerStore."""
        await self._committer.run(partial(_append, entries))

    async def prune(self, before: float, most: int, limit: int) -> int:
        """See LedgerStore."""
        return await self._committer.run(partial(_prune, before, most, limit))

    async def add_traffic(self, counted: Mapping[Passage, Passed]) -> None:
        """See LedgerStore."""
        await self._committer.run(partial(add_traffic, counted))

    async def prune_traffic(self, before: float, most: int, limit: int) -> int:
        """See LedgerStore."""
        return await self._committer.run(partial(prune_traffic, before, most, limit))

    async def next_alert(self, now: float) -> tuple[Alert | None, int]:
        """See AlertStore."""
        return await self._committer.run(partial(ledger_alerts.next_alert, now))

    async def give_back(self, alert: Alert, now: float) -> None:
        """See AlertStore."""
        await self._committer.run(partial(ledger_alerts.give_back, alert, now))


def _append(entries: Sequence[Entry], db: sqlite3.Connection) -> None:
    for entry in entries:
        record = entry.record
        kind = [record[name] or "" for name in _KIND]
        time = parse_rfc3339(record["time"])
        db.execute(_ADD_KIND, kind)
        added = db.execute(_ADD, (entry.finding_id, record["id"], time, *kind))
        if added.rowcount:
            db.execute(_ADD_LINE, (added.lastrowid, entry.line.decode()))
            db.execute(_COUNT, {"number": added.lastrowid, "time": time})


def _prune(before: float, most: int, limit: int, db: sqlite3.Connection) -> int:
    rows = db.execute(_TOO_OLD, (before, limit)).fetchall()
    rows = rows or db.execute(_TOO_MANY, (most, limit)).fetchall()
    numbers = [(number,) for number, _ in rows]
    db.executemany("DELETE FROM line WHERE id = ?", numbers)
    db.executemany("DELETE FROM violation WHERE id = ?", numbers)
    removed = Counter(kind for _, kind in rows)
    db.executemany(_COUNT_AGAIN, [(count, kind) for kind, count in removed.items()])
    db.executemany("DELETE FROM kind WHERE id = ? AND count = 0", [(kind,) for kind in removed])
    return len(rows)
