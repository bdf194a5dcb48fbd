"""What a message costs on its way through, stage by stage: taken in, kept, ended, handed over.

Small by default, and then only the counts are of interest; `BENCH=full pytest -s tests/bench`
prints the figures of docs/performance.md. CPU is this process's, so that of the client or the MX
host, which the tests play themselves, is in it.
"""

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from relay.db.spool import Spool
from relay.envelope import Envelope, Message
from relay.lab.world import World
from relay.outcome import Status
from relay.queue.job import Settlement
from tests.delivery.conftest import Office, found, mail
from tests.inbound.dialogue import FrontDoor, front_door

FULL = os.environ.get("BENCH") == "full"
MESSAGES = 4000 if FULL else 100
AT_ONCE = 20
BODY = b"Subject: x\r\n\r\n" + b"z" * 78 * 26 + b"\r\n"


@contextmanager
def measured(what: str, count: int = MESSAGES) -> Iterator[None]:
    begun = time.process_time()
    yield
    print(f"{what}: {(time.process_time() - begun) / count * 1e6:.0f} us of CPU")


async def send(door: FrontDoor, count: int) -> int:
    """Send messages one after the other on one connection; how many were taken."""
    client = await door.greeted()
    await client.say("EHLO client.test")
    taken = 0
    for _ in range(count):
        await client.say("MAIL FROM:<me@a.test>", "RCPT TO:<u@d.test>", "DATA")
        await client.send(BODY + b".\r\n")
        taken += (await client.reply()).startswith("250 2.0.0 queued as ")
    await client.say("QUIT")
    client.writer.close()
    return taken


async def test_accept() -> None:
    async with front_door() as door:
        with measured("accept, a connection kept"):
            each = MESSAGES // AT_ONCE
            taken = await asyncio.gather(*(send(door, each) for _ in range(AT_ONCE)))
        assert sum(taken) == len(door.shelf.messages) == MESSAGES
        with measured("accept, a connection each", MESSAGES // 4):
            taken = [await send(door, 1) for _ in range(MESSAGES // 4)]
        assert sum(taken) == MESSAGES // 4


async def test_commit_and_settle(tmp_path: Path) -> None:
    envelope = Envelope("me@a.test", ("u@d.test",))
    spool = Spool(tmp_path / "spool-0.db")
    claims = []
    with measured("commit"):
        for start in range(0, MESSAGES, AT_ONCE):
            numbers = range(start, start + AT_ONCE)
            some = [Message(f"Q{number}", envelope, BODY, 100.0) for number in numbers]
            claims += await asyncio.gather(*(spool.put(one, claimed=True) for one in some))
    assert [len(one) for one in claims] == [1] * MESSAGES
    with measured("settle"):
        for start in range(0, MESSAGES, AT_ONCE):
            done = [Settlement(one.job, None) for (one,) in claims[start : start + AT_ONCE]]
            await asyncio.gather(*(spool.settle(one, claimed=True) for one in done))
    await spool.release_all()
    assert await spool.claim(1e9, MESSAGES) == []
    spool.close()


async def test_deliver(world: World) -> None:
    mx = await world.mx_host("mx.d.test")
    world.domain("d.test", mx=[(10, "mx.d.test")])
    office = Office(world)
    office.policies["d.test"] = found("enforce", "mx.d.test")
    deliverer = office.open()
    envelope = mail("u@d.test")
    statuses = []
    with measured("deliver, on kept connections with TLS"):
        for _ in range(MESSAGES // AT_ONCE):
            some = (deliverer.deliver("d.test", envelope, BODY) for _ in range(AT_ONCE))
            results = await asyncio.gather(*some)
            statuses += [one.status for result in results for one in result.outcomes]
    await deliverer.aclose()
    assert statuses == [Status.DELIVERED] * MESSAGES
    assert len(mx.messages) == MESSAGES
    assert mx.connections <= AT_ONCE
