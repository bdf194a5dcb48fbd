"""Counting in the ledger, for commands: what repeats, and how many a day."""

import sqlite3
from pathlib import Path

import orjson

from relay.db.ledger_filter import KIND, is_of_every_kind, parameters
from relay.db.ledger_reader import opened
from relay.reporting.store import Filter, Repeat, Summary

_SPAN = "violation.time >= :since AND violation.time < :until"
# By the index over kind and time alone, whatever the planner thinks of the filter; through all of
# it where every kind is wanted, since to look for each would take longer
_ALL = f"FROM violation INDEXED BY violation_kind WHERE {_SPAN}"
_SOME = f"{_ALL} AND violation.kind IN (SELECT id FROM kind WHERE {KIND})"  # noqa: S608
_WORDS = "kind.domain, kind.mode, kind.mx, kind.reason, kind.action"
# Whenever it was: each kind has its count
_EVER = f"SELECT {_WORDS}, count, first, last, id FROM kind WHERE {KIND}"  # noqa: S608
_WHILE = f"""
  SELECT {_WORDS}, found.count, found.first, found.last, kind.id
  FROM (
    SELECT kind, count(*) AS count, min(time) AS first, max(time) AS last
    {{}}
    GROUP BY kind
  ) AS found
  JOIN kind ON kind.id = found.kind"""  # noqa: S608
_NEWEST = """
  SELECT record_id, record FROM violation JOIN line USING (id)
  WHERE violation.kind = ? AND violation.time = ? ORDER BY violation.id DESC LIMIT 1"""
_DAYS = f"""
  SELECT CAST(violation.time / 86400 AS INTEGER) * 86400.0 AS day, count(*) {_SOME}
  GROUP BY day ORDER BY day DESC"""
# From each day's last to that of the day before which has any: by the index over time nobody has to
# put all of them in order
_ALL_DAYS = f"""
  WITH RECURSIVE latest(time) AS (
    SELECT max(time) FROM violation WHERE {_SPAN}
    UNION ALL
    SELECT (
      SELECT max(time) FROM violation
      WHERE time >= :since AND time < CAST(latest.time / 86400 AS INTEGER) * 86400.0
    )
    FROM latest WHERE latest.time IS NOT NULL
  ), days AS (
    SELECT CAST(time / 86400 AS INTEGER) * 86400.0 AS day, time FROM latest WHERE time IS NOT NULL
  )
  SELECT day, (
    SELECT count(*) FROM violation
    WHERE violation.time >= max(day, :since) AND violation.time <= days.time
  )
  FROM days"""  # noqa: S608
_PAGE = "SELECT * FROM ({}) ORDER BY last DESC, id DESC LIMIT :limit"
_TOTAL = "SELECT count(*), coalesce(sum(count), 0) FROM ({})"
_TOTALS = """
  SELECT coalesce(sum(count), 0), coalesce(sum(iif(action = 'refused', count, 0)), 0),
    coalesce(min(first), 0.0), coalesce(max(last), 0.0)
  FROM found"""
_BY = "SELECT {0}, sum(count) FROM found GROUP BY {0} ORDER BY 2 DESC, 1"
_SAME = f"""
  SELECT {_WORDS}, count, first, last, kind.id FROM kind
  WHERE kind.id = (SELECT kind FROM violation WHERE violation.id = ?)"""  # noqa: S608
_Row = tuple[str, str, str, str, str, int, float, float, int]
_LAST = 7  # the place of the latest time in it


def fold(path: Path, wanted: Filter, limit: int) -> tuple[list[Repeat], int, int]:
    """Repeats, the newest first, up to `limit`; how many there are; how many records in all.

    Raises StorageError.
    """
    values = parameters(wanted) | {"limit": limit}
    with opened(path) as db:
        rows: list[_Row] = db.execute(_PAGE.format(_source(wanted)), values).fetchall()
        shown = [_repeat(row, *_newest(row, db)) for row in rows]
        repeats, records = db.execute(_TOTAL.format(_source(wanted)), values).fetchone()
    return shown, repeats, records


def summarise(path: Path, wanted: Filter) -> Summary:
    """Count by domain, by reason and by day. Raises StorageError."""
    values = parameters(wanted)
    with opened(path) as db:
        db.execute(f"CREATE TEMP TABLE found AS {_source(wanted)}", values)
        count, refused, first, last = db.execute(_TOTALS).fetchone()
        domains, reasons = (tuple(db.execute(_BY.format(name))) for name in ("domain", "reason"))
        days = tuple(db.execute(_ALL_DAYS if is_of_every_kind(wanted) else _DAYS, values))
    return Summary(count, refused, first, last, domains, reasons, days)


def repeat_of(path: Path, number: int) -> Repeat | None:
    """The repeat that the record of this number belongs to; None: it is gone.

    Raises StorageError.
    """
    with opened(path) as db:
        row: _Row | None = db.execute(_SAME, (number,)).fetchone()
        return _repeat(row, *_newest(row, db)) if row else None


def _source(wanted: Filter) -> str:
    if wanted.since is None and wanted.until is None:
        return _EVER
    return _WHILE.format(_ALL if is_of_every_kind(wanted) else _SOME)


def _repeat(row: _Row, record_id: str, detail: str) -> Repeat:
    domain, mode, mx, reason, action, count, first, last, _ = row
    words = (domain, mode or None, mx or None, reason, action)
    return Repeat(*words, count, first, last, record_id, detail)


# It may have been removed meanwhile
def _newest(row: _Row, db: sqlite3.Connection) -> tuple[str, str]:
    found = db.execute(_NEWEST, (row[-1], row[_LAST])).fetchone()
    record_id, line = found or ("", "")
    try:
        return record_id, str(orjson.loads(line)["detail"])
    except (orjson.JSONDecodeError, KeyError):
        return record_id, ""
