"""Reading the policy cache, for commands: loads nothing that a running relay needs."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from relay.address import Domain
from relay.db.connection import open_database, storage_errors
from relay.db.policy_row import KEPT_ROWS, VERSION_ROWS, cached_of, version_of
from relay.mta_sts.policy import CachedPolicy, PolicyVersion

_PAGE = 1000  # policies read at a time: no transaction stays open while somebody reads a pager
_ONE = f"{KEPT_ROWS} WHERE domain = ?"
_NEXT = f"{KEPT_ROWS} WHERE domain > ? ORDER BY domain LIMIT {_PAGE}"


def read_policy(path: Path, domain: Domain) -> CachedPolicy | None:
    """What is kept of a domain. Raises StorageError."""
    with _opened(path) as db:
        return load(db, domain)


def read_policies(path: Path) -> Iterator[CachedPolicy]:
    """Everything kept, by domain, read as it is asked for. Raises StorageError."""
    with _opened(path) as db:
        yield from load_all(db)


def read_versions(path: Path, domain: Domain) -> list[PolicyVersion]:
    """The policies a domain has had, the oldest first. Raises StorageError."""
    with _opened(path) as db:
        return load_versions(db, domain)


def load(db: sqlite3.Connection, domain: Domain) -> CachedPolicy | None:
    """See `read_policy`."""
    row = db.execute(_ONE, (domain,)).fetchone()
    return cached_of(row) if row else None


def load_all(db: sqlite3.Connection) -> Iterator[CachedPolicy]:
    """See `read_policies`."""
    last = ""
    while rows := db.execute(_NEXT, (last,)).fetchall():
        yield from map(cached_of, rows)
        last = rows[-1][0]


def load_versions(db: sqlite3.Connection, domain: Domain) -> list[PolicyVersion]:
    """See `read_versions`."""
    return [version_of(row) for row in db.execute(VERSION_ROWS, {"domain": domain})]


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_database(path, "policies", durable=False)) as db, storage_errors(path):
        yield db
