"""An operator finds out why mail sticks; and what is explained is what happens."""

import asyncio
import json
from pathlib import Path

from relay.lab.demo import furnish
from relay.lab.world import World
from tests.cli.process import relay
from tests.flow.conftest import Run


async def explain(tmp_path: Path, address: str) -> tuple[str, list[str]]:
    """What would become of mail, and the lines for people, told beside a running relay."""
    words = ("explain", address, "--probe", "-c", tmp_path / "config.toml")
    shown = await asyncio.to_thread(relay, *words, "--json")
    lines = await asyncio.to_thread(relay, *words)
    return json.loads(shown.stdout)["outcome"]["status"], lines.stdout.splitlines()


async def test_from_mail_that_sticks_to_mail_that_goes(
    world: World, run: Run, tmp_path: Path
) -> None:
    expired = world.ca.issue(["mx.d.test"], expired=True)
    mx = await world.mx_host("mx.d.test", certificate=expired)
    world.domain("d.test", mx=[(10, mx.name)], policy="enforce")
    async with run(extra='[queue]\nretry = ["1h"]\n') as server:
        await server.send("u@d.test")
        await server.events("deferred")
        status, lines = await explain(tmp_path, "u@d.test")
        assert status == "deferred"
        assert "the certificate of mx.d.test has expired" in lines[0]
        assert any(line.startswith("  queued   1 job, ") for line in lines)
        assert "the certificate of mx.d.test has expired" in lines[-1]
        mx.certificate = world.ca.issue(["mx.d.test"])
        status, lines = await explain(tmp_path, "u@d.test")
        assert status == "delivered"
        assert any("1 policy; the next try is in" in line for line in lines)
        server.desk.retry(None, 0.0)
        await server.events("delivered")
        assert "  queued   nothing" in (await explain(tmp_path, "u@d.test"))[1]
    assert len(mx.messages) == 1


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
