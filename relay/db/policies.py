"""The policy cache in SQLite, shared by every process on one storage."""

import logging
import sqlite3
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

from relay.address import Domain
from relay.db.committer import Committer
from relay.db.connection import check_soundness, open_database, storage_errors
from relay.db.policy_reader import load, load_all, load_versions
from relay.db.policy_row import failure_text, values_of
from relay.mta_sts.policy import CachedPolicy, FetchFailure, PolicyVersion, SeenBy

T = TypeVar("T")

log = logging.getLogger(__name__)

_REMEMBERED = 10_000  # domains kept in memory
_REMEMBERED_LENGTH = 8192  # characters of a policy; longer ones are read again each time
_FRESH = 0.01  # seconds before other processes' writes are looked for again
_VERSIONS = 20  # of one domain that are kept once they are past

_DUE = "SELECT domain FROM policy WHERE due_at <= ? ORDER BY due_at LIMIT ?"
_FAR = "SELECT domain FROM policy WHERE due_at > ? ORDER BY due_at LIMIT ?"
_FARTHEST = 2 * 86_400  # seconds; nothing is put off for so long but by a clock gone wrong
_TO_PAST = """
  INSERT INTO past (domain, record_id, policy, first_seen, last_seen, seen_by, ended)
  SELECT domain, record_id, policy, first_seen, fetched_at, seen_by, ?
  FROM policy WHERE domain = ? AND policy IS NOT NULL"""
_TRIM = """
  DELETE FROM past WHERE domain = :domain AND number NOT IN
    (SELECT number FROM past WHERE domain = :domain ORDER BY number DESC LIMIT :versions)"""
_SAVE = """
  INSERT INTO policy (domain, record_id, policy, first_seen, fetched_at, seen_by, due_at, failure)
  VALUES (:domain, :record_id, :policy, :fetched_at, :fetched_at, :seen_by, :due_at, :failure)
  ON CONFLICT (domain) DO UPDATE SET
    record_id = excluded.record_id, policy = excluded.policy, fetched_at = excluded.fetched_at,
    due_at = excluded.due_at, failure = excluded.failure"""
_CHANGES = "SELECT number, domain FROM change WHERE number > ? ORDER BY number"
_LAST_CHANGE = "SELECT coalesce(max(number), 0) FROM change"
_NEW_VERSION = "UPDATE policy SET first_seen = ?, seen_by = ? WHERE domain = ?"
_FAIL = """
  INSERT INTO policy (domain, first_seen, fetched_at, seen_by, due_at, failure)
  VALUES (:domain, 0, 0, '', :due_at, :failure)
  ON CONFLICT (domain) DO UPDATE SET failure = excluded.failure, due_at = excluded.due_at"""


