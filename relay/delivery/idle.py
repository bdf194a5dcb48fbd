"""Connections that nobody uses at the moment, each for a time (RFC 5321 §4.5.3.2). Knows no limits
of hosts."""

import asyncio
from collections.abc import Hashable
from typing import Generic, TypeVar

from relay.delivery.session import Session

_LIMIT = 200  # idle connections in all; beyond it the one idle longest is closed

_Key = TypeVar("_Key", bound=Hashable)


class IdleSessions(Generic[_Key]):
    """Sessions by key, the one used last first; each is closed with QUIT in the end."""

    def __init__(self, timeout: float) -> None:
        """One idle for `timeout` seconds is closed."""
        self._timeout = timeout
        self._by_key: dict[_Key, list[Session]] = {}
        # the same, in the order they went idle
        self._parked: dict[Session, tuple[_Key, asyncio.TimerHandle]] = {}
        self._goodbyes: set[asyncio.Task[None]] = set()
        self._closed = False

    # Those not needed for so many deliveries may run out of time
    def take(self, key: _Key) -> Session | None:
        """A session that is of use, no longer kept here; None: there is none."""
        while idle := self._by_key.get(key):
            session = idle[-1]
            self._unpark(session)
            if session.is_ready:
                return session
            self.part(session)
        return None

    def keep(self, key: _Key, session: Session) -> None:
        """Keep a session that is ready; not after `aclose`."""
        if self._closed:
            self.part(session)
            return
        timer = asyncio.get_running_loop().call_later(self._timeout, self._dismiss, session)
        self._parked[session] = (key, timer)
        self._by_key.setdefault(key, []).append(session)
        if len(self._parked) > _LIMIT:
            self._dismiss(next(iter(self._parked)))

    def part(self, session: Session) -> None:
        """Say QUIT, in the background."""
        task = asyncio.get_running_loop().create_task(session.aclose())
        self._goodbyes.add(task)
        task.add_done_callback(self._goodbyes.discard)

    async def aclose(self) -> None:
        """Say QUIT on every connection and wait for the goodbyes; keep no more of them."""
        self._closed = True
        for session in list(self._parked):
            self._dismiss(session)
        await asyncio.gather(*self._goodbyes)

    def _dismiss(self, session: Session) -> None:
        self._unpark(session)
        self.part(session)

    def _unpark(self, session: Session) -> None:
        key, timer = self._parked.pop(session)
        timer.cancel()
        self._by_key[key].remove(session)
        if not self._by_key[key]:
            del self._by_key[key]
