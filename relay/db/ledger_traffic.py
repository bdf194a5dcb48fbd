"""The ledger's counts of deliveries in SQLite: writing them, and the sums for commands."""

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import astuple
from pathlib import Path
from typing import Any

from relay.db.ledger_filter import EVER
from relay.db.ledger_reader import opened
from relay.reporting.store import DAY, Counts, Exposure, Passage, Passed, Shadow

_ADD = """
  INSERT INTO traffic VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
  ON CONFLICT DO UPDATE SET
    messages = messages + excluded.messages, recipients = recipients + excluded.recipients,
    first = min(first, excluded.first), last = max(last, excluded.last)"""
_TOO_OLD = """
  DELETE FROM traffic WHERE (mode, domain, day, level, flaws) IN (
    SELECT mode, domain, day, level, flaws FROM traffic WHERE day < ? ORDER BY day LIMIT ?)"""
_NTH_NEWEST = "SELECT day FROM traffic ORDER BY day DESC LIMIT 1 OFFSET ?"
# What mode enforce has against a host is more than a floor has: it asks for the listed ones
_WANTED = """
  FROM traffic
  WHERE mode = :mode AND last >= :since AND first < :until"""
_IN_ONE = " AND domain = :domain"
_SUMS = f"""
  CREATE TEMP TABLE sums AS
  SELECT domain, sum(messages) AS messages, sum(recipients) AS recipients,
    sum(iif(level = 'clear', messages, 0)) AS clear,
    sum(iif(flaws != '', messages, 0)) AS flawed,
    min(first) AS first, max(last) AS last, max(iif(flaws != '', last, NULL)) AS last_flawed
  {_WANTED}{{}} GROUP BY domain"""
_SHOWN = """
  CREATE TEMP TABLE shown AS
  SELECT * FROM sums ORDER BY flawed DESC, messages DESC, domain LIMIT :limit"""
_WHY = f"""
  SELECT domain, flaws, sum(messages) {_WANTED}
    AND flaws != '' AND domain IN (SELECT domain FROM shown)
  GROUP BY domain, flaws"""  # noqa: S608 - of constants
_TOTALS = """
  SELECT count(*), coalesce(sum(flawed = 0), 0), coalesce(sum(messages), 0),
    coalesce(sum(clear), 0), coalesce(sum(flawed), 0), min(first), max(last)
  FROM sums"""
_Row = tuple[str, int, int, int, int, float, float, float | None]


def add_traffic(counted: Mapping[Passage, Passed], db: sqlite3.Connection) -> None:
    """An operation of the committer: add to what is there."""
    rows = [
        (one.mode, one.domain, one.day, one.level, ",".join(one.flaws), *astuple(passed))
        for one, passed in counted.items()
    ]
    db.executemany(_ADD, rows)


def prune_traffic(before: float, most: int, limit: int, db: sqlite3.Connection) -> int:
    """An operation of the committer: see LedgerStore."""
    oldest = db.execute(_NTH_NEWEST, (most,)).fetchone()
    day = max(before // DAY, oldest[0] + 1 if oldest else 0)
    return db.execute(_TOO_OLD, (day, limit)).rowcount


def shadow(
    path: Path,
    mode: str,
    domain: str | None,
    span: tuple[float | None, float | None],
    limit: int,
) -> Shadow:
    """What was delivered under policies of a mode from a time to another (None: ever), by domain.

    At most `limit` domains, those first of which more would have been refused; the sums are of all.
    Raises StorageError.
    """
    since, until = span
    values: dict[str, Any] = {
        "mode": mode,
        "domain": domain,
        "since": 0.0 if since is None else since,
        "until": EVER if until is None else until,
        "limit": limit,
    }
    only = "" if domain is None else _IN_ONE
    with opened(path) as db:
        db.execute(_SUMS.format(only), values)
        db.execute(_SHOWN, values)
        reasons = _reasons(values, db)
        rows: list[_Row] = db.execute("SELECT * FROM shown ORDER BY rowid").fetchall()
        exposures = tuple(Exposure(*row, reasons.get(row[0], ())) for row in rows)
        return Shadow(exposures, *db.execute(_TOTALS).fetchone())


# By domain. A message with two flaws counts for both
def _reasons(values: Mapping[str, Any], db: sqlite3.Connection) -> dict[str, Counts]:
    found = defaultdict[str, Counter[str]](Counter)
    for domain, flaws, messages in db.execute(_WHY, values):
        for flaw in flaws.split(","):
            found[domain][flaw] += messages
    return {domain: _most_first(counts) for domain, counts in found.items()}


def _most_first(counts: Mapping[str, int]) -> Counts:
    return tuple(sorted(counts.items(), key=lambda one: (-one[1], one[0])))
