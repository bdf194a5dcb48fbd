"""Mail of other people's servers and clients comes in over verified TLS and goes on as it was."""

import asyncio
import smtplib
from collections.abc import Sequence

import pytest

from relay.lab.mx_host import MxHost
from relay.lab.world import World
from tests.flow.conftest import Run, RunningRelay
from tests.interop.clients import CLIENTS, Client
from tests.interop.corpus import CORPUS, Mail, after_trace, top_trace
from tests.interop.peer import ADDRESS, NextHop, Place, Server, running
from tests.interop.servers import SERVERS, passed_on

pytestmark = pytest.mark.interop

NAME = "relay.lab.test"
DOMAIN = "d.test"
PATIENCE = 60.0


async def destination(world: World) -> MxHost:
    """Where all mail of these tests goes in the end."""
    mx = await world.mx_host(f"mx.{DOMAIN}")
    world.domain(DOMAIN, mx=[(10, mx.name)], policy="enforce")
    return mx


def with_tls(world: World) -> str:
    """The configuration that has the relay show a certificate for its name."""
    return f'[server]\ntls_cert = "{world.ca.issue([NAME]).path}"'


def next_hop(relay: RunningRelay) -> NextHop:
    return NextHop(NAME, *relay.address, verified=True)


async def arrived(mx: MxHost, count: int, hops: int) -> dict[str, tuple[str, bytes]]:
    """What came, by recipient; each with our own trace line, which tells of TLS, on top."""
    messages = await mx.received(count, PATIENCE)
    assert {b"with ESMTPS id" in top_trace(message.content) for message in messages} == {True}
    return {
        to: (message.mail_from, after_trace(message.content, hops))
        for message in messages
        for to in message.rcpt_tos
    }


def submit(address: tuple[str, int], mails: Sequence[Mail]) -> None:
    with smtplib.SMTP(*address) as client:
        for mail in mails:
            client.sendmail(mail.sender, mail.to(DOMAIN), mail.content)


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.name)
async def test_mail_of_a_server(world: World, run: Run, server: Server) -> None:
    """SRV-16, SRV-26, SRV-32: it comes out of the relay as it went into the server."""
    mx = await destination(world)
    host = f"mx.{server.name}.test"
    certificate = world.ca.issue([host])
    async with run(with_tls(world)) as relay:
        place = Place(
            host, ADDRESS, world.smtp_port, next_hop(relay), certificate, world.ca_file
        )  # fmt: skip
        async with running(server, place):
            await asyncio.to_thread(submit, (place.address, place.port), CORPUS)
            received = await arrived(mx, len(CORPUS), hops=2)
    assert received == {
        to: (mail.sender, passed_on(server, mail)) for mail in CORPUS for to in mail.to(DOMAIN)
    }


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
async def test_mail_of_a_client(world: World, run: Run, client: Client) -> None:
    """SRV-16, SRV-26, SRV-32: it comes out of the relay as it went into the client."""
    mx = await destination(world)
    mails = [mail for mail in CORPUS if mail.name not in client.mends]
    async with run(with_tls(world)) as relay:
        for mail in mails:
            await client.send(mail, DOMAIN, next_hop(relay), world.ca_file)
        received = await arrived(mx, len(mails), hops=1)
    assert received == {to: (mail.sender, mail.arrives) for mail in mails for to in mail.to(DOMAIN)}
