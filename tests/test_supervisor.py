"""Several workers as one relay: real processes, signals, a crash, a change of their number."""

import asyncio
import os
import signal
import smtplib
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest

from relay.db.desk import Desk
from relay.lab.mx_host import MxHost
from relay.lab.world import World

PATIENCE = 20.0


class Crew:
    """A relay of several processes, and what a test asks of it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.port = 0

    async def until(self, word: str) -> dict[str, object]:
        """The next line of the log with this word."""
        assert self.process.stderr is not None
        async with asyncio.timeout(PATIENCE):
            while word.encode() not in (line := await self.process.stderr.readline()):
                assert line, "the relay has ended"
        row: dict[str, object] = orjson.loads(line)
        return row

    def workers(self) -> list[int]:
        """Their process ids."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in path.read_text().split()]

    async def send(self, *recipients: str) -> None:
        await asyncio.to_thread(send, self.port, recipients)


def send(port: int, recipients: tuple[str, ...]) -> None:
    with smtplib.SMTP("127.0.0.1", port) as client:
        client.sendmail("me@a.test", list(recipients), b"Subject: told\r\n\r\nx\r\n")


@asynccontextmanager
async def serving(path: Path, *relay: str) -> AsyncIterator[Crew]:
    command = [sys.executable, *(relay or ("-m", "relay")), "serve", "-c", str(path)]
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    crew = Crew(process)
    try:
        told = await crew.until("listening on ")
        crew.port = int(str(told["message"]).rpartition(":")[2])
        yield crew
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def configure(world: World, path: Path, workers: int, listen: str = "127.0.0.1:0") -> None:
    extra = f'[server]\nworkers = {workers}\n[queue]\nretry = ["1h"]\n'
    path.write_text(world.config(path.parent / "var", listen=listen, extra=extra), "utf-8")


@asynccontextmanager
async def delivering(world: World, path: Path, *relay: str) -> AsyncIterator[tuple[Crew, MxHost]]:
    """Two workers, one of which waits for a host's last word; whoever comes next is answered."""
    mx = await world.mx_host("mx.d.test", stall_at=".")
    world.domain("d.test", mx=[(10, mx.name)])
    configure(world, path, 2)
    async with serving(path, *relay) as crew:
        await crew.send("u@d.test")
        await asyncio.wait_for(mx.stalled.wait(), PATIENCE)
        mx.stall_at = None
        yield crew, mx


async def test_two_workers_take_and_deliver_mail_and_end_gracefully(
    world: World, path: Path
) -> None:
    mx = await world.mx_host("mx.d.test")
    world.domain("d.test", mx=[(10, mx.name)], policy="enforce")
    configure(world, path, 2)
    async with serving(path) as crew:
        assert len(crew.workers()) == 2
        await asyncio.gather(*(crew.send("u@d.test") for _ in range(20)))
        await mx.received(20, timeout=PATIENCE)
        second = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "relay", "serve", "-c", str(path)), stderr=subprocess.PIPE
        )
        _, told = await second.communicate()
        assert second.returncode == 3
        assert b"another relay is running" in told
        crew.process.terminate()
        assert await asyncio.wait_for(crew.process.wait(), PATIENCE) == 0
    assert len(mx.messages) == 20


async def test_a_worker_that_dies_is_started_again_and_its_mail_delivered(
    world: World, path: Path
) -> None:
    async with delivering(world, path) as (crew, mx):
        before = set(crew.workers())
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        for _ in before:
            await crew.until("is started again")
        await mx.received(1, timeout=PATIENCE)
        mx.resume.set()
        assert set(crew.workers()) - before


_FAILS_ONCE = """
import errno, os, sys
from relay.cli import main
fork, forks = os.fork, []
def failing():
    forks.append(1)
    if len(forks) == 3:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
    return fork()
os.fork = failing
sys.argv[0] = "relay"
main()
"""


async def test_a_process_that_cannot_be_had_just_now_is_started_later(
    world: World, path: Path
) -> None:
    async with delivering(world, path, "-c", _FAILS_ONCE) as (crew, mx):
        for pid in crew.workers():
            os.kill(pid, signal.SIGKILL)
        told = await crew.until("cannot be started yet")
        assert "Resource temporarily unavailable" in str(told["message"])
        await mx.received(1, timeout=PATIENCE)
        mx.resume.set()
        crew.process.terminate()
        async with asyncio.timeout(PATIENCE):
            await crew.process.communicate()
    assert crew.process.returncode == 0


async def test_workers_end_when_their_supervisor_does(world: World, path: Path) -> None:
    configure(world, path, 2)
    async with serving(path) as crew:
        crew.process.kill()
        assert crew.process.stderr is not None
        # the last of them closes it
        async with asyncio.timeout(PATIENCE):
            while await crew.process.stderr.readline():
                pass
    async with serving(path) as crew:
        assert len(crew.workers()) == 2


async def test_mail_of_workers_there_are_no_more_is_delivered(world: World, path: Path) -> None:
    world.domain("d.test", mx=[(10, "mx.d.test")])  # as yet without an address
    configure(world, path, 2)
    async with serving(path) as crew:
        await asyncio.gather(*(crew.send("u@d.test") for _ in range(20)))
        for _ in range(20):
            await crew.until('"deferred"')
    directory = path.parent / "var"
    assert len(list(directory.glob("spool-*.db"))) == 2
    assert len(list(Desk(directory).jobs())) == 20
    mx = await world.mx_host("mx.d.test")
    configure(world, path, 1)
    async with serving(path) as crew:
        assert len(list(directory.glob("spool-*.db"))) == 1
        jobs = [job.id for job in Desk(directory).jobs()]
        assert len(jobs) == 20
        Desk(directory).retry(jobs, 0.0)
        await mx.received(20, timeout=PATIENCE)


async def test_a_port_that_is_taken_is_told(world: World, path: Path) -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0, reuse_port=True)
    port = server.sockets[0].getsockname()[1]
    configure(world, path, 2, listen=f"127.0.0.1:{port}")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "relay", "serve", "-c", str(path)), stderr=subprocess.PIPE
    )
    _, told = await process.communicate()
    server.close()
    await server.wait_closed()
    assert process.returncode == 3
    assert f"cannot listen on 127.0.0.1:{port}" in told.decode()
