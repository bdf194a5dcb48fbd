"""The queue and the outbox of findings in SQLite: one database for one relay process."""

import math
import os
import sqlite3
import time
from asyncio import Future
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from relay.db import jobs, kept_back, outbox
from relay.db.committer import Committer
from relay.db.connection import open_database, storage_errors
from relay.envelope import Message
from relay.errors import StorageFullError
from relay.evidence import Finding
from relay.queue.job import Claim, Settlement

_LIGHT = 65_536  # octets of a content that the event loop itself may write or remove
_FEW = 10  # recipients, and so jobs at most, likewise
_CACHE = (
    8192  # KiB: room for all it writes in one transaction, so that only the COMMIT writes files
)
_ROOM_KNOWN = 0.1  # seconds that a look at the disk's free space holds good


class Spool:
    """A QueueStore and an Outbox; everything goes through one committer."""

    def __init__(self, path: Path, reserve: int = 0) -> None:
        """Open or create the database. Raises StorageError.

        With less than `reserve` octets free on its disk nothing new is put: what is there needs
        room to be worked off.
        """
        self._path = path
        self.reserve = reserve
        self._roomy_until = -math.inf  # by the system's monotonic clock
        db = open_database(path, "spool", durable=True)
        db.execute(f"PRAGMA cache_size = -{_CACHE}")
        self._uuid = _uuid(db, path)
        self._committer = Committer(db, path)

    def close(self) -> None:
        """Finish what waits and close."""
        self._committer.close()

    def put(self, message: Message, *, claimed: bool) -> "Future[list[Claim]]":
        """See QueueStore."""
        self._check_room()
        recipients = len(message.envelope.recipients)
        light = len(message.content) <= _LIGHT and recipients <= _FEW
        return self._committer.run(partial(jobs.put, message, claimed), light=light)

    async def claim(self, now: float, limit: int, passing_over: Sequence[str] = ()) -> list[Claim]:
        """See QueueStore."""
        return await self._committer.run(partial(jobs.claim, now, limit, passing_over))

    async def body(self, message_id: str) -> bytes:
        """See QueueStore."""
        return await self._committer.run(partial(jobs.content, message_id))

    async def settle(self, settlement: Settlement, *, claimed: bool) -> list[Claim]:
        """See QueueStore."""
        job = settlement.job
        # the rows of a job that has waited may have to be read from the disk
        light = job.size <= _LIGHT and not job.attempts and not settlement.notices
        return await self._committer.run(partial(_settle, settlement, claimed), light=light)

    async def correct_times(self, now: float, latest: float) -> int:
        """See QueueStore."""
        return await self._committer.run(partial(jobs.correct_times, now, latest))

    async def revoked(self) -> set[str]:
        """See QueueStore."""
        return await self._committer.run(jobs.revoked)

    async def give_back(self, job_id: str) -> None:
        """See QueueStore."""
        await self._committer.run(partial(jobs.give_back, job_id))

    async def release_all(self) -> None:
        """See QueueStore."""
        await self._committer.run(jobs.release_all)

    async def domains_kept_back(self, after: str, limit: int) -> list[str]:
        """See QueueStore."""
        return await self._committer.run(partial(kept_back.domains, after, limit))

    async def keeps_back(self, domain: str) -> bool:
        """See QueueStore."""
        return await self._committer.run(partial(kept_back.is_any, domain))

    async def hasten(self, domain: str, now: float, limit: int) -> int:
        """See QueueStore."""
        return await self._committer.run(partial(kept_back.hasten, domain, now, limit))

    async def add_findings(self, findings: Sequence[Finding]) -> None:
        """See Outbox."""
        await self._committer.run(partial(outbox.add, findings))

    async def pending_findings(self, limit: int) -> list[tuple[str, Finding]]:
        """See Outbox."""
        rows = await self._committer.run(partial(outbox.pending, limit))
        return [(f"{self._uuid}-{number}", finding) for number, finding in rows]

    async def remove_findings(self, finding_ids: Sequence[str]) -> None:
        """See Outbox."""
        numbers = [int(one.rpartition("-")[2]) for one in finding_ids]
        await self._committer.run(partial(outbox.remove, numbers))

    async def findings_lost(self) -> int:
        """See Outbox."""
        return await self._committer.run(outbox.lost)

    # Asking costs as much as a statement, and a disk is not filled in a moment
    def _check_room(self) -> None:
        now = time.monotonic()
        if now < self._roomy_until:
            return
        with storage_errors(self._path):
            disk = os.statvfs(self._path.parent)
        free = disk.f_bavail * disk.f_frsize
        if free < self.reserve:
            raise StorageFullError(
                f"{self._path.parent}: {free} octets free, less than storage.reserve"
            )
        self._roomy_until = now + _ROOM_KNOWN


def _uuid(db: sqlite3.Connection, path: Path) -> str:
    try:
        with storage_errors(path):
            (uuid,) = db.execute("SELECT uuid FROM spool").fetchone()
    except BaseException:
        db.close()
        raise
    return str(uuid)


def _settle(settlement: Settlement, claimed: bool, db: sqlite3.Connection) -> list[Claim]:
    job_id, rest, notices = settlement.job.id, settlement.remainder, settlement.notices
    outbox.add(settlement.findings, db)
    if (rest or notices) and not jobs.is_wanted(job_id, db):
        rest, notices = None, ()
    if rest is None:
        jobs.end(job_id, db)
    else:
        jobs.keep(job_id, rest, db)
    return [one for notice in notices for one in jobs.put(notice, claimed, db)]
