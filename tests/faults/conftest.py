"""A relay in a process of its own that may be killed, and clients that press mail on it."""

import asyncio
import contextlib
import json
import smtplib
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest

from relay.lab.mx_host import MxHost
from relay.lab.world import World

PATIENCE = 60.0
QUICK = '[queue]\nretry = ["1s"]\n[storage]\nreserve = 0\n'


@pytest.fixture
def path(world: World, tmp_path: Path) -> Path:
    """The configuration of a relay that tries again after a second."""
    path = tmp_path / "config.toml"
    path.write_text(world.config(tmp_path / "var", extra=QUICK), "utf-8")
    return path


@pytest.fixture
async def mx(world: World) -> MxHost:
    """The host of d.test."""
    mx = await world.mx_host("mx.d.test")
    world.domain("d.test", mx=[(10, mx.name)])
    return mx


@dataclass
class Child:
    """A serving relay: its process id, its port and what it has logged."""

    process: asyncio.subprocess.Process
    port: int = 0
    log: list[str] = field(default_factory=list)

    @property
    def pid(self) -> int:
        return self.process.pid

    async def read(self, ready: asyncio.Event) -> None:
        """Read the log to its end, so that the pipe never fills."""
        assert self.process.stderr is not None
        while line := await self.process.stderr.readline():
            self.log.append(line.decode())
            if b"listening on " in line:
                self.port = int(json.loads(line)["message"].rpartition(":")[2])
                ready.set()
        ready.set()


@asynccontextmanager
async def serving(path: Path) -> AsyncIterator[Child]:
    """A relay in a process of its own, killed at the end of the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "relay", "serve", "-c", str(path), stderr=asyncio.subprocess.PIPE
    )
    child, ready = Child(process), asyncio.Event()
    reading = asyncio.ensure_future(child.read(ready))
    try:
        await asyncio.wait_for(ready.wait(), PATIENCE)
        assert child.port, "".join(child.log)
        yield child
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        await reading


def send(port: int, name: str, size: int = 500) -> int:
    """Send one message called `name`; the code it is answered."""
    with smtplib.SMTP("127.0.0.1", port, timeout=PATIENCE) as client:
        return _send(client, name, size)


def send_until_cut(port: int, client_name: str, accepted: set[str]) -> None:
    """Send one after the other over one connection until it breaks; note what was accepted."""
    try:
        with smtplib.SMTP("127.0.0.1", port, timeout=PATIENCE) as client:
            for number in count():
                name = f"{client_name}-{number}"
                if _send(client, name, 500) == 250:
                    accepted.add(name)
    except (OSError, smtplib.SMTPException):
        return


def _send(client: smtplib.SMTP, name: str, size: int) -> int:
    client.ehlo_or_helo_if_needed()
    client.mail("me@a.test")
    client.rcpt("u@d.test")
    code, _ = client.data(f"Subject: {name}\r\n\r\n".encode() + b"x" * size + b"\r\n")
    return code


def arrived(mx: MxHost) -> list[str]:
    """The names of what a host has received, doubles included."""
    found = []
    for message in mx.messages:
        _, _, rest = message.content.partition(b"Subject: ")
        found.append(rest.partition(b"\r\n")[0].decode())
    return found


async def all_arrived(mx: MxHost, names: set[str]) -> None:
    """Wait until the host has received all of them. Raises TimeoutError."""
    async with asyncio.timeout(PATIENCE):
        while not names <= set(arrived(mx)):
            await mx.received(len(mx.messages) + 1, timeout=PATIENCE)
