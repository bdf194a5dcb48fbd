"""A glance at a store: few words, and none where they cannot be had at once."""

import sqlite3
from pathlib import Path

import pytest

from relay.db import glance


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "policies.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE policy (domain)")
        db.executemany("INSERT INTO policy VALUES (?)", [("d.test",), ("e.test",)])
    db.close()
    return path


@pytest.mark.parametrize(
    ("begin", "found"), [("", ["d.test", "e.test"]), ("d", ["d.test"]), ("%", []), ("D", [])]
)
def test_words_begin_as_typed(path: Path, begin: str, found: list[str]) -> None:
    assert glance.policy_domains(path.parent, begin) == [(word, None) for word in found]


def test_a_long_search_is_given_up_with_what_it_has(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sqlite3.connect(path) as db:
        db.executescript(
            """
            DROP TABLE policy;
            CREATE VIEW policy AS
              WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
              SELECT 'd.test' AS domain FROM n WHERE i < 4;
            """
        )
    db.close()
    monkeypatch.setattr(glance, "_PATIENCE", 0.001)
    assert (
        glance.policy_domains(path.parent, "") == [("d.test", None)] * 2
    )  # sqlite3 keeps one back


def test_where_there_is_nothing_nothing_is_made(tmp_path: Path) -> None:
    assert glance.job_ids(tmp_path / "none", "") == []
    assert glance.violation_ids(tmp_path, "") == []
    assert list(tmp_path.iterdir()) == []
