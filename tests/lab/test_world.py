"""The world as a whole: domains, addresses, and a relay's configuration for it."""

import asyncio
import contextlib
import socket
import tomllib
from pathlib import Path

import pytest

from relay import config
from relay.lab.world import World, policy_text


def zone(world: World, name: str, rdtype: str) -> list[str]:
    """What the world's DNS has for a name, in zone file notation."""
    import dns.message

    wire = world.dns.reply(dns.message.make_query(name, rdtype).to_wire(), tcp=True)
    assert wire is not None
    answer = dns.message.from_wire(wire).answer
    return [rdata.to_text() for rrset in answer for rdata in rrset]


def test_a_policy_text_is_the_one_of_the_rfc() -> None:
    assert policy_text("enforce", ["mx.d.test", "*.in.d.test"], 60) == (
        "version: STSv1\r\nmode: enforce\r\nmx: mx.d.test\r\nmx: *.in.d.test\r\nmax_age: 60\r\n"
    )


async def test_a_domain_has_mx_records_and_a_policy(world: World) -> None:
    hosts = [(10, "mx1.d.test"), (20, "mx2.d.test")]
    site = world.domain("d.test", mx=hosts, policy="enforce")
    assert site is not None
    assert site.body == policy_text("enforce", ["mx1.d.test", "mx2.d.test"]).encode()
    assert zone(world, "d.test", "MX") == ["10 mx1.d.test.", "20 mx2.d.test."]
    assert zone(world, "_mta-sts.d.test", "TXT") == ['"v=STSv1; id=20260101;"']
    assert zone(world, "mta-sts.d.test", "A") == ["127.0.0.1"]


async def test_a_domain_may_list_other_hosts_or_have_no_policy(world: World) -> None:
    listed = world.domain(
        "d.test", mx=[(10, "mx.d.test")], policy="testing", patterns=["*.e.test"], max_age=5
    )
    assert listed is not None
    assert listed.body == policy_text("testing", ["*.e.test"], 5).encode()
    assert world.domain("e.test", mx=[(10, "mx.e.test")]) is None
    assert zone(world, "_mta-sts.e.test", "TXT") == []


async def test_publishing_again_changes_the_record(world: World) -> None:
    world.policy_host("d.test", "old", id="1")
    world.policy_host("d.test", "new", id="2")
    assert zone(world, "_mta-sts.d.test", "TXT") == ['"v=STSv1; id=2;"']


async def test_a_host_passes_over_an_address_that_is_taken(world: World) -> None:
    with socket.socket() as other:
        # as the hosts do: a connection there that has just ended does not count
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # or some other program has it already
        with contextlib.suppress(OSError):
            other.bind(("127.0.1.1", world.smtp_port))
            other.listen()
        mx = await world.mx_host("mx.d.test")
    assert mx.address != "127.0.1.1"
    assert zone(world, "mx.d.test", "A") == [mx.address]


async def test_a_taken_address_is_an_error_where_it_was_asked_for(world: World) -> None:
    mx = await world.mx_host("mx.d.test")
    with pytest.raises(OSError, match="address already in use"):
        await world.mx_host("mx.d.test", address=mx.address)


async def test_a_host_may_have_two_addresses(world: World) -> None:
    for address in ("127.0.9.1", "127.0.9.2"):
        await world.mx_host("mx.d.test", address=address)
    assert zone(world, "mx.d.test", "A") == ["127.0.9.1", "127.0.9.2"]


async def test_a_host_may_live_on_ipv6(world: World) -> None:
    try:
        mx = await world.mx_host("mx.d.test", address="::1")
    except OSError:
        pytest.skip("no IPv6 on loopback here")
    assert zone(world, "mx.d.test", "AAAA") == ["::1"]
    _, writer = await asyncio.open_connection(mx.address, world.smtp_port)
    writer.close()
    await writer.wait_closed()
    assert await mx.endings.reach(1, 5) == [""]


async def test_nobody_listens_where_it_says_so(world: World) -> None:
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", world.smtp_port)


async def test_worlds_do_not_meet() -> None:
    async with World.start() as one, World.start() as two:
        assert one.smtp_port != two.smtp_port
        mx_one, mx_two = await one.mx_host("mx.d.test"), await two.mx_host("mx.d.test")
        assert mx_one.address == mx_two.address
        assert one.dns.address != two.dns.address


async def test_a_relay_is_configured_for_the_world(world: World, tmp_path: Path) -> None:
    extra = '[tls]\ntesting = "verify"\n[queue]\nretry = ["1s", "2s"]\n[delivery]\nport = 26\n'
    text = world.config(tmp_path, listen="127.0.0.1:2525", extra=extra)
    keys = tomllib.loads(text)
    assert keys["server"]["listen"] == ["127.0.0.1:2525"]
    assert keys["tls"] == {"ca_file": str(world.ca_file), "testing": "verify"}
    assert keys["delivery"]["port"] == 26
    assert keys["queue"] == {"retry": ["1s", "2s"]}
    path = tmp_path / "config.toml"
    path.write_text(text)
    assert config.load(path)  # raises where a key is not one of the relay's


async def test_the_files_of_a_world_may_be_kept(tmp_path: Path) -> None:
    async with World.start(tmp_path / "kept") as world:
        assert world.ca_file.is_relative_to(tmp_path)
    assert world.ca_file.exists()
