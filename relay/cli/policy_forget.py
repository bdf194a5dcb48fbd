"""`relay policy forget`: what is cached of a domain goes."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from relay.address import Domain
from relay.db.policies import PolicyTable


def forget_all(path: Path, domains: Sequence[Domain], now: float) -> set[Domain]:
    """Forget these domains; those of which nothing was cached. Raises StorageError."""
    return asyncio.run(_forget_all(path, domains, now))


async def _forget_all(path: Path, domains: Sequence[Domain], now: float) -> set[Domain]:
    policies = PolicyTable(path, check=False)
    try:
        return {one for one in set(domains) if not await policies.forget(one, now)}
    finally:
        policies.close()
