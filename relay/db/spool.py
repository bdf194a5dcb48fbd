"""The queue and the outbox of findings in SQLite: one database for one relay process."""

import dataclasses
import sqlite3
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from relay.address import parse_mailbox
from relay.db.committer import Committer
from relay.db.connection import open_database
from relay.envelope import Envelope, Message
from relay.errors import StorageError
from relay.evidence import Action, Failure, Finding, PolicySnapshot
from relay.queue.job import Claim, Job, Settlement

_OUTBOX_LIMIT = 100_000  # findings kept while ledger or log cannot take them
_CLAIM = """
  UPDATE job SET state = 'active'
  WHERE id IN (
    SELECT id FROM job WHERE state = 'waiting' AND next_attempt <= ?
    ORDER BY next_attempt LIMIT ?)
  RETURNING id, message_id, domain, recipients, attempts, warned"""
_MESSAGE = "SELECT created, sender, smtputf8, eight_bit, requiretls FROM message WHERE id = ?"


class Spool:
    """A QueueStore and an Outbox; all writes go through one committer."""

    def __init__(self, path: Path) -> None:
        """Open or create the database. Raises StorageError."""
        db = open_database(path, "spool", durable=True)
        self._uuid = str(db.execute("SELECT uuid FROM spool").fetchone()[0])
        self._committer = Committer(db, path)
        self.findings_lost = 0

    def close(self) -> None:
        """Finish what waits and close."""
        self._committer.close()

    async def put(self, message: Message, *, claimed: bool) -> list[Claim]:
        """See QueueStore."""
        return await self._committer.run(partial(_put, message, claimed=claimed))

    async def claim(self, now: float, limit: int) -> list[Claim]:
        """See QueueStore."""
        return await self._committer.run(partial(_claim, now, limit))

    async def body(self, message_id: str) -> bytes:
        """See QueueStore."""
        return await self._committer.run(partial(_body, message_id))

    async def settle(self, settlement: Settlement, *, claimed: bool) -> list[Claim]:
        """See QueueStore."""
        return await self._committer.run(partial(self._settle, settlement, claimed))

    async def dropped(self) -> set[str]:
        """See QueueStore."""
        return await self._committer.run(_dropped)

    async def release_all(self) -> None:
        """See QueueStore."""
        await self._committer.run(_release_all)

    async def forget(self, job_ids: Sequence[str]) -> None:
        """See QueueStore."""
        await self._committer.run(partial(_forget, job_ids))

    async def add_findings(self, findings: Sequence[Finding]) -> None:
        """See Outbox."""
        await self._committer.run(partial(self._add_findings, findings))

    async def pending_findings(self, limit: int) -> list[tuple[str, Finding]]:
        """See Outbox."""
        rows = await self._committer.run(partial(_pending, limit))
        return [(f"{self._uuid}-{number}", _finding(text)) for number, text in rows]

    async def remove_findings(self, finding_ids: Sequence[str]) -> None:
        """See Outbox."""
        numbers = [(int(one.rpartition("-")[2]),) for one in finding_ids]
        await self._committer.run(partial(_remove, numbers))

    def _settle(self, settlement: Settlement, claimed: bool, db: sqlite3.Connection) -> list[Claim]:
        self._add_findings(settlement.findings, db)
        row = db.execute("SELECT dropped FROM job WHERE id = ?", (settlement.job.id,)).fetchone()
        if row is None or row[0]:
            _forget([settlement.job.id], db)
            return []
        claims = [
            claim for notice in settlement.notices for claim in _put(notice, db, claimed=claimed)
        ]
        rest = settlement.remainder
        if rest is None:
            _forget([settlement.job.id], db)
            return claims
        db.execute(
            "UPDATE job SET state = 'waiting', recipients = ?, attempts = attempts + 1,"
            " next_attempt = ?, reason = ?, last = ?, warned = ? WHERE id = ?",
            (
                orjson.dumps(rest.recipients).decode(),
                rest.next_attempt,
                rest.reason,
                orjson.dumps(rest.last).decode(),
                rest.warned,
                settlement.job.id,
            ),
        )
        return claims

    # What cannot go on to ledger and log must not fill the disk that mail needs
    def _add_findings(self, findings: Sequence[Finding], db: sqlite3.Connection) -> None:
        if not findings:
            return
        first, last = db.execute("SELECT min(id), max(id) FROM outbox").fetchone()
        if first is not None and last - first + 1 + len(findings) > _OUTBOX_LIMIT:
            self.findings_lost += len(findings)
            return
        rows = [(orjson.dumps(finding).decode(),) for finding in findings]
        db.executemany("INSERT INTO outbox (finding) VALUES (?)", rows)


