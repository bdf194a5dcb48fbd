"""Limits for a domain and for an MX host, kept by the whole relay."""

import asyncio
from datetime import datetime

from relay.lab.mx_host import MxHost
from relay.lab.world import World
from tests.flow.conftest import Run, RunningRelay


async def stalled(relay: RunningRelay, mx: MxHost, connections: int, *domains: str) -> None:
    """Send six messages to each while the host stalls: only so many connections are made."""
    for _ in range(6):
        for domain in domains:
            await relay.send(f"u@{domain}")
    await relay.events("accepted", count=6 * len(domains))
    await asyncio.wait_for(mx.stalled.wait(), 20)
    mx.resume.set()
    await mx.received(6 * len(domains), timeout=20)
    assert mx.connections == connections


async def test_snd_37_a_host_of_many_domains_has_its_limit(world: World, run: Run) -> None:
    mx = await world.mx_host("mx.p.test", stall_at="MAIL")
    for domain in ("a.test", "b.test", "c.test"):
        world.domain(domain, mx=[(10, mx.name)])
    async with run('[[limit]]\nmx = "*.p.test"\nconnections = 2\n') as relay:
        await stalled(relay, mx, 2, "a.test", "b.test", "c.test")


async def test_snd_37_a_domain_has_its_limit(world: World, run: Run) -> None:
    mx = await world.mx_host("mx.p.test", stall_at="MAIL")
    world.domain("a.test", mx=[(10, mx.name)])
    async with run('[[limit]]\ndomain = "a.test"\nconnections = 3\n') as relay:
        await stalled(relay, mx, 3, "a.test")


async def test_rates_space_messages(world: World, run: Run) -> None:
    mx = await world.mx_host("mx.p.test")
    for domain in ("a.test", "b.test"):
        world.domain(domain, mx=[(10, mx.name)])
    limits = (
        '[[limit]]\ndomain = "a.test"\nrate = "4/s"\n[[limit]]\nmx = "mx.p.test"\nrate = "8/s"\n'
    )
    async with run(limits) as relay:
        for _ in range(4):
            await relay.send("u@a.test", "u@b.test")
        events = await relay.events("delivered", count=8)
    times = sorted(datetime.fromisoformat(one["time"]).timestamp() for one in events)
    # eight at a distance of an eighth of a second; never sooner, whatever the machine does
    assert times[-1] - times[0] >= 7 / 8 - 0.1
