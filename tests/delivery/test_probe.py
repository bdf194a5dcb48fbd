"""Hosts asked what they would do with mail: politely, all at a time, and not for ever."""

import asyncio
from collections.abc import Sequence

import pytest

from relay.delivery.caller import Caller
from relay.delivery.contexts import TlsContexts
from relay.delivery.hop import Exchange, HopReport, Host, Unprotected, Unreachable
from relay.delivery.probe import PATIENCE, Prober
from relay.delivery.rehearsal import Place
from relay.delivery.terms import Terms
from relay.delivery.tls import Ladder, Level
from relay.delivery.waiver import Waiver
from relay.lab.mx_host import MxHost
from relay.lab.world import World

from .conftest import NOW, mail

STRICT = (Level.VERIFIED,)
LENIENT = (Level.VERIFIED, Level.ENCRYPTED)


async def probe(
    world: World,
    *hosts: Host,
    ladder: Ladder = STRICT,
    longest: float = 60.0,
    waivers: Sequence[Waiver] = (),
) -> dict[Place, HopReport]:
    caller = Caller("relay.lab.test", world.smtp_port, TlsContexts(world.ca_file), PATIENCE)
    mode = "testing" if ladder == LENIENT else "enforce"
    prober = Prober(caller, by_route=False, longest=longest)
    terms = Terms("d.test", mode, None, ladder, None, waivers)
    return await prober.probe(terms, hosts, mail(), NOW)


def of(mx: MxHost, *, listed: bool = True) -> Host:
    return Host(mx.name, (mx.address,), listed=listed)


async def test_each_host_is_called_once_without_mail(world: World) -> None:
    hosts = [await world.mx_host(f"mx{number}.d.test") for number in range(12)]
    reports = await probe(world, *map(of, hosts))
    for mx in hosts:
        report = reports[mx.name, mx.address, Level.VERIFIED]
        assert isinstance(report, Exchange)
        assert report.replies["u@d.test"].code == 250
        assert mx.connections == 1
        assert not [line for line in mx.commands if line.startswith(("MAIL", "RCPT", "DATA"))]
        assert await mx.endings.reach(1, 5) == ["QUIT"]


async def test_the_levels_are_walked_as_a_delivery_walks_them(world: World) -> None:
    bad = world.ca.issue(["mx.d.test"], self_signed=True)
    mx = await world.mx_host("mx.d.test", certificate=bad)
    reports = await probe(world, of(mx), ladder=LENIENT)
    kinds = {level: type(report) for (_, _, level), report in reports.items()}
    assert kinds == {Level.VERIFIED: Unprotected, Level.ENCRYPTED: Exchange}


@pytest.mark.parametrize(("until", "count"), [(NOW + 3600, 1), (NOW, 0)])
async def test_whom_a_waiver_lets_pass_is_called_until_its_end(
    world: World, until: float, count: int
) -> None:
    mx = await world.mx_host("mx.d.test")
    waiver = Waiver("d.test", "mx-mismatch", until, "they know", "waiver[0]")
    reports = await probe(world, of(mx, listed=False), waivers=[waiver])
    assert (len(reports), mx.connections) == (count, count)


async def test_whom_the_policy_rules_out_is_not_called(world: World) -> None:
    mx = await world.mx_host("mx.d.test")
    assert await probe(world, of(mx, listed=False)) == {}
    assert mx.connections == 0


async def test_hosts_are_called_at_the_same_time(world: World) -> None:
    first = await world.mx_host("mx1.d.test", stall_at="EHLO")
    second = await world.mx_host("mx2.d.test", stall_at="EHLO")
    task = asyncio.ensure_future(probe(world, of(first), of(second)))
    await first.stalled.wait()
    await second.stalled.wait()
    first.resume.set()
    second.resume.set()
    assert len(await task) == 2


async def test_one_that_hangs_is_given_up(world: World) -> None:
    slow = await world.mx_host("mx1.d.test", stall_at="EHLO")
    good = await world.mx_host("mx2.d.test")
    reports = await probe(world, of(slow), of(good), longest=0.5)
    report = reports[slow.name, slow.address, Level.VERIFIED]
    assert isinstance(report, Unreachable)
    assert "took longer than" in report.why
    assert isinstance(reports[good.name, good.address, Level.VERIFIED], Exchange)
