"""Statements on the ledger's alerts: what was told of, when, and what is to be told. Knows no
channel.

All processes on one storage go on from the same place, each violation is seen once.
"""

import sqlite3

import orjson

from relay.reporting.alert import Alert

_HOUR = 3600.0  # seconds between two alerts about the same domain and reason
_OLD = 86_400.0  # seconds after which nobody needs to be told any more
_MOST = 10_000  # domains and reasons that wait to be told

_PLACE = "SELECT number FROM alert_place"
_BEGIN = "INSERT INTO alert_place SELECT coalesce(max(id), 0) FROM violation"
_GO_ON = """
  UPDATE alert_place SET number = (SELECT max(id) FROM violation)
  WHERE number < (SELECT max(id) FROM violation)"""
# An operator who has set a waiver knows what it lets pass
_GATHER = """
  INSERT INTO alert (domain, reason, untold, newest, first, last, due)
  SELECT domain, reason, count(*), max(violation.id), min(time), max(time), 0
  FROM violation JOIN kind ON kind.id = violation.kind
  WHERE violation.id > ? AND time >= ? AND action != 'waived'
  GROUP BY domain, reason
  ON CONFLICT DO UPDATE SET
    first = iif(untold = 0, excluded.first, min(first, excluded.first)),
    last = max(last, excluded.last), newest = excluded.newest,
    untold = untold + excluded.untold"""
# A time further away than an hour was set by a clock that has been put back
_IS_DUE = "(due <= :now OR due > :now + :hour)"
_FORGET = f"DELETE FROM alert WHERE untold = 0 AND {_IS_DUE}"  # noqa: S608 - of constants
_IS_LOST = """
  untold > 0 AND (last < :now - :old OR newest <= (
    SELECT newest FROM alert WHERE untold > 0 ORDER BY newest DESC LIMIT 1 OFFSET :most))"""
_COUNT_LOST = f"SELECT coalesce(sum(untold), 0) FROM alert WHERE {_IS_LOST}"  # noqa: S608
_LOSE = f"DELETE FROM alert WHERE {_IS_LOST}"  # noqa: S608
_DUE = f"""
  SELECT domain, reason, untold, first, last, record
  FROM alert JOIN line ON line.id = newest
  WHERE untold > 0 AND {_IS_DUE}
  ORDER BY due, newest LIMIT 1"""  # noqa: S608
_TAKE = "UPDATE alert SET untold = 0, due = ? WHERE domain = ? AND reason = ?"
_GIVE_BACK = """
  UPDATE alert SET untold = untold + :count, first = min(first, :first), due = :now
  WHERE domain = :domain AND reason = :reason"""


def next_alert(now: float, db: sqlite3.Connection) -> tuple[Alert | None, int]:
    """See AlertStore."""
    _gather(now, db)
    values = {"now": now, "hour": _HOUR, "old": _OLD, "most": _MOST}
    db.execute(_FORGET, values)
    (lost,) = db.execute(_COUNT_LOST, values).fetchone()
    if lost:
        db.execute(_LOSE, values)
    row = db.execute(_DUE, values).fetchone()
    if row is None:
        return None, lost
    domain, reason, count, first, last, line = row
    db.execute(_TAKE, (now + _HOUR, domain, reason))
    return Alert(domain, reason, count, first, last, orjson.loads(line)), lost


def give_back(alert: Alert, now: float, db: sqlite3.Connection) -> None:
    """See AlertStore."""
    told = {"count": alert.count, "first": alert.first, "now": now}
    db.execute(_GIVE_BACK, {**told, "domain": alert.domain, "reason": alert.reason})


# What was there before alerts were first asked for is not told
def _gather(now: float, db: sqlite3.Connection) -> None:
    place = db.execute(_PLACE).fetchone()
    if place is None:
        db.execute(_BEGIN)
        return
    db.execute(_GATHER, (*place, now - _OLD))
    db.execute(_GO_ON)
