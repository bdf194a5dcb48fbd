"""The storage directory of a relay process: its lock, its spool and what all processes share."""

import contextlib
import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from relay.config import Settings
from relay.db.adopt import adopt_spools, spool_name
from relay.db.damage import begin_anew, open_sound
from relay.db.ledger import Ledger
from relay.db.lock import StorageLock
from relay.db.policies import PolicyTable
from relay.db.spool import Spool
from relay.db.tls_levels import TlsLevels
from relay.errors import StorageDamagedError
from relay.immutable import immutable

log = logging.getLogger(__name__)

POLICIES = "policies.db"
LEDGER = "ledger.db"


@immutable
class Worker:
    """Which of several processes on one storage this is; `ALONE` is a relay of one process.

    Several have a supervisor, which holds the storage lock for them and the writing end of the pipe
    that `lifeline` is the reading end of: its end of file means that the supervisor is gone.
    """

    number: int = 0
    count: int = 1
    lifeline: int | None = None


ALONE = Worker()


@dataclass(frozen=True)
class Stores:
    """The storage directory, locked and open; `lock` None: a supervisor holds it."""

    lock: StorageLock | None
    spool: Spool
    policies: PolicyTable
    levels: TlsLevels
    ledger: Ledger

    def close(self) -> None:
        """Finish what waits, close all, and let another relay have the storage."""
        for store in (self.spool, self.levels, self.policies, self.ledger):
            store.close()
        if self.lock:
            self.lock.release()


def take_storage(directory: Path, workers: int, now: float) -> StorageLock:
    """Lock the storage, and bring what more workers than now had left to the first of these.

    Raises StorageLockedError, StorageError.
    """
    lock = StorageLock(directory)
    try:
        for name in _adopt(directory, workers, now):
            log.warning("the mail of a former worker (%s) has been taken over", name)
    except BaseException:
        lock.release()
        raise
    return lock


def _adopt(directory: Path, workers: int, now: float) -> list[str]:
    try:
        return adopt_spools(directory, workers)
    except StorageDamagedError as error:
        begin_anew(error.path, now)
        return adopt_spools(directory, workers)


def open_stores(settings: Settings, worker: Worker, damaged: Path | None, now: float) -> Stores:
    """Everything open; a database that is damaged, or known to be (`damaged`), is begun anew.

    Raises StorageLockedError, StorageError.
    """
    directory = settings.storage_directory
    with contextlib.ExitStack() as undo:
        lock = take_storage(directory, 1, now) if worker.lifeline is None else None
        if lock:
            undo.callback(lock.release)
        if damaged:
            begin_anew(damaged, now)
        spool = open_sound(
            partial(Spool, reserve=settings.storage.reserve),
            directory / spool_name(worker.number),
            now,
        )
        undo.callback(spool.close)
        policies = open_sound(PolicyTable, directory / POLICIES, now)
        undo.callback(policies.close)
        levels = TlsLevels(directory / POLICIES)
        undo.callback(levels.close)
        ledger = open_sound(Ledger, directory / LEDGER, now)
        stores = Stores(lock, spool, policies, levels, ledger)
        undo.pop_all()
        return stores
