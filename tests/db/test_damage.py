"""Damaged databases are kept aside; what a spool still gives is saved and held."""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from relay.db.damage import begin_anew, open_sound
from relay.db.desk import Desk
from relay.db.ledger import Ledger
from relay.db.policies import PolicyTable
from relay.db.spool import Spool
from relay.envelope import Envelope, Message
from relay.errors import StorageError

NOW = 1_790_000_000.0
COUNT = 400


def fill(path: Path) -> None:
    async def put() -> None:
        spool = Spool(path)
        await asyncio.gather(
            *(
                spool.put(
                    Message(f"Q{number:03}", Envelope(None, ("a@d.test",)), b"x" * 5000, 1.0),
                    claimed=False,
                )
                for number in range(COUNT)
            )
        )
        spool.close()

    asyncio.run(put())


def scribble(path: Path, start: float, octets: int = 30_000) -> None:
    with path.open("r+b") as file:
        file.seek(int(path.stat().st_size * start))
        file.write(b"\xa5" * octets)


@pytest.mark.parametrize(
    ("name", "make"),
    [("spool-0.db", Spool), ("policies.db", PolicyTable), ("ledger.db", Ledger)],
)
def test_a_file_that_is_no_database_is_kept_aside(
    tmp_path: Path, name: str, make: Callable[[Path], Spool], caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / name
    path.write_bytes(b"garbage" * 1000)
    open_sound(make, path, NOW).close()
    aside = tmp_path / f"{name}.damaged-20260921T141320.000Z"
    assert aside.read_bytes() == b"garbage" * 1000
    assert str(aside) in caplog.text
    assert (tmp_path / "mending").stat().st_mode & 0o777 == 0o600
    assert path.read_bytes().startswith(b"SQLite format 3")


@pytest.mark.parametrize("place", [0.2, 0.5, 0.9])
def test_what_can_be_read_is_saved_and_held(tmp_path: Path, place: float) -> None:
    path = tmp_path / "spool-0.db"
    fill(path)
    scribble(path, place)
    begin_anew(path, NOW)
    records = list(Desk(tmp_path).jobs())
    assert COUNT * 0.5 < len(records) < COUNT
    assert {(one.state, one.reason, one.recipients) for one in records} == {
        ("held", "salvaged", ("a@d.test",))
    }
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        contents = db.execute("SELECT DISTINCT content FROM message").fetchall()
        (count,) = db.execute("SELECT count(*) FROM message").fetchone()
    db.close()
    assert (contents, count) == ([(b"x" * 5000,)], len(records))
    assert (tmp_path / "spool-0.db.damaged-20260921T141320.000Z").exists()


def test_nothing_is_lost_from_a_spool_that_is_sound(tmp_path: Path) -> None:
    path = tmp_path / "spool-0.db"
    fill(path)
    begin_anew(path, NOW)
    assert len(list(Desk(tmp_path).jobs())) == COUNT


def test_the_journal_goes_with_its_database(tmp_path: Path) -> None:
    path = tmp_path / "spool-0.db"
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").write_bytes(b"garbage")
    begin_anew(path, NOW)
    aside = f"{path}.damaged-20260921T141320.000Z"
    assert Path(f"{aside}-wal").exists()


@pytest.mark.parametrize("place", [0.4, 0.8])
def test_a_damaged_policy_cache_is_noticed_at_the_start(tmp_path: Path, place: float) -> None:
    path = tmp_path / "policies.db"
    PolicyTable(path).close()
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE filler (text)")
        db.executemany("INSERT INTO filler VALUES (?)", [("x" * 1000,)] * 500)
    db.close()
    scribble(path, place)
    table = open_sound(PolicyTable, path, NOW)
    assert list(table.all()) == []
    table.close()
    assert len(list(tmp_path.glob("policies.db.damaged-*"))) == 1


def test_what_another_worker_has_mended_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    Ledger(path).close()
    begin_anew(path, NOW)
    assert not list(tmp_path.glob("*.damaged-*"))


def test_trouble_that_is_no_damage_moves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "spool-0.db"
    path.mkdir()
    with pytest.raises(StorageError):
        open_sound(Spool, path, NOW)
    assert [one.name for one in tmp_path.iterdir()] == ["spool-0.db"]
