"""The storage lock: one relay at a time on a storage directory. A kernel lock, gone with us."""

import fcntl
import logging
import os
from pathlib import Path

from relay.errors import StorageError, StorageLockedError

log = logging.getLogger(__name__)


class StorageLock:
    """Held from construction to `release`, or until the process ends, however it ends."""

    def __init__(self, directory: Path) -> None:
        """Take the lock. Raises StorageLockedError where another relay has it, StorageError."""
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StorageError(f"storage.url: {directory}: {error.strerror}") from None
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._descriptor)
            raise StorageLockedError(
                f"storage.url: another relay is running on {directory}; only one may"
            ) from None
        _warn_of_others(directory)

    def release(self) -> None:
        """Let another relay have the storage."""
        os.close(self._descriptor)


# The databases are private whatever the directory is; their names, and removing them, are not
def _warn_of_others(directory: Path) -> None:
    mode = directory.stat().st_mode & 0o777
    if mode & 0o077:
        log.warning(
            "storage.url: other users may enter %s (mode %03o); make it 700", directory, mode
        )
