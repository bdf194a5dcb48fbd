"""Where policies are kept. Knows no engine."""

from collections.abc import Iterable
from typing import Protocol

from relay.address import Domain
from relay.mta_sts.policy import CachedPolicy


class PolicyStore(Protocol):
    """The persistent cache, shared by all processes on one storage."""

    def load(self, domain: Domain) -> CachedPolicy | None:
        """What is kept of a domain; takes microseconds. Trouble with the storage is None."""
        ...

    async def save(self, cached: CachedPolicy) -> None:
        """Keep this in place of what was kept. Raises StorageError (transient)."""
        ...

    def all(self) -> Iterable[CachedPolicy]:
        """Everything kept, by domain."""
        ...
