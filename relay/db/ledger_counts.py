"""Counting in the ledger, for commands: what repeats, and how many a day."""

import sqlite3
from pathlib import Path

import orjson

from relay.db.ledger_filter import KIND, parameters
from relay.db.ledger_reader import opened
from relay.reporting.store import Filter, Repeat

# By the index over kind and time alone, whatever the planner thinks of the filter
_COUNTED = f"""
  FROM violation INDEXED BY violation_kind
  WHERE violation.kind IN (SELECT id FROM kind WHERE {KIND})
    AND violation.time >= :since AND violation.time < :until"""  # noqa: S608 - of constants
_REPEATS = f"""
  SELECT kind.domain, kind.mode, kind.mx, kind.reason, kind.action,
    found.count, found.first, found.last, found.newest
  FROM (
    SELECT kind, count(*) AS count, min(time) AS first, max(time) AS last, max(id) AS newest
    {_COUNTED}
    GROUP BY kind
  ) AS found
  JOIN kind ON kind.id = found.kind
  ORDER BY found.last DESC, found.newest DESC"""  # noqa: S608 - of constants
_NEWEST = """
  SELECT record_id, record FROM violation JOIN line USING (id) WHERE violation.id = ?"""
_DAYS = f"""
  SELECT CAST(violation.time / 86400 AS INTEGER) AS day, count(*) {_COUNTED}
  GROUP BY day ORDER BY day DESC"""
_Row = tuple[str, str, str, str, str, int, float, float, int]


def fold(path: Path, wanted: Filter, limit: int) -> tuple[list[Repeat], int, int]:
    """Repeats, the newest first, up to `limit`; how many there are; how many records in all.

    Raises StorageError.
    """
    with opened(path) as db:
        rows: list[_Row] = db.execute(_REPEATS, parameters(wanted)).fetchall()
        shown = [_repeat(row, *_newest(row[-1], db)) for row in rows[:limit]]
    return shown, len(rows), sum(row[5] for row in rows)


def count_kinds(path: Path, wanted: Filter) -> list[Repeat]:
    """All repeats, the newest first, without what the newest of each says. Raises StorageError."""
    with opened(path) as db:
        return [_repeat(row) for row in db.execute(_REPEATS, parameters(wanted))]


def count_days(path: Path, wanted: Filter) -> list[tuple[float, int]]:
    """How many on each day (UTC) that had any, the latest first; its begin in seconds since 1970.

    Raises StorageError.
    """
    with opened(path) as db:
        rows = db.execute(_DAYS, parameters(wanted)).fetchall()
    return [(day * 86400.0, count) for day, count in rows]


def _repeat(row: _Row, record_id: str = "", detail: str = "") -> Repeat:
    domain, mode, mx, reason, action, count, first, last, _ = row
    words = (domain, mode or None, mx or None, reason, action)
    return Repeat(*words, count, first, last, record_id, detail)


# It may have been removed meanwhile
def _newest(number: int, db: sqlite3.Connection) -> tuple[str, str]:
    record_id, line = db.execute(_NEWEST, (number,)).fetchone() or ("", "")
    try:
        return record_id, str(orjson.loads(line)["detail"])
    except (orjson.JSONDecodeError, KeyError):
        return record_id, ""
