"""What gathers while the event loop is busy is acted on once it is not, or in time."""

import asyncio

import pytest

from relay.lull import Lull

EVER = 3600.0


class Pile:
    """Things that come, and how many each act found."""

    def __init__(self, turns: int, patience: float) -> None:
        self.things = 0
        self.found: list[int] = []
        self.lull = Lull(lambda: self.things, self.act, turns, patience)

    def act(self) -> None:
        self.found.append(self.things)
        self.things = 0

    def put(self) -> None:
        self.things += 1
        if self.things == 1:
            self.lull.begin()


async def turns(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("needed", "between", "found"),
    [
        pytest.param(3, 2, [4], id="each comes before the turns without any are over"),
        pytest.param(3, 3, [1, 1, 1, 1], id="each comes after"),
        pytest.param(1, 1, [1, 1, 1, 1], id="a single turn"),
        pytest.param(2, 0, [4], id="all in one turn"),
    ],
)
async def test_so_many_turns_without_any_are_waited_for(
    needed: int, between: int, found: list[int]
) -> None:
    pile = Pile(needed, EVER)
    for _ in range(4):
        pile.put()
        await turns(between)
    await turns(needed + 1)
    assert pile.found == found


async def test_what_has_no_end_is_not_waited_for() -> None:
    pile = Pile(1 << 60, 0)
    pile.put()
    assert pile.found == [1]


async def test_time_is_counted_from_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    pile, loop, now = Pile(1 << 60, 3), asyncio.get_running_loop(), [0.0]
    monkeypatch.setattr(loop, "time", lambda: now[0])
    for now[0] in range(5):
        pile.put()
        await turns(1)
    monkeypatch.undo()
    assert pile.found == [4]


async def test_a_second_begin_does_not_act_twice() -> None:
    pile = Pile(2, EVER)
    pile.put()
    pile.lull.begin()
    await turns(5)
    assert pile.found == [1]


def test_a_new_loop_goes_on_where_one_has_ended() -> None:
    pile = Pile(1000, EVER)

    async def put() -> None:
        pile.put()

    async def begin_again() -> None:
        pile.lull.begin()
        await turns(1001)

    asyncio.run(put())
    assert pile.found == []
    asyncio.run(begin_again())
    assert pile.found == [1]
