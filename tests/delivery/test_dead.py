"""Addresses that are down: one try at a time, shared by all who wait, and never in anyone's way."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from relay.delivery.dead import DeadHosts
from relay.delivery.hop import Declined, Exchange, Flaw, HopReport, Unprotected, Unreachable
from relay.evidence import Failure
from relay.reply import Reply

PLACE = ("192.0.2.1", 25, False)
GONE = Unreachable("nobody there")
UP = Exchange()
ANSWERS = [
    Declined(Reply(554, None, "no")),
    Unprotected(Flaw(Failure.CERTIFICATE_EXPIRED, "expired")),
    Exchange(lost="cut"),
    UP,
]


class Host:
    """Counts who calls; answers when it is let."""

    def __init__(self, report: HopReport = GONE) -> None:
        self.report = report
        self.calls = 0
        self.let = asyncio.Event()
        self.let.set()

    async def call(self) -> HopReport:
        self.calls += 1
        await self.let.wait()
        return self.report


def now() -> float:
    return asyncio.get_running_loop().time()


async def settle(work: Callable[[], Awaitable[HopReport]], count: int) -> list[HopReport]:
    return list(await asyncio.gather(*(work() for _ in range(count))))


async def test_snd_22_those_who_wait_share_one_try() -> None:
    dead, host = DeadHosts(), Host()
    await dead.visit(PLACE, now(), host.call)
    since = now()
    await asyncio.sleep(0.001)
    reports = await settle(lambda: dead.visit(PLACE, since + 0.0005, host.call), 500)
    assert set(reports) == {GONE}
    assert host.calls == 2


async def test_snd_22_who_comes_later_tries_anew() -> None:
    dead, host = DeadHosts(), Host()
    for number in range(1, 4):
        await asyncio.sleep(0.001)
        assert await dead.visit(PLACE, now(), host.call) == GONE
        assert host.calls == number


async def test_snd_22_all_go_on_when_the_one_who_tries_gets_through() -> None:
    dead, host = DeadHosts(), Host()
    await dead.visit(PLACE, now(), host.call)
    host.report = UP
    await asyncio.sleep(0.001)
    since = now()
    assert await settle(lambda: dead.visit(PLACE, since, host.call), 5) == [UP] * 5
    assert host.calls == 6


async def test_snd_22_a_try_that_is_cut_is_taken_over() -> None:
    dead, host = DeadHosts(), Host()
    await dead.visit(PLACE, now(), host.call)
    await asyncio.sleep(0.001)
    host.let.clear()
    first, second = (asyncio.ensure_future(dead.visit(PLACE, now(), host.call)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    host.let.set()
    assert await second == GONE
    assert host.calls == 3


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda one: type(one).__name__)
async def test_snd_22_who_answers_is_not_dead(answer: HopReport) -> None:
    dead, host = DeadHosts(), Host(answer)
    since = now()
    assert await settle(lambda: dead.visit(PLACE, since, host.call), 3) == [answer] * 3
    assert host.calls == 3


async def test_other_addresses_ports_and_patience_are_other_places() -> None:
    dead, host = DeadHosts(), Host()
    await dead.visit(PLACE, 0.0, host.call)
    for place in (("192.0.2.2", 25, False), ("192.0.2.1", 26, False), ("192.0.2.1", 25, True)):
        await dead.visit(place, 0.0, host.call)
    assert host.calls == 4


async def test_memory_is_bounded() -> None:
    dead, host = DeadHosts(), Host()
    for number in range(10_010):
        await dead.visit((str(number), 25, False), 0.0, host.call)
    assert len(dead._down) == 10_000
