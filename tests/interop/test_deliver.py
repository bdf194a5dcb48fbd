"""Mail is delivered to other people's servers over verified TLS and arrives octet by octet."""

import re

import pytest

from relay.lab.mx_host import MxHost
from relay.lab.world import World
from tests.flow.conftest import Run, violations
from tests.interop.corpus import CORPUS, after_trace, top_trace
from tests.interop.peer import ADDRESS, NextHop, Place, Server, running
from tests.interop.servers import SERVERS, passed_on

pytestmark = [
    pytest.mark.interop,
    pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.name),
]

PATIENCE = 60.0
# how each server says in its Received field that the message came over TLS
TLS = re.compile(rb"\(using TLSv1\.3 |\(TLS1\.3\) |\(TLSv1\.3:")


async def settle_in(
    world: World, server: Server, *, self_signed: bool = False
) -> tuple[Place, MxHost]:
    """Publish the server's domain, in enforce mode, and give it a host to hand its mail on to."""
    name = f"mx.{server.name}.test"
    sink = await world.mx_host("sink.test")
    world.dns.add(name, "A", ADDRESS)
    world.domain(f"{server.name}.test", mx=[(10, name)], policy="enforce")
    certificate = world.ca.issue([name], self_signed=self_signed)
    onward = NextHop(sink.name, sink.address, world.smtp_port)
    return Place(name, ADDRESS, world.smtp_port, onward, certificate, world.ca_file), sink


async def test_everything_arrives_as_it_was_sent(world: World, run: Run, server: Server) -> None:
    """SRV-26, SND-28, SND-29, EXT-10: it comes out of the server as it went into the relay."""
    place, sink = await settle_in(world, server)
    domain = f"{server.name}.test"
    sent = {to: (mail.sender, passed_on(server, mail)) for mail in CORPUS for to in mail.to(domain)}
    async with running(server, place), run() as relay:
        for mail in CORPUS:
            await relay.send(*mail.to(domain), content=mail.content, sender=mail.sender)
        events = await relay.events("delivered", "deferred", "bounced", count=len(sent))
        assert {(event["event"], event["host"], event.get("tls")) for event in events} == {
            ("delivered", place.host, "verified TLSv1.3")
        }
        messages = await sink.received(len(CORPUS), PATIENCE)
    assert {
        to: (message.mail_from, after_trace(message.content, 2))
        for message in messages
        for to in message.rcpt_tos
    } == sent
    assert all(TLS.search(top_trace(message.content)) for message in messages)
    assert violations(relay.settings) == []


async def test_a_self_signed_certificate_gets_nothing(
    world: World, run: Run, server: Server
) -> None:
    """STS-83, STS-87: enforce holds the mail and records why."""
    place, sink = await settle_in(world, server, self_signed=True)
    async with running(server, place), run() as relay:
        await relay.send(f"u@{server.name}.test")
        (event,) = await relay.events("delivered", "deferred", "bounced")
    assert (event["event"], event["reason"]) == ("deferred", "policy")
    (violation,) = violations(relay.settings)
    told = {key: violation[key] for key in ("mode", "mx", "reason", "action")}
    assert told == {
        "mode": "enforce",
        "mx": place.host,
        "reason": "certificate-not-trusted",
        "action": "refused",
    }
    assert sink.messages == []
