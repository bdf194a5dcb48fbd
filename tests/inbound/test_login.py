"""Checking passwords: few at a time, off the event loop, and not for those who keep failing."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay.inbound import login as module
from relay.inbound.login import Login, Verdict
from relay.inbound.passwords import hash_password
from relay.inbound.sasl import Credentials
from relay.inbound.users import UserFile
from tests.inbound.dialogue import PATIENCE

GOOD = Credentials("joe", b"secret")
BAD = Credentials("joe", b"wrong")
HASH = hash_password(b"secret")


class CountedFile(UserFile):
    """Counts checks, and holds them while `gate` is closed."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.gate = threading.Event()
        self.gate.set()
        self.running = self.most = self.checks = 0
        self._count = threading.Lock()

    def check(self, name: str, password: bytes) -> bool:
        with self._count:
            self.running += 1
            self.checks += 1
            self.most = max(self.most, self.running)
        self.gate.wait(PATIENCE)
        with self._count:
            self.running -= 1
        return super().check(name, password)


@pytest.fixture
def users(tmp_path: Path) -> CountedFile:
    path = tmp_path / "users"
    path.write_text(f"joe:{HASH}\n", "utf-8")
    return CountedFile(path)


@pytest.fixture
async def login(users: CountedFile) -> AsyncIterator[Login]:
    made = Login(users)
    yield made
    users.gate.set()
    made.close()


async def test_right_and_wrong(login: Login, caplog: pytest.LogCaptureFixture) -> None:
    assert await login.check("192.0.2.1", GOOD) is Verdict.WELCOME
    assert await login.check("192.0.2.1", BAD) is Verdict.WRONG
    assert await login.check("192.0.2.1", Credentials("jim", b"secret")) is Verdict.WRONG
    assert caplog.text.count("192.0.2.1: a log-in failed") == 2
    assert "secret" not in caplog.text
    assert "jim" not in caplog.text


async def test_who_keeps_failing_has_to_wait(login: Login, users: CountedFile) -> None:
    for _ in range(5):
        assert await login.check("2001:db8::1", BAD) is Verdict.WRONG
    # not even with the right password, from nowhere in the network, and at no cost
    assert await login.check("2001:db8::1", GOOD) is Verdict.LATER
    assert await login.check("2001:db8::2", GOOD) is Verdict.LATER
    assert users.checks == 5
    assert await login.check("2001:db8:0:1::1", GOOD) is Verdict.WELCOME


async def test_many_at_once_from_one_place_do_not_get_around_it(
    login: Login, users: CountedFile
) -> None:
    attempts = [login.check("192.0.2.1", BAD) for _ in range(50)]
    verdicts = await asyncio.gather(*attempts)
    assert verdicts.count(Verdict.WRONG) <= 6
    assert verdicts.count(Verdict.LATER) >= 44


async def test_two_at_a_time_and_a_bounded_queue(login: Login, users: CountedFile) -> None:
    users.gate.clear()
    peers = [f"192.0.2.{number}" for number in range(110)]
    tasks = [asyncio.create_task(login.check(peer, GOOD)) for peer in peers]
    async with asyncio.timeout(PATIENCE):
        done, waiting = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    assert {task.result() for task in done} == {Verdict.LATER}
    assert len(waiting) == module._WAITING
    users.gate.set()
    assert {await task for task in waiting} == {Verdict.WELCOME}
    assert users.most == module._CHECKS


async def test_who_hangs_up_is_counted_and_frees_no_thread(
    login: Login, users: CountedFile
) -> None:
    users.gate.clear()
    for _ in range(20):
        task = asyncio.create_task(login.check("192.0.2.1", BAD))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    assert users.most <= module._CHECKS
    users.gate.set()
    assert await login.check("192.0.2.1", GOOD) is Verdict.LATER
    assert await login.check("192.0.2.2", GOOD) is Verdict.WELCOME
    assert users.most <= module._CHECKS


async def test_the_event_loop_goes_on(login: Login, users: CountedFile) -> None:
    users.gate.clear()
    task = asyncio.create_task(login.check("192.0.2.1", GOOD))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not task.done()
    users.gate.set()
    assert await task is Verdict.WELCOME
