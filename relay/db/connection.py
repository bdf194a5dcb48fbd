"""Opening SQLite databases: pragmas, numbered migrations, errors as our own."""

import contextlib
import errno
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from relay.errors import StorageDamagedError, StorageError, StorageFullError

_BUSY = 10.0  # seconds another process may hold the database before it is trouble
_PAGE_SIZE = 8192
_JOURNAL_LIMIT = 64 * 1024 * 1024  # octets a journal keeps after a burst
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}  # primary result codes
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_PRIVATE = 0o600
_MIGRATIONS = Path(__file__).with_name("migrations")


def open_database(path: Path, name: str, *, durable: bool) -> sqlite3.Connection:
    """A connection to the database, created and brought to the newest schema where needed.

    `name` is the folder of its migrations; `durable`: a commit is on disk when it returns. Safe
    against other processes that do the same. Raises StorageError.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _alone_in(path.parent):
            _keep_private(path)
            return _open(path, name, durable=durable)


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """sqlite3 and OS errors inside become StorageError, which names the database."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise storage_error(path, error) from error


def check_soundness(db: sqlite3.Connection, path: Path) -> None:
    """Read the whole database; where it is damaged, close it and raise StorageDamagedError."""
    try:
        with storage_errors(path):
            (found,) = db.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise StorageDamagedError(f"{path}: {found}", path)
    except StorageError:
        db.close()
        raise


def storage_error(path: Path, error: Exception) -> StorageError:
    """The error of our own for one of sqlite3 or the system: full, damaged or just trouble."""
    text = f"{path}: {error}"
    code = getattr(error, "sqlite_errorcode", 0)
    if code & 0xFF in _DAMAGED:
        return StorageDamagedError(text, path)
    # SQLite tells a quota or a file size limit as a write that failed
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE):
        return StorageFullError(text)
    if isinstance(error, OSError) and error.errno in _FULL:
        return StorageFullError(text)
    return StorageError(text)


# Mail is for nobody else's eyes, whatever the umask. SQLite gives the files beside a database its
# mode and owner. A file that exists is never opened here: closing it would drop SQLite's locks
def _keep_private(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, _PRIVATE)
    except FileExistsError:
        for one in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
            with contextlib.suppress(FileNotFoundError, PermissionError):
                if one.stat().st_mode & 0o077:
                    one.chmod(_PRIVATE)
        return
    try:
        os.fchmod(descriptor, _PRIVATE)
        _give_to_owner(descriptor, path.parent.stat())
    finally:
        os.close(descriptor)


# A command that root types must not make a database that the relay's user cannot open
def _give_to_owner(descriptor: int, directory: os.stat_result) -> None:
    if os.geteuid() == 0:
        os.fchown(descriptor, directory.st_uid, directory.st_gid)


# SQLite's own locks do not make two processes wait that turn one new file to WAL
@contextmanager
def _alone_in(directory: Path) -> Iterator[None]:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _open(path: Path, name: str, *, durable: bool) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=_BUSY, isolation_level=None, check_same_thread=False)
    try:
        db.execute(f"PRAGMA page_size = {_PAGE_SIZE}")
        # else what is deleted is written once more, as zeros; distributions differ in their default
        db.execute("PRAGMA secure_delete = OFF")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA journal_size_limit = {_JOURNAL_LIMIT}")
        db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        _migrate(db, name, path)
    except BaseException:
        db.close()
        raise
    return db


def _migrate(db: sqlite3.Connection, name: str, path: Path) -> None:
    steps = sorted((_MIGRATIONS / name).glob("*.sql"))
    if _version(db) == len(steps):
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        done = _version(db)  # another process may have been faster
        _refuse_newer(path, done, len(steps))
        for number, step in enumerate(steps[done:], done + 1):
            _execute_all(db, step.read_text("utf-8"))
            db.execute(f"PRAGMA user_version = {number}")
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _refuse_newer(path: Path, version: int, known: int) -> None:
    if version > known:
        raise StorageError(f"{path}: made by a newer version of the relay (schema {version})")


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


# executescript() would commit what is open; a migration is all or nothing
def _execute_all(db: sqlite3.Connection, script: str) -> None:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            db.execute(statement)
            statement = ""
