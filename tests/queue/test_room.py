"""Room for bodies: bounded, fair among domains, and given back whatever happens."""

import asyncio
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from relay.queue.room import Room


class Holder:
    """Something that holds room until told to leave."""

    def __init__(self, room: Room, domain: str, octets: int) -> None:
        self.domain = domain
        self.octets = octets
        self.inside = False
        self._leave = asyncio.Event()
        self.task = asyncio.ensure_future(self._hold(room))

    async def _hold(self, room: Room) -> None:
        async with room.hold(self.domain, self.octets):
            self.inside = True
            try:
                await self._leave.wait()
            finally:
                self.inside = False

    async def leave(self) -> None:
        self._leave.set()
        await self.task

    async def cut(self) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task


async def settled() -> None:
    """Every task has gone as far as it can."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_domain_leaves_as_much_as_it_takes() -> None:
    room = Room(100)
    first, second, third = (Holder(room, "slow.test", 30) for _ in range(3))
    await settled()
    assert (first.inside, second.inside, third.inside) == (True, True, False)
    other = Holder(room, "d.test", 30)
    await settled()
    assert other.inside
    await first.leave()
    await settled()
    assert not third.inside
    await other.leave()
    await settled()
    assert third.inside
    for one in (second, third):
        await one.leave()


async def test_what_is_larger_than_all_room_goes_alone() -> None:
    room = Room(100)
    small = Holder(room, "d.test", 10)
    large = Holder(room, "large.test", 1000)
    await settled()
    assert not large.inside
    await small.leave()
    await settled()
    assert large.inside
    await large.leave()


async def test_nothing_needs_no_room() -> None:
    room = Room(1)
    full = Holder(room, "d.test", 5)
    nothing = Holder(room, "d.test", 0)
    await settled()
    assert full.inside
    assert nothing.inside
    await nothing.leave()
    await full.leave()


DOMAINS = st.sampled_from(["a.test", "b.test", "c.test"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("come"), DOMAINS, st.integers(1, 60)),
        st.tuples(st.sampled_from(["leave", "cut"]), st.integers(0, 50), st.just(0)),
    ),
    max_size=40,
)


@given(STEPS)
def test_it_is_never_overdrawn_and_nobody_is_forgotten(
    steps: list[tuple[str, str | int, int]],
) -> None:
    async def play() -> None:
        room = Room(100)
        holders: list[Holder] = []
        for what, who, octets in steps:
            if what == "come":
                holders.append(Holder(room, str(who), octets))
            elif inside := [one for one in holders if one.inside or what == "cut"]:
                one = inside[int(who) % len(inside)]
                holders.remove(one)
                await (one.leave() if what == "leave" else one.cut())
            await settled()
            held = sum(one.octets for one in holders if one.inside)
            assert held <= 100
            assert held or not holders
        while holders:
            one = next(one for one in holders if one.inside)
            holders.remove(one)
            await one.leave()
            await settled()

    asyncio.run(play())
