"""`relay alert test`: an operator tries the way that alerts take."""

import asyncio
from pathlib import Path

from relay.lab.world import World
from tests.cli.process import relay
from tests.reporting.receiver import receiving


async def test_a_sample_goes_to_all_who_are_told(world: World, path: Path) -> None:
    async with receiving() as receiver:
        write(world, path, f"webhook = 'http://127.0.0.1:{receiver.port}/x'\ncommand = ['./tell']")
        tell = path.parent / "tell"
        tell.write_text("#!/bin/sh\ncat > told\n")
        tell.chmod(0o755)
        done = await asyncio.to_thread(relay, "alert", "test", "-c", path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"alert.command ({tell}) has taken it",
        f"alert.webhook (http://127.0.0.1:{receiver.port}) has taken it",
    ]
    (alert,) = receiver.alerts
    assert (alert["test"], alert["hostname"]) == (True, "relay.lab.test")
    assert '"test":true' in (path.parent / "told").read_text()


async def test_what_fails_is_told(world: World, path: Path) -> None:
    url = f"http://127.0.0.1:{world.smtp_port}/secret"
    write(world, path, f"webhook = '{url}'\ncommand = ['false']")
    done = await asyncio.to_thread(relay, "alert", "test", "-c", path)
    assert (done.returncode, done.stdout) == (3, "")
    first, second = done.stderr.splitlines()
    assert first == "relay: alert.command (false) failed with exit status 1"
    assert second.startswith(
        f"relay: alert.webhook (http://127.0.0.1:{world.smtp_port}) cannot be reached: "
    )


async def test_with_nobody_to_tell_it_is_a_fault_of_the_configuration(path: Path) -> None:
    done = await asyncio.to_thread(relay, "alert", "test", "-c", path)
    assert (done.returncode, done.stderr) == (
        2,
        "relay: alert: neither alert.command nor alert.webhook is set\n",
    )


def write(world: World, path: Path, keys: str) -> None:
    path.write_text(world.config(path.parent / "var", extra=f"[alert]\n{keys}\n"), "utf-8")
