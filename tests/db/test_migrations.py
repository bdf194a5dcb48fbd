"""Databases made by older versions of the relay open, with all that is in them."""

import json
import sqlite3
from importlib.resources import files
from pathlib import Path

import pytest

from relay.db.connection import open_database
from relay.db.desk import Desk
from relay.db.ledger_counts import fold
from relay.db.ledger_reader import find_records, read_ledger
from relay.db.spool import Spool
from relay.errors import StorageError
from relay.reporting.store import Filter

SPOOL = files("relay.db") / "migrations" / "spool"
STEPS = sorted(one.name for one in SPOOL.iterdir() if one.name.endswith(".sql"))


@pytest.mark.parametrize("folder", ["ledger", "policies", "spool"])
def test_steps_are_numbered_one_by_one(folder: str) -> None:
    """A database keeps how many steps were done: two of one number would be mixed up."""
    steps = sorted(one.name for one in (files("relay.db") / "migrations" / folder).iterdir())
    assert [int(name.partition("_")[0]) for name in steps] == list(range(1, len(steps) + 1))


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


OLD_RECORDS: list[dict[str, str | None]] = [
    {"domain": "d.test", "mode": "enforce", "mx": "mx.d.test", "reason": "mx-mismatch"},
    {"domain": "d.test", "mode": None, "mx": None, "reason": "sts-policy-invalid"},
    {"domain": "d.test", "mode": "enforce", "mx": "mx.d.test", "reason": "mx-mismatch"},
]


def test_an_old_ledger_opens_and_its_records_are_the_same(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    db = sqlite3.connect(path)
    db.executescript((files("relay.db") / "migrations/ledger/0001_start.sql").read_text("utf-8"))
    db.execute("PRAGMA user_version = 1")
    lines = [json.dumps(one | {"action": "refused", "detail": "é"}) for one in OLD_RECORDS]
    rows = [
        (number, f"s-{number}", number, one["domain"], one["mode"], line)
        for number, (one, line) in enumerate(zip(OLD_RECORDS, lines, strict=True), 7)
    ]
    damaged = (20, "s-20", 20, "d.test", None, "{")
    db.executemany("INSERT INTO violation VALUES (?, ?, ?, ?, ?, ?)", [*rows, damaged])
    db.commit()
    db.close()
    found = list(read_ledger(path, Filter(until=20)))
    assert found == [(number, json.loads(line)) for number, line in enumerate(lines, 7)]
    shown, kinds, records = fold(path, Filter(until=20), 10)
    assert (kinds, records) == (2, 3)
    assert [(one.mx, one.mode, one.count) for one in shown] == [
        ("mx.d.test", "enforce", 2),
        (None, None, 1),
    ]
    ((number, _, record),) = find_records(path, shown[0].record_id, 2)
    assert (number, record) == found[2]
    with pytest.raises(StorageError, match="record 20 is damaged"):
        list(read_ledger(path, Filter(since=20)))


@pytest.mark.parametrize("name", ["spool", "policies", "ledger"])
def test_steps_are_numbered_without_a_gap(name: str, tmp_path: Path) -> None:
    folder = files("relay.db") / "migrations" / name
    numbers = sorted(int(one.name[:4]) for one in folder.iterdir() if one.name.endswith(".sql"))
    assert numbers == list(range(1, len(numbers) + 1))
    db = open_database(tmp_path / "x.db", name, durable=True)
    assert db.execute("PRAGMA user_version").fetchone() == (len(numbers),)
    db.close()
