"""The policy cache in SQLite, shared by every process on one storage."""

import sqlite3
from collections import OrderedDict
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from relay.address import Domain
from relay.db.committer import Committer
from relay.db.connection import open_database, storage_errors
from relay.mta_sts.policy import CachedPolicy, FetchFailure, Policy

_REMEMBERED = 10_000  # domains kept in memory
_COLUMNS = "SELECT domain, record_id, text, policy, fetched_at, failure FROM policy"


class PolicyTable:
    """A PolicyStore; reads on the caller's thread, writes on one of its own."""

    def __init__(self, path: Path) -> None:
        """Open or create the database. Raises StorageError."""
        self._path = path
        self._reader = open_database(path, "policies", durable=False)
        self._committer = Committer(open_database(path, "policies", durable=False), path)
        self._memory: OrderedDict[Domain, CachedPolicy | None] = OrderedDict()
        self._version = self._data_version()

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
            row = self._reader.execute(f"{_COLUMNS} WHERE domain = ?", (domain,)).fetchone()
        except sqlite3.Error:
            return self._memory.get(domain)
        cached = _cached(*row) if row else None
        self._memory[domain] = cached
        if len(self._memory) > _REMEMBERED:
            self._memory.popitem(last=False)
        return cached

    async def save(self, cached: CachedPolicy) -> None:
        """See PolicyStore."""
        await self._committer.run(partial(_save, cached))

    def all(self) -> list[CachedPolicy]:
        """See PolicyStore."""
        with storage_errors(self._path):
            rows = self._reader.execute(f"{_COLUMNS} ORDER BY domain").fetchall()
        return [_cached(*row) for row in rows]

    # Another connection's commit, ours on the other thread included, makes the memory stale
    def _notice_writes(self) -> None:
        version = self._data_version()
        if version != self._version:
            self._version = version
            self._memory.clear()

    def _data_version(self) -> int:
        return int(self._reader.execute("PRAGMA data_version").fetchone()[0])


def _save(cached: CachedPolicy, db: sqlite3.Connection) -> None:
    policy = cached.policy
    shown = policy and {
        "version": policy.version,
        "mode": policy.mode,
        "mx": policy.mx,
        "max_age": policy.max_age,
    }
    db.execute(
        "INSERT OR REPLACE INTO policy (domain, record_id, text, policy, fetched_at, failure)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (
            cached.domain,
            cached.record_id,
            cached.text,
            orjson.dumps(shown).decode() if shown else None,
            cached.fetched_at,
            orjson.dumps(cached.failure).decode() if cached.failure else None,
        ),
    )


def _cached(
    domain: str,
    record_id: str | None,
    text: str,
    policy: str | None,
    at: float,
    failure: str | None,
) -> CachedPolicy:
    row: dict[str, Any] | None = orjson.loads(policy) if policy else None
    return CachedPolicy(
        Domain(domain),
        record_id,
        Policy(**{**row, "mx": tuple(row["mx"])}) if row else None,
        text,
        at,
        FetchFailure(**orjson.loads(failure)) if failure else None,
    )
