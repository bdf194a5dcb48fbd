"""Opening databases: by several processes at once, with old, new and broken files."""

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest

from relay.db.connection import open_database
from relay.errors import StorageError

NAMES = ("spool", "policies", "ledger")
_CHILD = """
import sys
from importlib.resources import files
from pathlib import Path
from relay.db.connection import open_database
print(flush=True)
sys.stdin.read(1)
for name in sys.argv[2:]:
    open_database(Path(sys.argv[1]) / name, name, durable=True).close()
"""


def test_several_processes_create_the_databases_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _CHILD, str(tmp_path / "new"), *NAMES]
    pipe = subprocess.PIPE
    children = [subprocess.Popen(command, stdin=pipe, stdout=pipe) for _ in range(6)]
    for child in children:
        assert child.stdout is not None
        child.stdout.readline()  # it is ready
    for child in children:
        assert child.stdin is not None
        child.stdin.write(b"x")
        child.stdin.flush()
    for child in children:
        child.communicate()
    assert [child.returncode for child in children] == [0] * 6


@pytest.mark.parametrize("name", NAMES)
def test_a_database_opens_again_as_it_was(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    open_database(path, name, durable=True).close()
    db = open_database(path, name, durable=True)
    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    steps = list((files("relay.db") / "migrations" / name).iterdir())
    assert db.execute("PRAGMA user_version").fetchone() == (len(steps),)
    db.close()


@pytest.mark.parametrize(("durable", "synchronous"), [(True, 2), (False, 1)])
def test_srv_17_a_durable_commit_is_on_disk(
    tmp_path: Path, durable: bool, synchronous: int
) -> None:
    db = open_database(tmp_path / "x.db", "spool", durable=durable)
    assert db.execute("PRAGMA synchronous").fetchone() == (synchronous,)
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert db.execute("PRAGMA page_size").fetchone() == (8192,)
    assert db.execute("PRAGMA secure_delete").fetchone() == (0,)
    db.close()


def test_the_directory_is_the_relay_s_alone(tmp_path: Path) -> None:
    open_database(tmp_path / "new" / "x.db", "spool", durable=True).close()
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


@pytest.fixture
def no_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def modes(directory: Path) -> dict[str, int]:
    return {one.name: stat.S_IMODE(one.stat().st_mode) for one in directory.iterdir()}


@pytest.mark.usefixtures("no_umask")
def test_mail_is_private_whatever_the_umask(tmp_path: Path) -> None:
    db = open_database(tmp_path / "x.db", "spool", durable=True)
    assert modes(tmp_path) == {"x.db": 0o600, "x.db-wal": 0o600, "x.db-shm": 0o600}
    db.close()


@pytest.mark.usefixtures("no_umask")
def test_a_database_of_an_older_version_is_made_private(tmp_path: Path) -> None:
    before = sqlite3.connect(tmp_path / "x.db")
    before.execute("PRAGMA journal_mode = WAL")
    before.execute("CREATE TABLE t (x)")
    assert modes(tmp_path)["x.db-wal"] != 0o600
    open_database(tmp_path / "x.db", "spool", durable=True).close()
    assert modes(tmp_path) == {"x.db": 0o600, "x.db-wal": 0o600, "x.db-shm": 0o600}
    before.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_database_made_by_root_is_the_directory_owner_s(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, 12345)
    open_database(tmp_path / "x.db", "spool", durable=True).close()
    made = (tmp_path / "x.db").stat()
    assert (made.st_uid, made.st_gid) == (12345, 12345)


def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(b"not a database, but something somebody wrote " * 100)
    with pytest.raises(StorageError, match=r"x\.db: file is not a database"):
        open_database(path, "spool", durable=True)
    assert path.read_bytes().startswith(b"not a database")


def test_a_directory_that_cannot_be_made_is_storage_trouble(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="file"):
        open_database(tmp_path / "file" / "x.db", "spool", durable=True)


def test_a_migration_that_fails_leaves_the_old_schema(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE job (x)")  # in the way of the first migration, after other tables
    db.commit()
    db.close()
    with pytest.raises(StorageError, match="already exists"):
        open_database(path, "spool", durable=True)
    db = sqlite3.connect(path)
    assert db.execute("SELECT name FROM sqlite_master").fetchall() == [("job",)]
    db.close()
    assert os.listdir(tmp_path) == ["x.db"]  # noqa: PTH208 - nothing else stays open
