"""What may go wrong with the relay itself; trouble of remote hosts is a value, not an error."""

from pathlib import Path


class RelayError(Exception):
    """Something the operator must know; its text is one clear sentence."""


class ConfigError(RelayError):
    """The configuration is wrong: `problems` has every fault at once, each naming its key."""

    def __init__(self, problems: list[str]) -> None:
        """Keep every problem; the text is all of them, one a line."""
        super().__init__("\n".join(problems))
        self.problems = problems


class StorageError(RelayError):
    """The storage cannot keep or give something now. Transient: clients are told 451."""


class StorageLockedError(RelayError):
    """Another relay uses the storage directory. Not transient: this relay must not start."""


class StorageFullError(StorageError):
    """There is no room to keep anything new: clients are told 452."""


class StorageClosedError(StorageError):
    """Nothing can be kept any more before the storage is opened anew."""


class StorageDamagedError(StorageClosedError):
    """A database file is damaged: `path` is to be moved aside and begun anew."""

    def __init__(self, text: str, path: Path) -> None:
        """Keep which file it is."""
        super().__init__(text)
        self.path = path
