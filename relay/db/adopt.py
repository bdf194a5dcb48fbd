"""Taking over what other worker processes left: their spools become part of one that is in use."""

import sqlite3
from contextlib import closing
from pathlib import Path

from relay.db.connection import check_soundness, open_database, storage_errors

# What is there already has been taken over by a start that was cut off before the file was gone
_TAKE = (
    "INSERT OR IGNORE INTO main.message SELECT * FROM left.message",
    "INSERT OR IGNORE INTO main.job SELECT * FROM left.job",
    "INSERT INTO main.outbox (finding) SELECT finding FROM left.outbox ORDER BY id",
)


def spool_name(number: int) -> str:
    """The file of a worker's spool."""
    return f"spool-{number}.db"


def adopt_spools(directory: Path, workers: int) -> list[str]:
    """Move the mail in spools beyond those of `workers` into the first; the names of the files.

    The caller holds the storage lock and no spool is open. Raises StorageError, and then what was
    not moved is still in its file: StorageDamagedError names one that is to be begun anew.
    """
    used = {spool_name(number) for number in range(workers)}
    left = sorted(path for path in directory.glob("spool-*.db") if path.name not in used)
    for path in left:
        _adopt(directory / spool_name(0), path)
    return [path.name for path in left]


def _adopt(into: Path, path: Path) -> None:
    # opened for itself first: brought to the newest schema, its journal taken in, found sound
    with closing(open_database(path, "spool", durable=True)) as left:
        check_soundness(left, path)
    with closing(open_database(into, "spool", durable=True)) as db, storage_errors(into):
        db.execute("ATTACH DATABASE ? AS left", (str(path),))
        db.execute("BEGIN IMMEDIATE")
        _take(db)
        db.execute("COMMIT")
        db.execute("DETACH DATABASE left")
        path.unlink()


def _take(db: sqlite3.Connection) -> None:
    for statement in _TAKE:
        db.execute(statement)
