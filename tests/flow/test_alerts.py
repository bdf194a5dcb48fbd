"""The operator's programs are told of violations; whatever becomes of them, mail goes its way."""

import asyncio
from pathlib import Path

from relay.lab.world import World
from tests.flow.conftest import Run
from tests.reporting.receiver import receiving


async def test_violations_are_told_and_repeats_are_not(world: World, run: Run) -> None:
    mx = await world.mx_host("mx.d.test")
    for name in ("d.test", "e.test"):
        world.domain(name, mx=[(10, mx.name)], policy="testing", patterns=["other.test"])
    async with receiving() as receiver:
        extra = f"[alert]\nwebhook = 'http://127.0.0.1:{receiver.port}/hook'\n"
        async with run(extra=extra) as relay:
            first = await relay.send("u@d.test")
            (told,) = await receiver.received(1)
            assert told["violation"]["queue_id"] == first
            assert (told["v"], told["kind"], told["test"]) == (1, "violation", False)
            assert (told["hostname"], told["count"]) == ("relay.lab.test", 1)
            assert told["violation"]["reason"] == "mx-mismatch"
            await relay.send("u@d.test")
            await relay.send("u@e.test")
            await receiver.received(2)
        # a restart repeats nothing, and tells what is new
        async with run(extra=extra) as relay:
            await relay.send("u@d.test")
            await relay.events("delivered")
            world.domain("f.test", mx=[(10, mx.name)], policy="testing", patterns=["o.test"])
            await relay.send("u@f.test")
            await receiver.received(3)
    assert [one["violation"]["domain"] for one in receiver.alerts] == ["d.test", "e.test", "f.test"]


async def test_an_alert_that_hangs_holds_up_neither_mail_nor_the_end(
    world: World, run: Run, tmp_path: Path
) -> None:
    mx = await world.mx_host("mx.d.test")
    world.domain("d.test", mx=[(10, mx.name)], policy="testing", patterns=["other.test"])
    async with receiving(status=None) as receiver:
        extra = f"[alert]\nwebhook = 'http://127.0.0.1:{receiver.port}/hook'\n"
        async with run(extra=extra) as relay:
            await relay.send("u@d.test")
            async with asyncio.timeout(20):
                while not receiver.heads:  # noqa: ASYNC110 - it never answers
                    await asyncio.sleep(0.01)
            await relay.send("u@d.test")
            await relay.events("delivered", count=2)


async def test_sighup_takes_on_another_receiver(world: World, run: Run) -> None:
    mx = await world.mx_host("mx.d.test")
    world.domain("d.test", mx=[(10, mx.name)], policy="testing", patterns=["other.test"])
    async with receiving() as receiver, run(extra="[alert]\ncommand = ['false']\n") as relay:
        await relay.reload(f"[alert]\nwebhook = 'http://127.0.0.1:{receiver.port}/'\n")
        await relay.send("u@d.test")
        await receiver.received(1)
