"""An operator finds out why mail sticks; and what is explained is what happens."""

import asyncio
import json
from pathlib import Path

from relay.lab.demo import furnish
from relay.lab.world import World
from tests.cli.process import relay
from tests.flow.conftest import Run

SLOW = '[queue]\nretry = ["1h"]\n'
WAIVER = """
[[waiver]]
domain = "d.test"
allow = "bad-certificate"
until = 2999-01-31
reason = "they renew it"
"""


async def explain(tmp_path: Path, address: str) -> tuple[str, list[str]]:
    """What would become of mail, and the lines for people, told beside a running relay."""
    words = ("explain", address, "--probe", "-c", tmp_path / "config.toml")
    shown = await asyncio.to_thread(relay, *words, "--json")
    lines = await asyncio.to_thread(relay, *words)
    return json.loads(shown.stdout)["outcome"]["status"], lines.stdout.splitlines()


async def test_from_mail_that_sticks_to_mail_that_goes(
    world: World, run: Run, tmp_path: Path
) -> None:
    """The cause is found, a waiver lets the mail go, is taken back; the partner repairs it."""
    expired = world.ca.issue(["mx.d.test"], expired=True)
    mx = await world.mx_host("mx.d.test", certificate=expired)
    world.domain("d.test", mx=[(10, mx.name)], policy="enforce")
    async with run(extra=SLOW) as server:
        await server.send("u@d.test")
        await server.events("deferred")
        status, lines = await explain(tmp_path, "u@d.test")
        assert (status, "the certificate of mx.d.test has expired" in lines[0]) == (
            "deferred",
            True,
        )
        assert "1 policy; the next try is in" in lines[-2]
        assert "the certificate of mx.d.test has expired" in lines[-1]

        await server.reload(SLOW + WAIVER)
        status, lines = await explain(tmp_path, "u@d.test")
        assert status == "delivered"
        assert "; 1 violation would be recorded" in lines[0]
        assert any("waiver[0] (bad-certificate, until" in line for line in lines)
        server.desk.retry(None, 0.0)
        await server.events("delivered")

        await server.reload(SLOW)
        await server.send("u@d.test")
        await server.events("deferred", count=2)
        assert (await explain(tmp_path, "u@d.test"))[0] == "deferred"

        mx.certificate = world.ca.issue(["mx.d.test"])
        status, lines = await explain(tmp_path, "u@d.test")
        assert (status, lines[0]) == (
            "delivered",
            "u@d.test would be delivered to mx.d.test over verified TLSv1.3",
        )
        server.desk.retry(None, 0.0)
        await server.events("delivered", count=2)
        assert "  queued   nothing" in (await explain(tmp_path, "u@d.test"))[1]
    assert len(mx.messages) == 2


async def test_what_is_explained_is_what_happens(world: World, run: Run, tmp_path: Path) -> None:
    scenes = await furnish(world)
    async with run() as server:
        foretold = {
            scene.domain: (await explain(tmp_path, f"u@{scene.domain}"))[0] for scene in scenes
        }
        for scene in scenes:
            await server.send(f"u@{scene.domain}")
        events = await server.events("delivered", "deferred", count=len(scenes))
    assert foretold == {event["to"].partition("@")[2]: event["event"] for event in events}
