"""What is begun alongside something else, and how long hosts stay judged."""

import asyncio
import random
from typing import cast

import pytest

from relay.delivery.own import OwnAddresses
from relay.delivery.plan import Planner, _Alongside
from relay.delivery.route import Router
from relay.mta_sts.found import Found
from relay.mta_sts.policy import Policy, PolicyResult
from relay.resolver import Answer, DnsStatus, MxRecord, Resolver

from .conftest import LOOPBACK


class Work:
    """Notes how it went; waits for `may_end` where it is told to."""

    def __init__(self) -> None:
        self.begun = 0
        self.task: asyncio.Task[object] | None = None
        self.may_end = asyncio.Event()

    async def __call__(self) -> str:
        self.begun += 1
        self.task = asyncio.current_task()
        await self.may_end.wait()
        return "done"


async def test_what_waits_for_nothing_takes_no_task() -> None:
    work = Work()
    work.may_end.set()
    with _Alongside(work) as alongside:
        assert await alongside.result() == "done"
    await asyncio.sleep(0)
    assert (work.begun, work.task) == (1, asyncio.current_task())


async def test_it_is_begun_while_something_else_is_waited_for() -> None:
    work = Work()
    with _Alongside(work) as alongside:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert work.begun == 1
        assert work.task is not asyncio.current_task()
        work.may_end.set()
        assert await alongside.result() == "done"
    assert work.begun == 1


async def fail() -> None:
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    raise ZeroDivisionError


async def test_it_ends_with_what_it_was_for() -> None:
    work = Work()
    with pytest.raises(ZeroDivisionError), _Alongside(work):
        await fail()
    assert work.task is not None
    async with asyncio.timeout(5):
        await asyncio.wait([work.task])
    assert work.task.cancelled()


async def test_it_is_not_begun_any_more_after_the_end() -> None:
    work = Work()
    with _Alongside(work):
        pass
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert work.begun == 0


def enforcing(*patterns: str) -> Found:
    return Found(PolicyResult(Policy("1", "STSv1", "enforce", patterns, 60), "renewed"))


class Known:
    """What DNS and the policies say, each time the same objects."""

    def __init__(self) -> None:
        self.found = {"d.test": enforcing("a.test"), "e.test": enforcing("b.test")}
        self.hosts = Answer(DnsStatus.FOUND, (MxRecord(10, "a.test"),))
        self.address = Answer(DnsStatus.FOUND, ("127.0.0.5",))

    async def mx(self, name: str) -> Answer[MxRecord]:
        return self.hosts

    async def addresses(self, name: str) -> Answer[str]:
        return self.address

    async def find(self, domain: str, *, since: float | None = None) -> Found:
        return self.found[domain]


class TestHostsStayJudged:
    """As long as route and policy are the same."""

    @pytest.fixture
    def known(self) -> Known:
        return Known()

    @pytest.fixture
    def planner(self, known: Known) -> Planner:
        dice = random.Random(1)  # noqa: S311 - order of hosts
        own, given = OwnAddresses("relay.test"), cast(Resolver, known)
        router = Router(given, own=own, port=2525, allow_internal=LOOPBACK, dice=dice)
        return Planner(router, known.find, {})

    async def listed(self, planner: Planner, domain: str = "d.test") -> list[tuple[str, bool]]:
        plan = await planner.plan(domain)
        return [(host.name, host.listed) for host in plan.hosts]

    async def test_while_nothing_changes(self, planner: Planner) -> None:
        first, second = await planner.plan("d.test"), await planner.plan("d.test")
        assert first.hosts
        assert first.hosts is second.hosts

    async def test_not_by_another_policy(self, planner: Planner, known: Known) -> None:
        assert await self.listed(planner) == [("a.test", True)]
        known.found["d.test"] = enforcing("b.test")
        assert await self.listed(planner) == [("a.test", False)]

    async def test_not_for_another_route(self, planner: Planner, known: Known) -> None:
        assert await self.listed(planner) == [("a.test", True)]
        known.hosts = Answer(DnsStatus.FOUND, (MxRecord(10, "b.test"),))
        assert await self.listed(planner) == [("b.test", False)]

    async def test_not_what_is_large_or_comes_once(self, planner: Planner, known: Known) -> None:
        """It would be held for domains that are never written to again."""
        renewed = enforcing("a.test")
        fetched = Found(PolicyResult(renewed.policy, "found"), body=b"version: STSv1")
        many = enforcing("a.test", *(f"mx{number}.test" for number in range(20)))
        for known.found["d.test"] in (fetched, many):
            first, second = await planner.plan("d.test"), await planner.plan("d.test")
            assert first.hosts == second.hosts
            assert first.hosts is not second.hosts

    async def test_without_a_policy_none_is_ruled_out(self, planner: Planner, known: Known) -> None:
        known.found["d.test"] = Found(PolicyResult(Policy(), "not_found"))
        assert await self.listed(planner) == [("a.test", True)]

    async def test_not_for_another_domain(self, planner: Planner) -> None:
        assert await self.listed(planner) == [("a.test", True)]
        assert await self.listed(planner, "e.test") == [("a.test", False)]
