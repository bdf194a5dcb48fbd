"""Connections kept for reuse; what two deliveries must share to share one (RFC 8461 §5)."""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import NamedTuple

from relay.delivery.credentials import Credentials
from relay.delivery.session import Session
from relay.delivery.tls import Level
from relay.pace import FindBound

_MANY = 200  # connections; with so many those idle longest make room, and others are waited for
_PATIENCE = 0.2  # seconds; to open one takes about as long where the way is long
_IN_LINE = 4  # deliveries that wait for each connection in use


# a tuple, as it is hashed a dozen times for each delivery
class SessionKey(NamedTuple):
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


class _Loan:
    """A session from when it is lent until it is taken back, broken by whatever is raised."""

    def __init__(self, pool: "Pool", key: SessionKey, least: Level, fresh: bool) -> None:
        self._pool = pool
        self._key = key
        self._least = least
        self._fresh = fresh

    async def __aenter__(self) -> Session:
        self._session = await self._pool.lend(self._key, fresh=self._fresh)
        return self._session

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        broken = kind is not None
        self._pool.take_back(self._key, self._least, self._session, broken=broken)


class Pool:
    """Idle sessions by key, and so many sessions with one host in use at a time.

    While there are few in all, a delivery that finds none idle opens one. With many it would cost
    another host its own, which is then opened anew: so it waits for one in use a little.
    """

    def __init__(
        self, new: Callable[[SessionKey], Session], idle_timeout: float, bound: FindBound
    ) -> None:
        """`new` makes a session; one idle for `idle_timeout` seconds is closed with QUIT. `bound`
        says how many a host by that name may have."""
        self._new = new
        self._idle_timeout = idle_timeout
        self._bound = bound
        self._idle: dict[SessionKey, list[Session]] = {}
        # the same, in the order they went idle, with when that is long enough, by the loop's clock
        self._parked: dict[Session, tuple[SessionKey, float]] = {}
        self._timer: asyncio.TimerHandle | None = None  # for the first of them, or one before it
        self._in_use = Counter[SessionKey]()
        self._lines: dict[SessionKey, list[asyncio.Future[None]]] = {}  # who waits for one of them
        self._slots: dict[str, tuple[asyncio.Semaphore, int]] = {}  # by host
        self._goodbyes: set[asyncio.Task[None]] = set()
        self._closed = False

    def session(
        self, key: SessionKey, least: Level, *, fresh: bool = False
    ) -> AbstractAsyncContextManager[Session]:
        """A session to be used by the caller alone; waits, first come first served, for its turn.

        Afterwards it is kept, if it is of use and at `least` or above (it may have stayed below the
        key's level), else closed with QUIT. `fresh` asks for a new connection.
        """
        return _Loan(self, key, least, fresh)

    async def aclose(self) -> None:
        """Say QUIT on every idle connection and wait for the goodbyes; keep no more of them."""
        self._closed = True
        for session in list(self._parked):
            self._dismiss(session)
        if self._timer:
            self._timer.cancel()
        await asyncio.gather(*self._goodbyes)

    async def lend(self, key: SessionKey, *, fresh: bool) -> Session:
        """A session, to be taken back; as in `session`."""
        await self._claim_slot(key.host)
        try:
            session = (None if fresh else await self._find(key)) or self._open(key)
        except BaseException:
            self._leave_slot(key.host)
            raise
        self._in_use[key] += 1
        return session

    def take_back(self, key: SessionKey, least: Level, session: Session, *, broken: bool) -> None:
        """What was lent is used no more."""
        if broken:  # amid a dialogue: nobody knows where it stands
            session.abort()
        self._release(key)
        if not broken:
            same = session.level is key.level
            self._keep(key if same else key._replace(level=session.level), session, least)
        self._leave_slot(key.host)

    async def _claim_slot(self, host: str) -> None:
        semaphore, users = self._slots.get(host) or (self._semaphore(host), 0)
        self._slots[host] = (semaphore, users + 1)
        try:
            await semaphore.acquire()
        except BaseException:
            self._forget_slot(host)
            raise

    def _leave_slot(self, host: str) -> None:
        self._slots[host][0].release()
        self._forget_slot(host)

    def _forget_slot(self, host: str) -> None:
        semaphore, users = self._slots.pop(host)
        if users > 1:
            self._slots[host] = (semaphore, users - 1)

    def _semaphore(self, host: str) -> asyncio.Semaphore:
        return asyncio.Semaphore(self._bound(host).at_once)

    @property
    def _is_crowded(self) -> bool:
        return len(self._parked) + self._in_use.total() >= _MANY

    async def _find(self, key: SessionKey) -> Session | None:
        session = self._take(key)
        if session or not self._is_crowded:
            return session
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                while session is None and self._is_worth_waiting(key):
                    await self._turn(key)
                    session = self._take(key)
        return session or self._take(key)

    def _is_worth_waiting(self, key: SessionKey) -> bool:
        return len(self._lines.get(key, ())) < _IN_LINE * self._in_use[key]

    async def _turn(self, key: SessionKey) -> None:
        line = self._lines.setdefault(key, [])
        turn = asyncio.get_running_loop().create_future()
        line.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # called and cut at the same moment: somebody else's turn
                self._call_next(key)
            raise
        finally:
            line.remove(turn)
            if not line:
                del self._lines[key]

    def _release(self, key: SessionKey) -> None:
        self._in_use[key] -= 1
        if not self._in_use[key]:
            del self._in_use[key]
        self._call_next(key)

    # The first who still waits
    def _call_next(self, key: SessionKey) -> None:
        for turn in self._lines.get(key, ()):
            if not turn.done():
                turn.set_result(None)
                break

    def _open(self, key: SessionKey) -> Session:
        while self._parked and self._is_crowded:
            self._dismiss(next(iter(self._parked)))
        return self._new(key)

    # The one used last; those not needed for so many deliveries may run out of time
    def _take(self, key: SessionKey) -> Session | None:
        while idle := self._idle.get(key):
            session = idle.pop()
            del self._parked[session]
            if not idle:
                del self._idle[key]
            if session.is_ready:
                return session
            self._part(session)
        return None

    def _keep(self, key: SessionKey, session: Session, least: Level) -> None:
        if not session.is_ready or session.level < least or self._closed:
            self._part(session)
            return
        end = asyncio.get_running_loop().time() + self._idle_timeout
        self._parked[session] = (key, end)
        self._idle.setdefault(key, []).append(session)
        if self._timer is None:
            self._set_timer(end)

    def _set_timer(self, end: float) -> None:
        self._timer = asyncio.get_running_loop().call_at(end, self._dismiss_idle, end)

    # One timer for all: most connections are taken again long before they have been idle too long
    def _dismiss_idle(self, now: float) -> None:
        self._timer = None
        for session, (_, end) in list(self._parked.items()):
            if end > now:
                self._set_timer(end)
                break
            self._dismiss(session)

    def _dismiss(self, session: Session) -> None:
        self._unpark(session)
        self._part(session)

    def _unpark(self, session: Session) -> None:
        key, _ = self._parked.pop(session)
        self._idle[key].remove(session)
        if not self._idle[key]:
            del self._idle[key]

    def _part(self, session: Session) -> None:
        task = asyncio.get_running_loop().create_task(session.aclose())
        self._goodbyes.add(task)
        task.add_done_callback(self._goodbyes.discard)
