"""Databases made by older versions of the relay open, with all that is in them."""

import sqlite3
from importlib.resources import files
from pathlib import Path

import pytest

from relay.db.connection import open_database
from relay.db.desk import Desk
from relay.db.spool import Spool

SPOOL = files("relay.db") / "migrations" / "spool"
STEPS = sorted(one.name for one in SPOOL.iterdir() if one.name.endswith(".sql"))


def old_spool(path: Path, version: int) -> None:
    """A spool as the relay of that version left it: two jobs wait, one is active."""
    db = sqlite3.connect(path)
    for name in STEPS[:version]:
        db.executescript((SPOOL / name).read_text("utf-8"))
    db.execute(f"PRAGMA user_version = {version}")
    db.execute("INSERT INTO message VALUES ('Q1', CAST('x: y' AS BLOB))")
    db.executemany(
        "INSERT INTO job (message_id, number, domain, recipients, smtputf8, eight_bit, requiretls,"
        " created, size, state, next_attempt) VALUES ('Q1', ?, ?, ?, 0, 0, 0, 1, 4, ?, ?)",
        [
            (1, "d.test", '["a@d.test"]', "waiting", 30.0),
            (2, "d.test", '["b@d.test"]', "waiting", 20.0),
            (3, "e.test", '["c@e.test"]', "active", 10.0),
        ],
    )
    db.commit()
    db.close()


@pytest.mark.parametrize("version", range(1, len(STEPS) + 1))
async def test_an_old_spool_opens_and_its_mail_goes_on(tmp_path: Path, version: int) -> None:
    path = tmp_path / "spool-0.db"
    old_spool(path, version)
    spool = Spool(path)
    assert [one.job.id for one in await spool.claim(20.0, 10)] == ["Q1.2"]
    await spool.release_all()
    claims = await spool.claim(30.0, 10)
    assert sorted(one.job.id for one in claims) == ["Q1.1", "Q1.2", "Q1.3"]
    assert await spool.body("Q1") == b"x: y"
    spool.close()
    assert len(list(Desk(tmp_path).jobs())) == 3


@pytest.mark.parametrize("name", ["spool", "policies", "ledger"])
def test_steps_are_numbered_without_a_gap(name: str, tmp_path: Path) -> None:
    folder = files("relay.db") / "migrations" / name
    numbers = sorted(int(one.name[:4]) for one in folder.iterdir() if one.name.endswith(".sql"))
    assert numbers == list(range(1, len(numbers) + 1))
    db = open_database(tmp_path / "x.db", name, durable=True)
    assert db.execute("PRAGMA user_version").fetchone() == (len(numbers),)
    db.close()
