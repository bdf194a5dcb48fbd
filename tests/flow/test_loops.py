"""Mail that would come back to the relay itself ends, or goes to a better host (RFC 5321 §5.1)."""

import socket

import pytest

from relay.lab.world import World
from tests.flow.conftest import Run

OWN = "127.0.9.9"


def listening_at(host: str, port: int) -> str:
    return f'[server]\nlisten = ["{host}:{port}"]\n'


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("0.0.0.0", 0))  # noqa: S104 - the wildcard is what the test is about
        return int(sock.getsockname()[1])


@pytest.mark.parametrize(
    "records",
    [
        pytest.param([("d.test", "MX", "10 x.test."), ("x.test", "A", OWN)], id="address"),
        pytest.param([("d.test", "A", OWN)], id="implicit MX"),
        pytest.param([("d.test", "MX", "10 relay.lab.test.")], id="name"),
    ],
)
async def test_snd_06_a_domain_that_leads_back_bounces(
    world: World, run: Run, records: list[tuple[str, str, str]]
) -> None:
    back = await world.mx_host("mx.a.test")
    world.domain("a.test", mx=[(10, back.name)])
    for record in records:
        world.dns.add(*record)
    async with run(extra=listening_at(OWN, world.smtp_port)) as relay:
        await relay.send("u@d.test")
        (event,) = await relay.events("bounced", "deferred")
        (notice,) = await back.received(1)
        assert len(await relay.events("accepted")) == 1
    assert (event["event"], event["reason"]) == ("bounced", "dns")
    assert event["reply"].startswith("554 5.4.6 mail loops back")
    assert b"Status: 5.4.6" in notice.content


@pytest.mark.parametrize("place", ["127.0.0.1", "127.0.3.4"])
async def test_snd_06_a_wildcard_listener_is_every_address_of_the_machine(
    world: World, run: Run, place: str
) -> None:
    port = free_port()
    world.domain("d.test", mx=[(10, "x.test")])
    world.dns.add("x.test", "A", place)
    extra = f"{listening_at('0.0.0.0', port)}[delivery]\nport = {port}\n"  # noqa: S104
    async with run(extra=extra) as relay:
        await relay.send("u@d.test", sender="")
        (event,) = await relay.events("bounced", "deferred")
        assert len(await relay.events("accepted")) == 1
    assert event["event"] == "bounced"
    assert event["reply"].startswith("554 5.4.6 mail loops back")


async def test_snd_06_only_better_hosts_than_oneself_are_tried(world: World, run: Run) -> None:
    better = await world.mx_host("mx.d.test", greeting="421 4.3.2 closed")
    equal, worse = await world.mx_host("eq.d.test"), await world.mx_host("bk.d.test")
    hosts = [(10, better.name), (20, "x.test"), (20, equal.name), (30, worse.name)]
    world.domain("d.test", mx=hosts)
    world.dns.add("x.test", "A", OWN)
    extra = f'{listening_at(OWN, world.smtp_port)}[queue]\nretry = ["1s"]\n'
    async with run(extra=extra) as relay:
        await relay.send("u@d.test")
        (event,) = await relay.events("bounced", "deferred")
        assert (event["event"], event["host"]) == ("deferred", better.name)
        better.greeting = None
        await relay.events("delivered")
        assert len(await relay.events("accepted")) == 1
    assert len(better.messages) == 1
    assert (equal.connections, worse.connections) == (0, 0)
