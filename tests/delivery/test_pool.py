"""Which connections are shared, for how long they are kept, and how many there may be."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from relay.delivery.caller import Caller, Timeouts
from relay.delivery.contexts import TlsContexts
from relay.delivery.credentials import Credentials
from relay.delivery.hop import Exchange
from relay.delivery.pool import Pool, SessionKey
from relay.delivery.session import Session
from relay.delivery.tls import Level
from relay.delivery.transaction import content_of
from relay.lab.mx_host import MxHost
from relay.lab.world import World
from relay.pace import Bound

from .conftest import BODY, mail

LONG = 3600.0


class Bench:
    """A pool for one MX host."""

    def __init__(self, world: World, mx: MxHost, idle_timeout: float, per_key: int) -> None:
        contexts = TlsContexts(world.ca_file)
        caller = Caller("relay.lab.test", world.smtp_port, contexts, Timeouts())
        self.mx = mx
        self.port = world.smtp_port
        self.pool = Pool(
            lambda key: Session(key.host, key.address, key.level, caller),
            idle_timeout,
            lambda _: Bound(per_key),
        )

    def key(self, level: Level = Level.VERIFIED, mode: str = "enforce") -> SessionKey:
        return SessionKey(self.mx.name, self.mx.address, self.port, level, mode)

    async def use(self, busy: AsyncExitStack) -> Session:
        """A connection that is up and in use until the end of `busy`."""
        one = await busy.enter_async_context(self.pool.session(self.key(), Level.VERIFIED))
        await one.deliver(mail(), ["u@d.test"], content_of(BODY))
        return one

    async def send(
        self, key: SessionKey, least: Level | None = None, *, fresh: bool = False
    ) -> None:
        async with self.pool.session(
            key, key.level if least is None else least, fresh=fresh
        ) as one:
            await one.deliver(mail(), ["u@d.test"], content_of(BODY))


async def bench(world: World, *, idle: float = LONG, per_key: int = 20) -> Bench:
    return Bench(world, await world.mx_host("mx.d.test"), idle, per_key)


async def test_shared(world: World) -> None:
    desk = await bench(world)
    for _ in range(3):
        await desk.send(desk.key())
    await desk.pool.aclose()
    assert (desk.mx.connections, len(desk.mx.messages)) == (1, 3)
    assert await desk.mx.endings.reach(1, 5) == ["QUIT"]


async def test_not_shared_between_modes_and_levels(world: World) -> None:
    """STS-97: what testing mode opened never serves enforce."""
    desk = await bench(world)
    await desk.send(desk.key(mode="testing"))
    await desk.send(desk.key(mode="enforce"))
    await desk.send(desk.key(Level.ENCRYPTED, mode="testing"))
    await desk.pool.aclose()
    assert desk.mx.connections == 3


async def test_not_shared_between_identities(world: World) -> None:
    """A connection that is logged in serves nobody else's mail, nor the other way round."""
    desk = await bench(world)
    me, you = Credentials("me", "secret"), Credentials("me", "other")
    for identity in (None, me, you, me):
        await desk.send(desk.key()._replace(identity=identity))
    await desk.pool.aclose()
    assert desk.mx.connections == 3


async def test_fresh(world: World) -> None:
    desk = await bench(world)
    await desk.send(desk.key())
    await desk.send(desk.key(), fresh=True)
    await desk.pool.aclose()
    assert desk.mx.connections == 2


async def test_idle_connection_is_closed_politely(world: World) -> None:
    desk = await bench(world, idle=0.0)
    await desk.send(desk.key())
    assert await desk.mx.endings.reach(1, 5) == ["QUIT"]
    await desk.pool.aclose()


async def test_each_idle_connection_has_its_time(world: World) -> None:
    desk = await bench(world, idle=0.2)
    await desk.send(desk.key(mode="testing"))
    await desk.send(desk.key(mode="enforce"))
    assert await desk.mx.endings.reach(2, 5) == ["QUIT", "QUIT"]
    await desk.pool.aclose()


async def test_connection_cut_while_idle_is_not_used(world: World) -> None:
    desk = await bench(world)
    async with desk.pool.session(desk.key(), Level.VERIFIED) as session:
        await session.deliver(mail(), ["u@d.test"], content_of(BODY))
    session.abort()
    await desk.send(desk.key())
    await desk.pool.aclose()
    assert desk.mx.connections == 2


class TestBelowTheLevel:
    """A host without STARTTLS: the connection stays in the clear."""

    async def test_kept_where_that_will_do(self, world: World) -> None:
        desk = await bench(world)
        desk.mx.starttls = False
        await desk.send(desk.key(Level.ENCRYPTED, "none"), Level.CLEAR)
        await desk.send(desk.key(Level.CLEAR, "none"))
        await desk.pool.aclose()
        assert (desk.mx.connections, len(desk.mx.messages)) == (1, 1)

    async def test_ended_where_not(self, world: World) -> None:
        desk = await bench(world)
        desk.mx.starttls = False
        await desk.send(desk.key(Level.VERIFIED, "testing"), Level.ENCRYPTED)
        assert await desk.mx.endings.reach(1, 5) == ["QUIT"]
        await desk.pool.aclose()


