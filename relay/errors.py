"""What may go wrong with the relay itself; trouble of remote hosts is a value, not an error."""


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
