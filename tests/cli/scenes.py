"""Domains as `relay explain` meets them, and the command itself."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Unpack

from relay.lab.mx_host import Behaviour, MxHost
from relay.lab.world import Mode, World
from tests.cli.process import Run, relay


async def explain(path: Path, *words: str | bytes) -> Run:
    """`relay explain` with these words, while the world answers."""
    return await asyncio.to_thread(relay, "explain", *words, "-c", path)


async def told(path: Path, *words: str | bytes) -> tuple[int, dict[str, Any]]:
    """The exit status and the object of `relay explain --json`."""
    run = await explain(path, "--json", *words)
    assert run.stderr == ""
    return run.returncode, json.loads(run.stdout)


def set_up(world: World, policy: Mode | None = "enforce", *patterns: str) -> None:
    world.domain("d.test", mx=[(10, "mx.d.test")], policy=policy, patterns=patterns or None)


async def host(world: World, how: str = "", **behaviour: Unpack[Behaviour]) -> MxHost:
    """mx.d.test with a certificate that is good, "expired", "self-signed" or for "another" name."""
    name = "mx.d.test"
    names = ["mx.e.test"] if how == "another" else [name]
    shown = world.ca.issue(names, expired=how == "expired", self_signed=how == "self-signed")
    return await world.mx_host(name, certificate=shown, **behaviour)


async def good(world: World) -> None:
    await host(world)
    set_up(world)


async def unlisted(world: World) -> None:
    await host(world)
    set_up(world, "enforce", "mx.e.test")


async def expired(world: World) -> None:
    await host(world, "expired")
    set_up(world)


async def no_tls(world: World) -> None:
    await host(world, starttls=False)
    set_up(world)


async def testing_unlisted(world: World) -> None:
    await host(world, "self-signed")
    set_up(world, "testing", "mx.e.test")


async def testing_no_tls(world: World) -> None:
    await host(world, starttls=False)
    set_up(world, "testing")


async def no_policy(world: World) -> None:
    await host(world, "another")
    set_up(world, None)


async def clear(world: World) -> None:
    await host(world, starttls=False)
    set_up(world, None)


async def second(world: World) -> None:
    await host(world, "expired")
    await world.mx_host("mx2.d.test")
    world.domain("d.test", mx=[(10, "mx.d.test"), (20, "mx2.d.test")], policy="enforce")


async def dead(world: World) -> None:
    world.dns.add("mx.d.test", "A", "127.0.0.1")
    set_up(world)


async def no_address(world: World) -> None:
    set_up(world)


async def busy(world: World) -> None:
    await host(world, greeting="421 4.3.2 come again")
    set_up(world)


async def hostile(world: World) -> None:
    await host(world, greeting="554 5.7.1 go away \x1b[31m")
    set_up(world)


async def null_mx(world: World) -> None:
    world.dns.add("d.test", "MX", "0 .")


async def no_domain(world: World) -> None:
    del world


async def servfail(world: World) -> None:
    world.dns.fail("d.test", "MX", "SERVFAIL")


Scene = Callable[[World], Awaitable[None]]
