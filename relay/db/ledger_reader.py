"""Reading the ledger's records, for commands: loads nothing that a running relay needs."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import orjson

from relay.db.connection import open_database, storage_errors
from relay.db.ledger_filter import KIND, parameters
from relay.errors import StorageError
from relay.reporting.store import Filter
from relay.reporting.violations import Record

# Read page by page: no transaction stays open while somebody reads a pager. The order of the joins
# is fixed: along the numbers, and lines only of what is wanted
_NEXT = f"""
  SELECT violation.id, line.record FROM violation
  CROSS JOIN kind ON kind.id = violation.kind
  CROSS JOIN line ON line.id = violation.id
  WHERE violation.id > :after AND violation.id <= :up_to
    AND +violation.time >= :since AND +violation.time < :until AND {KIND}
  ORDER BY violation.id LIMIT 1000"""  # noqa: S608 - of constants
_NUMBERED = "SELECT violation.id, line.record FROM violation JOIN line USING (id)"
_BY_ID = """
  SELECT violation.id, record_id, record FROM violation JOIN line USING (id)
  WHERE record_id >= ? AND record_id < ? ORDER BY record_id, violation.id LIMIT ?"""
_ALIKE = f"""
  {_NUMBERED} WHERE kind = (SELECT kind FROM violation WHERE id = ?)
  ORDER BY time DESC LIMIT ?"""  # noqa: S608 - of constants
_HIGHEST = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'violation'"
_BEYOND = "g"  # sorts after every hexadecimal digit


def read_ledger(path: Path, wanted: Filter) -> Iterator[tuple[int, Record]]:
    """The records that fit, in the order written, each with its number. Raises StorageError."""
    for number, line in read_lines(path, wanted):
        yield number, _record(line, number, path)


def read_lines(path: Path, wanted: Filter) -> Iterator[tuple[int, str]]:
    """The same as the very lines of the log. Raises StorageError."""
    values = parameters(wanted)
    with opened(path) as db:
        if not wanted.after:
            values["after"] = _before(wanted.since, db)
        while rows := db.execute(_NEXT, values).fetchall():
            yield from rows
            values["after"] = rows[-1][0]


def newest_number(path: Path) -> int:
    """The number of the newest record there ever was, kept or not; 0 where there was none. Raises
    StorageError."""
    with opened(path) as db:
        return int(db.execute(_HIGHEST).fetchone()[0])


def find_records(path: Path, beginning: str, limit: int) -> list[tuple[int, str, Record]]:
    """Up to `limit` records whose id begins so: number, id, record. Raises StorageError.

    Records of before there were ids have one in the ledger alone.
    """
    with opened(path) as db:
        rows = db.execute(_BY_ID, (beginning, beginning + _BEYOND, limit)).fetchall()
    return [(number, name, _record(line, number, path)) for number, name, line in rows]


def records_alike(path: Path, number: int, limit: int) -> list[Record]:
    """The newest records of the same kind as that of this number. Raises StorageError."""
    with opened(path) as db:
        rows = db.execute(_ALIKE, (number, limit)).fetchall()
    return [_record(line, found, path) for found, line in rows]


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """The ledger, open for reading; made where it is missing. Raises StorageError."""
    with closing(open_database(path, "ledger", durable=False)) as db, storage_errors(path):
        yield db


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