async def test_limit(world: World) -> None:
    """SND-37: no more than so many at once with a host; who waits is served in turn."""
    desk = await bench(world, per_key=2)
    order: list[int] = []

    async def work(number: int) -> None:
        key = desk.key(mode="testing" if number % 2 else "enforce")
        async with desk.pool.session(key, Level.VERIFIED):
            order.append(number)

    async with AsyncExitStack() as busy:
        for _ in range(2):
            await busy.enter_async_context(desk.pool.session(desk.key(), Level.VERIFIED))
        waiting = [asyncio.ensure_future(work(number)) for number in range(5)]
        async with desk.pool.session(desk.key()._replace(host="mx.e.test"), Level.VERIFIED):
            assert order == []
    await asyncio.gather(*waiting)
    await desk.pool.aclose()
    assert order == [0, 1, 2, 3, 4]


async def test_many_in_parallel(world: World) -> None:
    desk = await bench(world, per_key=3)
    await asyncio.gather(*(desk.send(desk.key()) for _ in range(12)))
    await desk.pool.aclose()
    assert len(desk.mx.messages) == 12
    assert desk.mx.connections <= 3


async def test_cancelled_amid_a_dialogue(world: World) -> None:
    """Nobody knows where such a connection stands: it is not used again, and no slot is lost."""
    desk = await bench(world, per_key=1)
    desk.mx.stall_at = "RCPT"
    task = asyncio.ensure_future(desk.send(desk.key()))
    await desk.mx.stalled.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    desk.mx.stall_at = None
    desk.mx.resume.set()
    # DATA was sent ahead: the host may have read it before the end or not
    assert (await desk.mx.endings.reach(1, 5))[0] in ("RCPT", "DATA")
    await desk.send(desk.key())
    await desk.pool.aclose()
    assert (desk.mx.connections, len(desk.mx.messages)) == (2, 1)


async def test_closed_pool_keeps_nothing(world: World) -> None:
    desk = await bench(world)
    async with desk.pool.session(desk.key(), Level.VERIFIED) as session:
        report = await session.deliver(mail(), ["u@d.test"], content_of(BODY))
        await desk.pool.aclose()
    assert isinstance(report, Exchange)
    assert await desk.mx.endings.reach(1, 5) == ["QUIT"]
    await desk.pool.aclose()


class TestManyConnections:
    """With so many in all, one in use is waited for, and a new one costs the one idle longest."""

    @pytest.fixture(autouse=True)
    def _many(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("relay.delivery.pool._MANY", 2)

    async def test_one_in_use_is_waited_for(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("relay.delivery.pool._PATIENCE", LONG)
        desk = await bench(world)
        async with AsyncExitStack() as busy:
            await desk.use(busy)
            await desk.use(busy)
            waiting = [asyncio.ensure_future(desk.send(desk.key())) for _ in range(3)]
            await asyncio.sleep(0)
        await asyncio.gather(*waiting)
        await desk.pool.aclose()
        assert (desk.mx.connections, len(desk.mx.messages)) == (2, 5)

    async def test_but_not_for_long(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("relay.delivery.pool._PATIENCE", 0.01)
        desk = await bench(world)
        async with AsyncExitStack() as busy:
            await desk.use(busy)
            await desk.use(busy)
            await desk.send(desk.key())
        await desk.pool.aclose()
        assert desk.mx.connections == 3

    @pytest.mark.parametrize("called", [False, True])
    async def test_who_is_cancelled_in_line_keeps_nobody_waiting(
        self, world: World, monkeypatch: pytest.MonkeyPatch, called: bool
    ) -> None:
        monkeypatch.setattr("relay.delivery.pool._MANY", 1)
        monkeypatch.setattr("relay.delivery.pool._PATIENCE", LONG)
        desk = await bench(world)
        async with AsyncExitStack() as busy:
            await desk.use(busy)
            gone, left = (asyncio.ensure_future(desk.send(desk.key())) for _ in range(2))
            await asyncio.sleep(0)
            if not called:
                gone.cancel()
        gone.cancel()
        await left
        await desk.pool.aclose()
        assert (desk.mx.connections, len(desk.mx.messages)) == (1, 2)
        assert not desk.pool._slots

    async def test_one_that_is_of_no_more_use_is_not_waited_for(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("relay.delivery.pool._MANY", 1)
        monkeypatch.setattr("relay.delivery.pool._PATIENCE", LONG)
        desk = await bench(world)
        async with AsyncExitStack() as busy:
            one = await desk.use(busy)
            waiting = asyncio.ensure_future(desk.send(desk.key()))
            await asyncio.sleep(0)
            one.abort()
        await waiting
        await desk.pool.aclose()
        assert desk.mx.connections == 2

    async def test_another_host_s_longest_idle_makes_room(self, world: World) -> None:
        desk = await bench(world)
        for mode in ("enforce", "testing", "none"):
            await desk.send(desk.key(mode=mode))
        assert await desk.mx.endings.reach(1, 5) == ["QUIT"]
        await desk.send(desk.key(mode="testing"))
        await desk.pool.aclose()
        assert desk.mx.connections == 3
