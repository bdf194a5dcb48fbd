"""The best TLS level seen of each domain without a policy, in SQLite, shared by all processes.

Looking one up is a look into a dict; a task keeps that true to the database.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from relay.clock import Clock
from relay.db.committer import Committer
from relay.db.connection import open_database, storage_errors
from relay.db.tls_level_reader import ALL_ROWS, ONE_ROW, Remembered, remembered
from relay.delivery.tls import Level
from relay.evidence import Handover
from relay.spacing import Spacing

log = logging.getLogger(__name__)

_PAUSE = 0.5  # seconds between looks for what others have changed
_DAY = 86_400.0
_KEPT = 90 * _DAY  # seconds since a level was last reached
_MOST = 100_000  # domains
_PRUNE = 7200  # looks between two prunings

_CHANGES = "SELECT number, domain FROM tls_change WHERE number > ? ORDER BY number"
_LAST_CHANGE = "SELECT coalesce(max(number), 0) FROM tls_change"
_KEEP = """
  INSERT INTO tls_level (domain, level, since, seen) VALUES (:domain, :level, :now, :now)
  ON CONFLICT (domain) DO UPDATE SET seen = :now,
    since = iif(:level > level, :now, since), level = :level
  WHERE :level >= level"""
_FORGET_OLD = """
  DELETE FROM tls_level WHERE seen < ? OR domain IN
    (SELECT domain FROM tls_level ORDER BY seen DESC LIMIT -1 OFFSET ?)"""


class TlsLevels:
    """The levels, for a running relay. Trouble with the database leaves what memory has."""

    def __init__(self, path: Path) -> None:
        """Open or create the database and read all of it. Raises StorageError."""
        self._reader = open_database(path, "policies", durable=False)
        self._committer = Committer(open_database(path, "policies", durable=False), path)
        self._known: dict[str, Remembered] = {}
        self._version = self._number = 0
        self._warning = Spacing()
        with storage_errors(path):
            self._load()

    def close(self) -> None:
        """Finish what waits and close."""
        self._committer.close()
        self._reader.close()

    def level_of(self, domain: str) -> Level | None:
        """The best level seen of a policy domain; None: none above clear text is remembered."""
        known = self._known.get(domain)
        return known.level if known else None

    # RFC 8461 §5: where there is a policy it decides, and nothing need be remembered
    def note(self, handovers: Iterable[Handover], now: float) -> None:
        """Mail was taken so; written in the background, once a day where nothing changes."""
        for one in handovers:
            level, known = Level[one.level.upper()], self._known.get(one.domain)
            if level is Level.CLEAR or one.mode in ("enforce", "testing"):
                continue
            if known and (level < known.level or _is_fresh(known, level, now)):
                continue
            since = known.since if known and known.level is level else now
            self._known[one.domain] = Remembered(one.domain, level, since, now)
            values = {"domain": one.domain, "level": int(level), "now": now}
            self._committer.run(partial(_keep, values)).add_done_callback(self._tell)

    async def run(self, clock: Clock) -> None:
        """Take in what other processes and commands change, until cancelled."""
        looks = 0
        while True:
            await asyncio.sleep(_PAUSE)
            self.refresh()
            looks += 1
            if looks % _PRUNE == 0:
                old = partial(_forget_old, clock.now() - _KEPT)
                self._committer.run(old).add_done_callback(self._tell)

    def refresh(self) -> None:
        """Take it in now."""
        try:
            if self._data_version() != self._version:
                self._take_changes()
        except sqlite3.Error as error:
            self._warn(error)

    def _take_changes(self) -> None:
        version = self._data_version()
        changes = self._reader.execute(_CHANGES, (self._number,)).fetchall()
        if changes and changes[0][0] != self._number + 1:
            self._load()  # more has changed than is kept of it
            return
        for domain in dict.fromkeys(domain for _, domain in changes):
            row = self._reader.execute(ONE_ROW, (domain,)).fetchone()
            self._known.pop(domain, None)
            if row:
                self._known[domain] = remembered(row)
        self._number = changes[-1][0] if changes else self._number
        self._version = version

    def _load(self) -> None:
        self._version = self._data_version()
        self._number = int(self._reader.execute(_LAST_CHANGE).fetchone()[0])
        self._known = {row[0]: remembered(row) for row in self._reader.execute(ALL_ROWS)}

    def _data_version(self) -> int:
        return int(self._reader.execute("PRAGMA data_version").fetchone()[0])

    def _tell(self, written: "asyncio.Future[None]") -> None:
        if not written.cancelled() and (error := written.exception()):
            self._warn(error)

    def _warn(self, error: BaseException) -> None:
        if self._warning.lets_through(asyncio.get_running_loop().time()) is not None:
            log.warning("TLS levels cannot be kept now: %s", error)


def _keep(values: dict[str, object], db: sqlite3.Connection) -> None:
    db.execute(_KEEP, values)


def _forget_old(before: float, db: sqlite3.Connection) -> None:
    db.execute(_FORGET_OLD, (before, _MOST))


# A clock that was put back makes it old as well
def _is_fresh(known: Remembered, level: Level, now: float) -> bool:
    return level is known.level and 0 <= now - known.seen < _DAY
