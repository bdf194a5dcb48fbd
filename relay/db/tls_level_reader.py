"""Reading the TLS levels that are remembered, for commands: loads nothing of a running relay's."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from relay.db.connection import open_database, storage_errors
from relay.delivery.tls import Level
from relay.immutable import immutable

_PAGE = 1000  # domains read at a time: no transaction stays open while somebody reads a pager

ALL_ROWS = "SELECT domain, level, since, seen FROM tls_level"
_NEXT = f"{ALL_ROWS} WHERE domain > ? ORDER BY domain LIMIT {_PAGE}"
ONE_ROW = "SELECT domain, level, since, seen FROM tls_level WHERE domain = ?"


@immutable
class Remembered:
    """What is remembered of a domain; times in seconds since 1970, `seen` to the day."""

    domain: str
    level: Level
    since: float
    seen: float


def read_levels(path: Path, after: str = "") -> Iterator[Remembered]:
    """Everything remembered of the domains behind `after`, in their order, read as it is asked for.
    Raises StorageError."""
    with closing(open_database(path, "policies", durable=False)) as db, storage_errors(path):
        while rows := db.execute(_NEXT, (after,)).fetchall():
            yield from map(remembered, rows)
            after = rows[-1][0]


def read_level(path: Path, domain: str) -> Level | None:
    """The best level seen of a policy domain. Raises StorageError."""
    with closing(open_database(path, "policies", durable=False)) as db, storage_errors(path):
        row = db.execute(ONE_ROW, (domain,)).fetchone()
    return remembered(row).level if row else None


def forget_level(path: Path, domain: str) -> bool:
    """Forget a domain; whether anything was remembered. Raises StorageError."""
    with closing(open_database(path, "policies", durable=False)) as db, storage_errors(path):
        return bool(db.execute("DELETE FROM tls_level WHERE domain = ?", (domain,)).rowcount)


def remembered(row: tuple[str, int, float, float]) -> Remembered:
    """What a row of ALL_ROWS or ONE_ROW says."""
    domain, level, since, seen = row
    return Remembered(domain, Level(level), since, seen)
