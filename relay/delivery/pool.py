"""Connections shared by deliveries: what two must have in common for it (RFC 8461 §5), who opens
another one, and who waits."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from relay.delivery.credentials import Credentials
from relay.delivery.idle import IdleSessions
from relay.delivery.session import Session
from relay.delivery.tls import Level
from relay.pace import FindBound

# To open a connection takes six round trips and the CPU of three messages, a message two round
# trips: so a new one is waited for a little before another is opened. On a busy loop a step takes a
# turn of it, however long that is: the host is not slow for it.
_STEP = 0.005  # seconds
_PATIENCE = 2  # steps


@dataclass(frozen=True, slots=True)
class SessionKey:
    """Two deliveries share a connection only where all of this is the same.

    With the mode in it a connection opened for a testing domain never serves an enforce one; with
    the identity, one on which the relay has logged in serves nobody else's mail; with the policy
    domain whose waiver let it be opened (`waived`; None: no waiver), it serves only what that
    waiver is for.
    """

    host: str
    address: str
    port: int
    level: Level
    mode: str
    identity: Credentials | None = None
    waived: str | None = None


@dataclass(eq=False, slots=True)
class _Waiter:
    """Somebody in line; `granted` gets a session, or None: open a new one."""

    key: SessionKey
    fresh: bool
    since: int  # step
    granted: asyncio.Future[Session | None]


@dataclass(slots=True)
class _Host:
    """Connections to one host in use, how many of them are new, and who waits for one, in order."""

    limit: int
    used: int = 0
    new: Counter[SessionKey] = field(default_factory=Counter)
    line: list[_Waiter] = field(default_factory=list)


class Pool:
    """Sessions for deliveries, so many with one host in use at a time."""

    def __init__(
        self, new: Callable[[SessionKey], Session], idle_timeout: float, bound: FindBound
    ) -> None:
        """`new` makes a session; one idle for `idle_timeout` seconds is closed with QUIT. `bound`
        says how many a host by that name may have."""
        self._new = new
        self._bound = bound
        self._idle = IdleSessions[SessionKey](idle_timeout)
        self._hosts: dict[str, _Host] = {}
        self._step = 0
        self._clock: asyncio.TimerHandle | None = None  # runs while anybody waits

    @asynccontextmanager
    async def session(
        self, key: SessionKey, least: Level, *, fresh: bool = False
    ) -> AsyncIterator[Session]:
        """A session to be used by the caller alone; waits, first come first served, for its turn.

        Afterwards it is kept, if it is of use and at `least` or above (it may have stayed below the
        key's level), else closed with QUIT. `fresh` asks for a new connection.
        """
        host = self._hosts.get(key.host) or self._meet(key.host)
        kept = await self._claim(host, key, fresh=fresh)
        session = kept or self._new(key)
        try:
            yield session
        except BaseException:  # amid a dialogue: nobody knows where it stands
            session.abort()
            raise
        else:
            self._keep(key, session, least)
        finally:
            self._release(host, key, new=kept is None)

    async def aclose(self) -> None:
        """Say QUIT on every idle connection and wait for the goodbyes; keep no more of them."""
        await self._idle.aclose()

    def _meet(self, name: str) -> _Host:
        self._hosts[name] = host = _Host(self._bound(name).at_once)
        return host

    # None: a new connection is to be opened
    async def _claim(self, host: _Host, key: SessionKey, *, fresh: bool) -> Session | None:
        granted: asyncio.Future[Session | None] = asyncio.get_running_loop().create_future()
        waiter = _Waiter(key, fresh, self._step, granted)
        if self._admit(host, waiter):
            return granted.result()
        host.line.append(waiter)
        self._clock = self._clock or self._next_step()
        try:
            session = await granted
        except BaseException:
            self._withdraw(host, waiter)
            raise
        if session and not session.is_ready:  # lost since
            self._idle.part(session)
            host.new[key] += 1
            return None
        return session

    # One new connection of a key at a time; those who wait are served before anyone who comes later
    def _admit(self, host: _Host, waiter: _Waiter, *, late: bool = False) -> bool:
        if host.used >= host.limit or waiter.granted.done():
            return False
        session = None if waiter.fresh else self._idle.take(waiter.key)
        if not (session or waiter.fresh or late) and host.new[waiter.key]:
            return False
        host.used += 1
        if session is None:
            host.new[waiter.key] += 1
        waiter.granted.set_result(session)
        return True

    def _release(self, host: _Host, key: SessionKey, *, new: bool) -> None:
        host.used -= 1
        if new:
            host.new[key] -= 1
        for waiter in host.line.copy():
            if self._admit(host, waiter):
                host.line.remove(waiter)
            elif host.used >= host.limit:
                break
        self._forget(host, key.host)

    def _withdraw(self, host: _Host, waiter: _Waiter) -> None:
        if waiter in host.line:
            host.line.remove(waiter)
            self._forget(host, waiter.key.host)
            return
        session = waiter.granted.result()
        if session:
            self._keep(waiter.key, session, session.level)
        self._release(host, waiter.key, new=session is None)

    def _forget(self, host: _Host, name: str) -> None:
        if not host.used and not host.line:
            del self._hosts[name]

    def _next_step(self) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(_STEP, self._hurry)

    # Where the wait has been long, as many more are opened as are new: so a slow host has its limit
    # after a few steps, and one hiccup does not fill it
    def _hurry(self) -> None:
        self._step += 1
        waiting = [host for host in self._hosts.values() if host.line]
        for host in waiting:
            room = host.new.copy()
            for waiter in host.line.copy():
                if self._step - waiter.since <= _PATIENCE:
                    break
                if room[waiter.key] and self._admit(host, waiter, late=True):
                    room[waiter.key] -= 1
                    host.line.remove(waiter)
        self._clock = self._next_step() if waiting else None

    def _keep(self, key: SessionKey, session: Session, least: Level) -> None:
        if not session.is_ready or session.level < least:
            self._idle.part(session)
            return
        same = session.level is key.level
        self._idle.keep(key if same else replace(key, level=session.level), session)
