"""Checking passwords without becoming a lever against this machine (RFC 4954 §9). Knows no SMTP."""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from enum import Enum, auto

from relay.inbound.access import client_key
from relay.inbound.backoff import Backoff
from relay.inbound.sasl import Credentials
from relay.inbound.users import UserFile

log = logging.getLogger(__name__)

_CHECKS = 2  # at a time: each takes a core and 19 MiB for some 30 ms
_WAITING = 100  # for their turn; more are put off at once


class Verdict(Enum):
    """What became of an attempt to log in."""

    WELCOME = auto()
    WRONG = auto()
    LATER = auto()
    """Not even looked at: too many failures from there, or too much to do here."""


class Login:
    """Judges credentials off the event loop, few at a time; who keeps failing has to wait."""

    def __init__(self, users: UserFile) -> None:
        """Made on the event loop it works on."""
        self._users = users
        self._backoff = Backoff()
        self._turn = asyncio.Semaphore(_CHECKS)
        self._waiting = 0
        # the semaphore is fair, this bounds the checks of those who have gone meanwhile
        self._threads = ThreadPoolExecutor(_CHECKS, "password")

    async def check(self, peer: str, credentials: Credentials) -> Verdict:
        """Whether the client at this address is who it says."""
        if self._waiting >= _WAITING:
            return Verdict.LATER
        self._waiting += 1
        try:
            async with self._turn:
                return await self._check(peer, credentials)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Begin no further check."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    # A failure until the contrary is known: who hangs up early is not spared
    async def _check(self, peer: str, credentials: Credentials) -> Verdict:
        loop, client = asyncio.get_running_loop(), client_key(peer)
        if self._backoff.wait(client, loop.time()):
            return Verdict.LATER
        self._backoff.fail(client, loop.time())
        name, password = credentials.name, credentials.password
        if not await loop.run_in_executor(self._threads, self._users.check, name, password):
            # not even the name: people type their password there
            log.warning("%s: a log-in failed", peer)
            return Verdict.WRONG
        self._backoff.succeed(client)
        return Verdict.WELCOME
