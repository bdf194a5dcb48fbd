"""Looking ahead without mail: judged as a delivery, hosts called once, nobody logs in."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from relay.delivery import scout as scouting
from relay.delivery.credentials import Credentials
from relay.delivery.next_hop import NextHop
from relay.delivery.scout import Scout
from relay.delivery.terms import Rules
from relay.delivery.tls import Floors
from relay.lab.world import World
from relay.outcome import Prospect

from .conftest import Office, found


@pytest.fixture
async def scout(office: Office) -> AsyncIterator[Scout]:
    """A scout of the settings that the test has made before it asks for this."""
    deliverer = office.open()
    scout = deliverer.scout()
    yield scout
    await scout.aclose()
    await deliverer.aclose()


async def look(office: Office, domain: str = "d.test") -> Prospect:
    deliverer = office.open()
    scout = deliverer.scout()
    try:
        return await scout.look(domain)
    finally:
        await scout.aclose()
        await deliverer.aclose()


@pytest.mark.parametrize(
    ("mode", "patterns", "fault", "tls"),
    [
        ("enforce", ["mx.d.test"], None, "verified TLSv1.3"),
        ("enforce", ["mx.d.test"], "expired", None),
        ("enforce", ["mx.d.test"], "no STARTTLS", None),
        ("enforce", ["mx.d.test"], "busy", None),
        ("enforce", ["other.test"], None, None),
        ("testing", ["mx.d.test"], "expired", "TLSv1.3"),
        ("absent", [], "no STARTTLS", "clear"),
    ],
)
async def test_it_is_judged_as_a_delivery(
    world: World, office: Office, mode: str, patterns: list[str], fault: str | None, tls: str | None
) -> None:
    certificate = world.ca.issue(["mx.d.test"], expired=fault == "expired")
    mx = await world.mx_host("mx.d.test", certificate=certificate)
    mx.starttls = fault != "no STARTTLS"
    if fault == "busy":
        mx.greeting = "421 4.3.2 not now"
    world.domain("d.test", mx=[(10, mx.name)])
    office.policies["d.test"] = found(mode, *patterns)
    seen = await look(office)
    assert (seen.domain, seen.host, seen.tls) == ("d.test", mx.name if tls else None, tls)
    assert seen.mx == (mx.name,)
    assert seen.policy == (("none", None) if mode == "absent" else (mode, "1"))
    assert not [line for line in mx.commands if line.startswith(("MAIL", "RCPT", "DATA"))]


async def test_a_domain_without_hosts(world: World, office: Office) -> None:
    assert await look(office) == Prospect("d.test")


async def test_many_domains_make_one_call(world: World, office: Office, scout: Scout) -> None:
    mx = await world.mx_host("mx.d.test", stall_at="EHLO")
    domains = [f"d{number}.test" for number in range(5)]
    for domain in domains:
        world.domain(domain, mx=[(10, mx.name)])
        office.policies[domain] = found("enforce", mx.name)
    looks = asyncio.gather(*map(scout.look, domains))
    await mx.stalled.wait()
    mx.resume.set()
    assert {seen.host for seen in await looks} == {mx.name}
    assert (await scout.look(domains[0])).host == mx.name  # a moment later: it still holds
    assert mx.connections == 1


async def test_dns_is_asked_anew(world: World, office: Office, scout: Scout) -> None:
    mx = await world.mx_host("mx.d.test")
    world.domain("d.test", mx=[(10, "old.d.test")])
    assert (await scout.look("d.test")).host is None
    world.domain("d.test", mx=[(10, mx.name)])
    assert (await scout.look("d.test")).host == mx.name
    assert world.dns.queries.count(("d.test", "MX")) == 2


async def test_with_a_route_nobody_logs_in(world: World, office: Office) -> None:
    mx = await world.mx_host("mx.hub.test", accounts={"joe": "secret"})
    floors = Floors("verify", "verify")
    hop = NextHop(
        mx.name, by_mx=False, floors=floors, identity=Credentials("joe", "wrong"), route="route[0]"
    )
    office.settings = {"routes": {"*": hop}, "tls": Rules()}
    seen = await look(office)
    assert (seen.domain, seen.host, seen.tls) == (mx.name, mx.name, "verified TLSv1.3")
    assert mx.logins == []


async def test_who_hangs_up_leaves_no_call(world: World, office: Office) -> None:
    mx = await world.mx_host("mx.d.test", stall_at="EHLO")
    world.domain("d.test", mx=[(10, mx.name)])
    deliverer = office.open()
    scout = deliverer.scout()
    looking = asyncio.ensure_future(scout.look("d.test"))
    await mx.stalled.wait()
    await scout.aclose()
    with pytest.raises(asyncio.CancelledError):
        await looking
    mx.resume.set()
    assert await mx.endings.reach(1, 5)
    await deliverer.aclose()


async def test_whose_look_takes_too_long_spoils_no_other(
    world: World, office: Office, scout: Scout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow host before one that others have, too."""
    slow = await world.mx_host("slow.d.test", stall_at="EHLO")
    mx = await world.mx_host("mx.e.test")
    world.domain("d.test", mx=[(10, slow.name), (20, mx.name)])
    world.domain("e.test", mx=[(10, mx.name)])
    for domain in ("d.test", "e.test"):
        office.policies[domain] = found("enforce", slow.name, mx.name)
    monkeypatch.setattr(scouting, "_LONGEST", 1.0)
    assert (await scout.look("d.test")).host is None
    monkeypatch.undo()
    assert (await scout.look("e.test")).host == mx.name
    assert mx.connections == 1
    slow.resume.set()
