"""Where mail is kept until it is settled. Knows no engine."""

from asyncio import Future
from collections.abc import Sequence
from typing import Protocol

from relay.envelope import Message
from relay.queue.job import Claim, Settlement


class QueueStore(Protocol):
    """The durable queue. Every method raises StorageError (transient) and then has done nothing."""

    def put(self, message: Message, *, claimed: bool) -> "Future[list[Claim]]":
        """Keep a message, one job for each recipient domain; it is safe on disk once this is done.

        `claimed`: the jobs are born active and returned; else they wait, due now. The commit is on
        its way at once: who stops waiting for it does not stop it.
        """
        ...

    async def claim(self, now: float, limit: int, passing_over: Sequence[str] = ()) -> list[Claim]:
        """Take on at most `limit` waiting jobs that are due; none: no more are.

        The longest due of a domain come first, and no domain keeps the others from being taken on;
        those in `passing_over` are left alone. What it costs grows with `limit`, not with the
        queue.
        """
        ...

    async def body(self, message_id: str) -> bytes:
        """The content of a message."""
        ...

    async def settle(self, settlement: Settlement, *, claimed: bool) -> list[Claim]:
        """Keep the result of an attempt in one transaction; the claims are those of its notices.

        A job the operator dropped meanwhile ends here, without a notice; one that is to be held
        is held.
        """
        ...

    async def correct_times(self, now: float, latest: float) -> int:
        """Let no job be younger than `now` or wait beyond `latest`; how many did.

        Their times were set by a clock that has since been put back.
        """
        ...

    async def revoked(self) -> set[str]:
        """The ids of active jobs that the operator has dropped or wants held."""
        ...

    async def give_back(self, job_id: str) -> None:
        """Do with an active job, which was not attempted, what the operator asked for."""
        ...

    async def release_all(self) -> None:
        """Let every active job wait, due now: none is really active (start, end)."""
        ...

    async def domains_kept_back(self, after: str, limit: int) -> list[str]:
        """The next recipient domains behind `after`, in order, with waiting mail that a policy or
        our own least TLS keeps back; none: there are no more."""
        ...

    async def keeps_back(self, domain: str) -> bool:
        """Whether there is such mail for a domain."""
        ...

    async def hasten(self, domain: str, now: float, limit: int) -> int:
        """Let at most `limit` such jobs be due now that were not; how many. Held ones stay so."""
        ...
