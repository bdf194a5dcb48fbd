"""Where policies are kept. Knows no engine."""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from relay.address import Domain
from relay.mta_sts.policy import CachedPolicy, FetchFailure, PolicyVersion, SeenBy


class PolicyStore(Protocol):
    """The persistent cache with its history, shared by all processes on one storage.

    Times in seconds since 1970. Writing raises StorageError (transient). `due_at` says when a
    domain is to be looked after: refreshed, or removed; one more than two days ahead was set by a
    clock gone wrong, and is due. Writes answer what was kept before, read in
    the same transaction: of several processes that see one change, one sees it as a change.
    """

    def load(self, domain: Domain) -> CachedPolicy | None:
        """What is kept of a domain; takes microseconds. Trouble with the storage is None."""
        ...

    def all(self) -> Iterable[CachedPolicy]:
        """Everything kept, by domain, read as it is asked for. Raises StorageError."""
        ...

    def versions(self, domain: Domain) -> Sequence[PolicyVersion]:
        """The policies a domain has had, the oldest first; the last one kept has no end.

        Raises StorageError.
        """
        ...

    async def save(
        self, cached: CachedPolicy, seen_by: SeenBy, due_at: float
    ) -> CachedPolicy | None:
        """Keep a policy just fetched in place of what was kept, which becomes history."""
        ...

    async def keep_failure(
        self, domain: Domain, failure: FetchFailure | None, due_at: float
    ) -> CachedPolicy | None:
        """Keep this failure beside the policy, if any, which it does not touch; None: all is well
        again."""
        ...

    async def forget(self, domain: Domain, now: float) -> bool:
        """Remove what is kept of a domain, its policy becomes history; whether there was any."""
        ...

    async def claim_due(
        self, now: float, limit: int, until: Callable[[CachedPolicy], float]
    ) -> list[CachedPolicy]:
        """Those to be looked after now, each given to one process; `until` says when each is due
        again, whatever becomes of it."""
        ...

    async def forget_history(self, before: float, limit: int) -> int:
        """Remove versions that ended before then; how many, `limit` at most."""
        ...
