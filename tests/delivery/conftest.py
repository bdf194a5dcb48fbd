"""What the tests of delivery/ share: a deliverer in the lab's world, and servers with a script."""

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import fields
from ipaddress import ip_network
from typing import Any

import pytest

from relay.address import Domain
from relay.delivery.caller import Timeouts
from relay.delivery.deliverer import Deliverer, DeliverySettings
from relay.delivery.own import OwnAddresses
from relay.envelope import Envelope
from relay.evidence import Finding, PolicySnapshot
from relay.lab.world import World
from relay.mta_sts.found import Found
from relay.mta_sts.policy import Policy, PolicyResult
from relay.resolver import DnsResolver

NOW = 1_800_000_000.0
BODY = b"Subject: x\r\n\r\nhello\r\n"
LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
QUICK = Timeouts(**dict.fromkeys((step.name for step in fields(Timeouts)), 0.3))


class SetClock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> float:
        return self.time


def found(mode: str, *patterns: str, findings: tuple[Finding, ...] = ()) -> Found:
    """What a policy look-up gives for a domain with a policy; mode "absent" is none at all."""
    if mode == "absent":
        return Found(PolicyResult(Policy(), "not_found"), findings=findings)
    policy = Policy(id="1", version="STSv1", mode=mode, mx=patterns, max_age=604800)
    snapshot = PolicySnapshot("1", mode, patterns, 604800, NOW + 604800)
    return Found(PolicyResult(policy, "found"), snapshot, findings)


class Office:
    """A deliverer in a world, with the policies that a test sets by domain."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.clock = SetClock()
        self.policies: dict[str, Found] = {}
        self.asked: list[str] = []
        self.settings: dict[str, Any] = {}

    async def find_policy(self, domain: Domain, *, since: float | None = None) -> Found:
        self.asked.append(domain)
        return self.policies.get(domain, found("absent"))

    def open(self) -> Deliverer:
        own = OwnAddresses("relay.lab.test", (("127.0.0.1", 1),))
        given: dict[str, Any] = {
            "port": self.world.smtp_port,
            "allow_internal": LOOPBACK,
            "ca_file": self.world.ca_file,
        }
        settings = DeliverySettings("relay.lab.test", own, **(given | self.settings))
        resolver = DnsResolver([self.world.dns.address], 2.0, self.clock)
        dice = random.Random(7)  # noqa: S311 - order of hosts
        return Deliverer(settings, resolver, self.find_policy, self.clock, dice)


@pytest.fixture
def office(world: World) -> Office:
    """A deliverer about to be opened."""
    return Office(world)


def mail(*recipients: str, sender: str | None = "me@a.test", **needs: Any) -> Envelope:
    """An envelope."""
    return Envelope(sender, recipients or ("u@d.test",), **needs)


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(talk: Talk) -> AsyncIterator[int]:
    """A server on 127.0.0.1 that does with each client what the test says; its port."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        tasks.add(task)
        try:
            await talk(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)
        await server.wait_closed()


def script(*replies: bytes) -> Talk:
    """A talk that gives these replies, the first as greeting, each other to one line; then ends."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number, reply in enumerate(replies):
            if number and not await reader.readline():
                return
            writer.write(reply + b"\r\n")
            await writer.drain()

    return talk


@contextmanager
def silence(address: str, port: int) -> Iterator[socket.socket]:
    """An address that answers no attempt to connect: its queue is full, so the kernel drops them.

    Gives the socket; who accepts the connection that fills its queue makes room for another.
    """
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind((address, port))
        listener.listen(0)
        caller = stack.enter_context(socket.socket())
        caller.connect((address, port))
        yield listener
