"""Connections kept for reuse; what two deliveries must share to share one (RFC 8461 §5)."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from relay.delivery.session import Session
from relay.delivery.tls import Level

_IDLE_LIMIT = 500  # idle connections in all; beyond it the one just done with is closed


@dataclass(frozen=True, slots=True)
class SessionKey:
    """Two deliveries share a connection only where all of this is the same.

    With the mode in the key a connection opened for a testing domain never serves an enforce one.
    """

    host: str
    address: str
    port: int
    level: Level
    mode: str


class Pool:
    """Idle sessions by key, and at most `per_key` sessions of one key in use at a time."""

    def __init__(self, idle_timeout: float, per_key: int) -> None:
        """Close a session with QUIT when it was idle for `idle_timeout` seconds."""
        self._idle_timeout = idle_timeout
        self._per_key = per_key
        self._idle: defaultdict[SessionKey, list[Session]] = defaultdict(list)
        self._timers: dict[Session, asyncio.TimerHandle] = {}
        self._slots: dict[SessionKey, asyncio.Semaphore] = {}
        self._users: defaultdict[SessionKey, int] = defaultdict(int)
        self._goodbyes: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def slot(self, key: SessionKey) -> AsyncIterator[None]:
        """Leave to use one session of this key; waits while `per_key` are in use."""
        self._users[key] += 1
        semaphore = self._slots.setdefault(key, asyncio.Semaphore(self._per_key))
        try:
            async with semaphore:
                yield
        finally:
            self._users[key] -= 1
            if not self._users[key]:
                del self._users[key], self._slots[key]

    def take(self, key: SessionKey) -> Session | None:
        """An idle session that still stands, the one used last; None where there is none."""
        idle = self._idle.get(key, [])
        while idle:
            session = idle.pop()
            self._timers.pop(session).cancel()
            if session.is_open:
                return session
        self._idle.pop(key, None)
        return None

    def give(self, key: SessionKey, session: Session) -> None:
        """Keep a session for the next delivery, or let it go where it is closed or too many."""
        if not session.is_open:
            return
        if len(self._timers) >= _IDLE_LIMIT or self._idle_timeout <= 0:
            self._part(session.quit())
            return
        self._idle[key].append(session)
        loop = asyncio.get_running_loop()
        self._timers[session] = loop.call_later(self._idle_timeout, self._expire, key, session)

    async def aclose(self) -> None:
        """Say QUIT on every idle session and wait for the goodbyes."""
        for key in list(self._idle):
            while session := self.take(key):
                self._part(session.quit())
        await asyncio.gather(*self._goodbyes)

    def _expire(self, key: SessionKey, session: Session) -> None:
        del self._timers[session]
        self._idle[key].remove(session)
        if not self._idle[key]:
            del self._idle[key]
        self._part(session.quit())

    def _part(self, goodbye: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(goodbye)
        self._goodbyes.add(task)
        task.add_done_callback(self._goodbyes.discard)