class PolicyTable:
    """A PolicyStore; reads on the caller's thread, writes on one of its own."""

    def __init__(self, path: Path, *, check: bool = True) -> None:
        """Open or create the database. Raises StorageError.

        `check` reads all of it first, which takes seconds where it is large.
        """
        self._path = path
        self._reader = open_database(path, "policies", durable=False)
        if check:
            check_soundness(self._reader, path)
        self._committer = Committer(open_database(path, "policies", durable=False), path)
        self._memory: OrderedDict[Domain, CachedPolicy | None] = OrderedDict()
        self._fresh_until = 0.0  # by time.monotonic
        with storage_errors(path):
            self._version = self._data_version()
            self._seen = int(self._reader.execute(_LAST_CHANGE).fetchone()[0])

    def close(self) -> None:
        """Finish what waits and close."""
        self._committer.close()
        self._reader.close()

    def load(self, domain: Domain) -> CachedPolicy | None:
        """See PolicyStore."""
        try:
            self._notice_writes()
            if domain in self._memory:
                self._memory.move_to_end(domain)
                return self._memory[domain]
            cached = load(self._reader, domain)
        except sqlite3.Error:
            return self._memory.get(domain)
        if cached and len(cached.text) > _REMEMBERED_LENGTH:
            return cached
        self._memory[domain] = cached
        if len(self._memory) > _REMEMBERED:
            self._memory.popitem(last=False)
        return cached

    def all(self) -> Iterator[CachedPolicy]:
        """See PolicyStore."""
        with storage_errors(self._path):
            yield from load_all(self._reader)

    def versions(self, domain: Domain) -> list[PolicyVersion]:
        """See PolicyStore."""
        with storage_errors(self._path):
            return load_versions(self._reader, domain)

    async def save(
        self, cached: CachedPolicy, seen_by: SeenBy, due_at: float
    ) -> CachedPolicy | None:
        """See PolicyStore."""
        return await self._write(partial(_save, cached, seen_by, due_at))

    async def keep_failure(
        self, domain: Domain, failure: FetchFailure | None, due_at: float
    ) -> CachedPolicy | None:
        """See PolicyStore."""
        return await self._write(partial(_keep_failure, domain, failure, due_at))

    async def forget(self, domain: Domain, now: float) -> bool:
        """See PolicyStore."""
        return await self._write(partial(_forget, domain, now))

    async def claim_due(
        self, now: float, limit: int, until: Callable[[CachedPolicy], float]
    ) -> list[CachedPolicy]:
        """See PolicyStore."""
        return await self._write(partial(_claim_due, now, limit, until))

    async def forget_history(self, before: float, limit: int) -> int:
        """See PolicyStore."""
        return await self._write(partial(_forget_history, before, limit))

    async def _write(self, change: Callable[[sqlite3.Connection], T]) -> T:
        result = await self._committer.run(change)
        self._fresh_until = 0.0
        return result

    # Another connection's commit, ours on the other thread included, makes the memory stale
    def _notice_writes(self) -> None:
        if (now := time.monotonic()) < self._fresh_until:
            return
        self._fresh_until = now + _FRESH
        version = self._data_version()
        if version == self._version:
            return
        changes = self._reader.execute(_CHANGES, (self._seen,)).fetchall()
        if changes and changes[0][0] != self._seen + 1:
            self._memory.clear()  # more has changed than is kept of it
        for self._seen, domain in changes:
            self._memory.pop(domain, None)
        self._version = version

    def _data_version(self) -> int:
        return int(self._reader.execute("PRAGMA data_version").fetchone()[0])


def _save(
    cached: CachedPolicy, seen_by: SeenBy, due_at: float, db: sqlite3.Connection
) -> CachedPolicy | None:
    before = _load_sound(db, cached.domain)
    changed = before is None or _version(before) != _version(cached)
    if changed:
        _end_version(cached.domain, cached.fetched_at, db)
    db.execute(_SAVE, {**values_of(cached), "seen_by": seen_by, "due_at": int(due_at)})
    if changed:
        db.execute(_NEW_VERSION, (cached.fetched_at, seen_by, cached.domain))
    return before


# A row that is damaged must not keep a domain without a policy for ever: it is void
def _load_sound(db: sqlite3.Connection, domain: Domain) -> CachedPolicy | None:
    try:
        return load(db, domain)
    except sqlite3.DataError as error:
        log.warning("%s, and removed", error)
        db.execute("DELETE FROM policy WHERE domain = ?", (domain,))
        return None


def _version(cached: CachedPolicy) -> tuple[object, ...]:
    return cached.policy, cached.record_id, cached.text


def _end_version(domain: Domain, now: float, db: sqlite3.Connection) -> None:
    if db.execute(_TO_PAST, (now, domain)).rowcount:
        db.execute(_TRIM, {"domain": domain, "versions": _VERSIONS})


def _keep_failure(
    domain: Domain, failure: FetchFailure | None, due_at: float, db: sqlite3.Connection
) -> CachedPolicy | None:
    before = _load_sound(db, domain)
    values = {"domain": domain, "failure": failure_text(failure), "due_at": int(due_at)}
    db.execute(_FAIL, values)
    return before


def _forget(domain: Domain, now: float, db: sqlite3.Connection) -> bool:
    _end_version(domain, now, db)
    return bool(db.execute("DELETE FROM policy WHERE domain = ?", (domain,)).rowcount)


def _claim_due(
    now: float, limit: int, until: Callable[[CachedPolicy], float], db: sqlite3.Connection
) -> list[CachedPolicy]:
    rows = db.execute(_DUE, (now, limit)).fetchall()
    rows = rows or db.execute(_FAR, (now + _FARTHEST, limit)).fetchall()
    due = [cached for (domain,) in rows if (cached := _load_sound(db, domain))]
    later = [(int(until(cached)), cached.domain) for cached in due]
    db.executemany("UPDATE policy SET due_at = ? WHERE domain = ?", later)
    return due


def _forget_history(before: float, limit: int, db: sqlite3.Connection) -> int:
    query = "DELETE FROM past WHERE number IN (SELECT number FROM past WHERE ended < ? LIMIT ?)"
    return db.execute(query, (before, limit)).rowcount
