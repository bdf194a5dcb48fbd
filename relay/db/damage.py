"""A damaged database file is moved aside, never deleted; what a spool still gives is saved."""

import fcntl
import logging
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from relay.db.connection import check_soundness, open_database, storage_errors
from relay.errors import StorageDamagedError
from relay.timestamp import rfc3339

log = logging.getLogger(__name__)

Store = TypeVar("Store")

_SHOWN = 100  # job ids in one log line
_ORDERS = {"message": "rowid", "job": "message_id {0}, number"}
_HOLD = """
  UPDATE job SET state = 'held', reason = 'salvaged', dropped = 0
  WHERE EXISTS (SELECT 1 FROM message WHERE id = message_id)"""
_LOST = """
  SELECT message_id || '.' || number FROM job
  WHERE NOT EXISTS (SELECT 1 FROM message WHERE id = message_id)"""


def open_sound(make: Callable[[Path], Store], path: Path, now: float) -> Store:
    """`make(path)`; where the file is damaged, with a new one after moving that aside.

    The caller holds the storage lock. Raises StorageError.
    """
    try:
        return make(path)
    except StorageDamagedError as error:
        log.error("%s", error)  # noqa: TRY400 - the text says it all
        begin_anew(path, now)
        return make(path)


def begin_anew(path: Path, now: float) -> None:
    """Move a damaged database aside, a spool's readable mail into a new one, held.

    Held, since nothing proves that a page of a damaged file belongs to the message it is found in:
    a person looks before it leaves. The caller holds the storage lock. Raises StorageError.
    """
    is_spool = path.name.startswith("spool-")
    with _alone_among_workers(path):
        if not is_spool and _is_sound(path):
            return  # another worker was faster
        aside = _set_aside(path, now)
    log.error("%s was damaged: it is kept as %s, see docs/operating.md", path, aside)
    if is_spool:
        kept, lost = _salvage(aside, path)
        log.error("%s: %d jobs could be saved and are held: relay queue list", path, kept)
        if lost:
            shown = ", ".join(lost[:_SHOWN])
            log.error("%s: %d jobs without readable content: %s", aside, len(lost), shown)


@contextmanager
def _alone_among_workers(path: Path) -> Iterator[None]:
    with storage_errors(path):
        descriptor = os.open(path.parent / "mending", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        with storage_errors(path):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _is_sound(path: Path) -> bool:
    with closing(sqlite3.connect(path)) as db:
        try:
            check_soundness(db, path)
        except StorageDamagedError:
            return False
        return True


# The database itself last: what is under its old name is never without its journal unnoticed
def _set_aside(path: Path, now: float) -> Path:
    stamp = rfc3339(now).replace(":", "").replace("-", "")
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    with storage_errors(path):
        for suffix in ("-wal", "-shm", ""):
            file = Path(f"{path}{suffix}")
            if file.exists():
                file.rename(f"{aside}{suffix}")
    return aside


# Opened for reading only: what is aside stays as it was found
def _salvage(damaged: Path, path: Path) -> tuple[int, list[str]]:
    with (
        storage_errors(path),
        closing(open_database(path, "spool", durable=True)) as db,
        closing(sqlite3.connect(f"{damaged.resolve().as_uri()}?mode=ro", uri=True)) as old,
    ):
        old.text_factory = lambda raw: raw.decode("utf-8", "replace")
        db.execute("BEGIN IMMEDIATE")
        for table in _ORDERS:
            for names, row in _rows(old, table):
                _insert(db, table, names, row)
        lost = [job_id for (job_id,) in db.execute(_LOST).fetchall()]
        kept = db.execute(_HOLD).rowcount
        db.execute("DELETE FROM job WHERE state != 'held'")
        db.execute("DELETE FROM message WHERE id NOT IN (SELECT message_id FROM job)")
        db.execute("COMMIT")
    return kept, lost


# From the start to the damage, then from the end back to it
def _rows(old: sqlite3.Connection, table: str) -> Iterator[tuple[list[str], tuple[Any, ...]]]:
    for direction in ("ASC", "DESC"):
        order = _ORDERS[table].format(direction)
        try:
            found = old.execute(f"SELECT * FROM {table} ORDER BY {order} {direction}")  # noqa: S608
            names = [column[0] for column in found.description]
            for row in found:
                yield names, row
        except sqlite3.DatabaseError:
            continue
        return


def _insert(db: sqlite3.Connection, table: str, names: list[str], row: tuple[Any, ...]) -> None:
    marks = ", ".join("?" * len(row))
    statement = f"INSERT OR IGNORE INTO {table} ({', '.join(names)}) VALUES ({marks})"  # noqa: S608
    db.execute(statement, row)
