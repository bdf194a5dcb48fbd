"""Who may start: fair among domains, nobody lost who is taken out of the line."""

from collections.abc import Callable
from functools import partial

import pytest

from relay.envelope import Envelope, Message
from relay.pace import Bound
from relay.queue.job import Claim, split
from relay.queue.line import Limits, Line


class Started:
    """A line of few places, and whose attempts began."""

    def __init__(self, limits: Limits) -> None:
        self.ids: list[str] = []
        self.asked = 0
        self.line = Line(limits, lambda claim: self.ids.append(claim.job.message_id), self.ask)

    def ask(self) -> None:
        self.asked += 1

    def take_on(self, *names: str, domain: str = "d.test") -> None:
        messages = [Message(one, Envelope(None, (f"u@{domain}",)), b"", 1.0) for one in names]
        self.line.take_on([Claim(job, b"") for message in messages for job in split(message)])


@pytest.mark.parametrize(
    ("revoked", "begun", "taken"),
    [
        (set(), ["A", "B", "C"], []),
        ({"B.1"}, ["A", "C"], ["B.1"]),
        ({"B.1", "C.1"}, ["A"], ["B.1", "C.1"]),
        ({"A.1", "X.1"}, ["A", "B", "C"], []),
    ],
    ids=["none", "one", "all-that-wait", "those-under-way-and-unknown"],
)
async def test_who_is_taken_out_never_starts(
    revoked: set[str], begun: list[str], taken: list[str]
) -> None:
    house = Started(Limits(per_domain=lambda _: Bound(1)))
    house.take_on("A", "B", "C")
    assert [job.id for job in house.line.withdraw(revoked)] == taken
    for _ in range(3):
        if len(house.ids) < len(begun):
            house.line.end_attempt("d.test")
    assert house.ids == begun
    assert house.line.is_empty()


async def test_the_store_is_asked_for_more_only_while_it_may_have_some() -> None:
    house = Started(Limits())
    house.take_on("A", "B")
    house.line.leave("d.test")
    assert house.asked == 0
    house.line.behind = True
    house.line.leave("d.test")
    assert house.asked == 1


async def test_domains_that_wait_do_not_keep_another_from_more() -> None:
    """However many claims wait for a pace, who has none left may have some in the store."""
    house = Started(Limits(per_domain=lambda one: Bound(20, 0.01 if one == "slow.test" else None)))
    house.take_on(*(f"S{number}" for number in range(50)), domain="slow.test")
    house.take_on("A", domain="d.test")
    house.line.behind = True
    house.line.end_attempt("slow.test")
    house.line.leave("slow.test")
    assert house.asked == 0
    house.line.end_attempt("d.test")
    house.line.leave("d.test")
    assert house.asked == 1
    house.line.rest()


async def test_a_window_that_is_overrun_has_no_room() -> None:
    house = Started(Limits(window=10))
    for number in range(30):  # each was admitted before the others had their places
        house.take_on(f"A{number}", domain=f"d{number}.test")
    assert house.line.room == 0


async def test_at_rest_nobody_starts_and_nobody_is_admitted() -> None:
    house = Started(Limits())
    message = Message("A", Envelope(None, ("u@d.test",)), b"", 1.0)
    assert house.line.admits(message)
    house.line.rest()
    assert not house.line.admits(message)
    house.take_on("A")
    assert house.ids == []


class SteppingLoop:
    """A loop whose time goes on by a step each time it is asked for; timers are kept."""

    def __init__(self, step: float) -> None:
        self.now, self.step = 100.0, step
        self.timers: list[Callable[[], None]] = []

    def time(self) -> float:
        self.now += self.step
        return self.now

    def call_later(self, _: float, call: Callable[..., None], *args: object) -> None:
        self.timers.append(partial(call, *args))


@pytest.mark.parametrize("late", [0.0, 0.4, 0.9], ids=["early", "nearly", "late"])
def test_a_pace_that_ends_amid_leaves_nobody_behind(
    monkeypatch: pytest.MonkeyPatch, late: float
) -> None:
    """A timer may go off before the turn it is for, and the turn may come while it is looked at."""
    loop = SteppingLoop(0.6)
    monkeypatch.setattr("asyncio.get_running_loop", lambda: loop)
    house = Started(Limits(per_domain=lambda _: Bound(20, 1.0)))
    for name in "ABCD":
        house.take_on(name)
        loop.now += late
    while loop.timers:
        loop.timers.pop(0)()
    assert house.ids == list("ABCD")