def _put(message: Message, db: sqlite3.Connection, *, claimed: bool) -> list[Claim]:
    envelope = message.envelope
    db.execute(
        "INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            message.id,
            message.created,
            envelope.sender,
            envelope.smtputf8,
            envelope.eight_bit,
            envelope.requiretls,
            len(message.body),
        ),
    )
    db.execute("INSERT INTO body VALUES (?, ?)", (message.id, message.body))
    jobs = _jobs_of(message)
    state = "active" if claimed else "waiting"
    db.executemany(
        "INSERT INTO job (id, message_id, domain, recipients, state, next_attempt)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        [
            (
                job.id,
                message.id,
                job.domain,
                orjson.dumps(job.envelope.recipients).decode(),
                state,
                message.created,
            )
            for job in jobs
        ],
    )
    return [Claim(job, message.body) for job in jobs] if claimed else []


def _jobs_of(message: Message) -> list[Job]:
    by_domain: dict[str, list[str]] = {}
    for recipient in dict.fromkeys(message.envelope.recipients):
        by_domain.setdefault(parse_mailbox(recipient).destination, []).append(recipient)
    return [
        Job(
            f"{message.id}.{number}",
            message.id,
            message.created,
            domain,
            dataclasses.replace(message.envelope, recipients=tuple(recipients)),
        )
        for number, (domain, recipients) in enumerate(by_domain.items(), 1)
    ]


def _claim(now: float, limit: int, db: sqlite3.Connection) -> list[Claim]:
    rows = db.execute(_CLAIM, (now, limit)).fetchall()
    return [Claim(_job(db, *row)) for row in rows]


def _job(
    db: sqlite3.Connection, job_id: str, message_id: str, domain: str, recipients: str, *rest: int
) -> Job:
    created, sender, utf8, eight_bit, requiretls = db.execute(_MESSAGE, (message_id,)).fetchone()
    envelope = Envelope(
        sender, tuple(orjson.loads(recipients)), bool(utf8), bool(eight_bit), bool(requiretls)
    )
    attempts, warned = rest
    return Job(job_id, message_id, created, domain, envelope, attempts, bool(warned))


def _body(message_id: str, db: sqlite3.Connection) -> bytes:
    row = db.execute("SELECT content FROM body WHERE message_id = ?", (message_id,)).fetchone()
    if row is None:
        raise StorageError(f"message {message_id} has no content in the spool")
    return bytes(row[0])


def _dropped(db: sqlite3.Connection) -> set[str]:
    return {row[0] for row in db.execute("SELECT id FROM job WHERE state = 'active' AND dropped")}


def _release_all(db: sqlite3.Connection) -> None:
    db.execute("DELETE FROM job WHERE dropped")
    db.execute("UPDATE job SET state = 'waiting' WHERE state = 'active'")
    _sweep(db)


def _forget(job_ids: Sequence[str], db: sqlite3.Connection) -> None:
    for job_id in job_ids:
        row = db.execute("DELETE FROM job WHERE id = ? RETURNING message_id", (job_id,)).fetchone()
        if row:
            end_message(db, row[0])


def end_message(db: sqlite3.Connection, message_id: str) -> None:
    """Remove a message and its content when no job of it is left."""
    if db.execute("SELECT 1 FROM job WHERE message_id = ?", (message_id,)).fetchone():
        return
    db.execute("DELETE FROM body WHERE message_id = ?", (message_id,))
    db.execute("DELETE FROM message WHERE id = ?", (message_id,))


def _sweep(db: sqlite3.Connection) -> None:
    orphans = "SELECT id FROM message WHERE id NOT IN (SELECT message_id FROM job)"
    for (message_id,) in db.execute(orphans).fetchall():
        end_message(db, message_id)


def _pending(limit: int, db: sqlite3.Connection) -> list[tuple[int, str]]:
    return db.execute("SELECT id, finding FROM outbox ORDER BY id LIMIT ?", (limit,)).fetchall()


def _remove(numbers: list[tuple[int]], db: sqlite3.Connection) -> None:
    db.executemany("DELETE FROM outbox WHERE id = ?", numbers)


def _finding(text: str) -> Finding:
    row: dict[str, Any] = orjson.loads(text)
    policy = row.pop("policy")
    if policy:
        policy = PolicySnapshot(**{**policy, "mx": tuple(policy["mx"])})
    row["failure"] = row["failure"] and Failure(row["failure"])
    row["action"] = Action(row["action"])
    row["addresses"] = tuple(row["addresses"])
    return Finding(policy=policy, **row)
