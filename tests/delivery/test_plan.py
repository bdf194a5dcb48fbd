"""What is begun alongside something else: a task only where that has to wait."""

import asyncio

import pytest

from relay.delivery.plan import _Alongside


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
