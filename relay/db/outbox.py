"""Statements on a spool's outbox: findings as JSON on their way to the ledger and the log."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson

from relay.db.connection import open_database, storage_errors
from relay.evidence import (
    Action,
    Certificate,
    Failure,
    Finding,
    Handshake,
    PolicySnapshot,
)

_LIMIT = 100_000  # findings kept while ledger or log cannot take them
_EXTENT = "SELECT coalesce(max(id) - min(id) + 1, 0) FROM outbox"
_LOST = "SELECT findings_lost FROM spool"
_COUNT_LOST = "UPDATE spool SET findings_lost = findings_lost + ?"


def add(findings: Sequence[Finding], db: sqlite3.Connection) -> None:
    """Keep findings; what finds no room, or is no text, is only counted: mail goes on."""
    if not findings:
        return
    # the oldest are removed first, so the extent of the ids is the number of rows
    (held,) = db.execute(_EXTENT).fetchone()
    rows = [(text,) for text in map(_text, findings) if text][: max(0, _LIMIT - held)]
    db.executemany("INSERT INTO outbox (finding) VALUES (?)", rows)
    if len(rows) < len(findings):
        db.execute(_COUNT_LOST, (len(findings) - len(rows),))


def pending(limit: int, db: sqlite3.Connection) -> list[tuple[int, Finding]]:
    """The oldest findings with their numbers."""
    rows = db.execute("SELECT id, finding FROM outbox ORDER BY id LIMIT ?", (limit,)).fetchall()
    return [(number, _finding(text)) for number, text in rows]


def remove(numbers: Sequence[int], db: sqlite3.Connection) -> None:
    """They have arrived."""
    db.executemany("DELETE FROM outbox WHERE id = ?", [(number,) for number in numbers])


def lost(db: sqlite3.Connection) -> int:
    """How many findings had no room, ever."""
    return int(db.execute(_LOST).fetchone()[0])


def lost_in(directory: Path) -> int:
    """How many had none in any spool of a storage directory. Raises StorageError."""
    count = 0
    for path in sorted(directory.glob("spool-*.db")):
        with closing(open_database(path, "spool", durable=True)) as db, storage_errors(path):
            count += lost(db)
    return count


def _text(finding: Finding) -> str | None:
    try:
        return orjson.dumps(finding).decode()
    except orjson.JSONEncodeError:
        return None  # something in it is no Unicode


def _finding(text: str) -> Finding:
    row: dict[str, Any] = orjson.loads(text)
    policy = row.pop("policy")
    if policy:
        policy = PolicySnapshot(**{**policy, "mx": tuple(policy["mx"])})
    row["failure"] = row["failure"] and Failure(row["failure"])
    row["cause"] = Failure(row["cause"]) if row.get("cause") else None
    row["action"] = Action(row["action"])
    row["addresses"] = tuple(row["addresses"])
    handshake = _handshake(row.pop("handshake", None))
    return Finding(policy=policy, handshake=handshake, **row)


def _handshake(row: dict[str, Any] | None) -> Handshake | None:
    if row is None:
        return None
    shown = row.pop("certificate")
    if shown:
        shown = Certificate(**{**shown, "names": tuple(shown["names"])})
    return Handshake(certificate=shown, **row)
