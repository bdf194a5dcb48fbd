"""Which TLS sessions are resumed, and that a resumed one proves no less than a full one."""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import uvloop

from relay.clock import SystemClock
from relay.delivery.caller import Caller, Timeouts
from relay.delivery.contexts import TlsContexts
from relay.delivery.credentials import Credentials
from relay.delivery.hop import Exchange, HopReport, Unprotected
from relay.delivery.pool import SessionKey
from relay.delivery.session import Session
from relay.delivery.tickets import Tickets
from relay.delivery.tls import Level
from relay.delivery.transaction import content_of
from relay.evidence import Failure
from relay.lab.mx_host import MxHost
from relay.lab.world import World

from .conftest import BODY, Office, found, mail

NOW = SystemClock().now()  # certificates are valid around it
HOUR = 3600.0
ANY_TLS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


class Desk:
    """Calls one MX host, each time on a new connection, with the tickets of those before."""

    def __init__(self, world: World, mx: MxHost) -> None:
        self.mx = mx
        self.time = NOW
        self.contexts = TlsContexts(world.ca_file)
        self.tickets = Tickets(lambda: self.time)
        self.key = SessionKey(mx.name, mx.address, world.smtp_port, Level.VERIFIED, "enforce")

    async def send(self, key: SessionKey | None = None) -> HopReport:
        key = key or self.key
        caller = Caller("relay.lab.test", key.port, self.contexts, Timeouts())
        resumption = self.tickets.at(key)
        session = Session(self.mx.name, key.address, key.level, caller, resumption)
        report = await session.deliver(mail(), ["u@d.test"], content_of(BODY))
        await session.aclose()
        return report

    async def send_at(self, *times: float) -> None:
        for self.time in times:
            assert isinstance(await self.send(), Exchange)

    @property
    def resumed(self) -> list[bool]:
        return [message.resumed for message in self.mx.messages]


@pytest.fixture
async def desk(world: World) -> Desk:
    """A host that resumes sessions."""
    return Desk(world, await world.mx_host("mx.d.test"))


@pytest.mark.parametrize("version", ANY_TLS)
@pytest.mark.parametrize("level", [Level.VERIFIED, Level.ENCRYPTED])
async def test_tls_12_resumed(world: World, version: ssl.TLSVersion, level: Level) -> None:
    mx = await world.mx_host("mx.d.test", maximum_tls=version)
    desk = Desk(world, mx)
    desk.key = desk.key._replace(level=level)
    await desk.send_at(NOW, NOW, NOW)
    assert desk.resumed == [False, True, True]
    assert {message.sni for message in mx.messages} == {"mx.d.test"}


@pytest.mark.parametrize(
    "change",
    [
        {"host": "mx.e.test"},
        {"address": "127.0.0.1"},
        {"port": 26},
        {"level": Level.ENCRYPTED},
        {"mode": "testing"},
        {"identity": Credentials("me", "secret")},
        {"waived": "d.test"},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_tls_12_not_across_keys(desk: Desk, change: dict[str, Any]) -> None:
    """STS-97: where anything of the key differs, nothing is offered."""
    await desk.send()
    assert desk.tickets.at(desk.key).offer()
    assert not desk.tickets.at(desk.key._replace(**change)).offer()


@pytest.mark.parametrize(
    ("version", "times", "resumed"),
    [
        pytest.param(ANY_TLS[1], [0, HOUR - 1, HOUR], [False, True, False], id="an hour"),
        pytest.param(ANY_TLS[0], [0, HOUR - 1, HOUR], [False, True, False], id="an hour in 1.2"),
        # what a resumed connection proves is as old as the handshake before it
        pytest.param(ANY_TLS[1], [0, 3000, 6000], [False, True, False], id="not prolonged"),
        pytest.param(ANY_TLS[1], [0, -1], [False, False], id="the clock was put back"),
    ],
)
async def test_tls_12_age(
    world: World, version: ssl.TLSVersion, times: list[float], resumed: list[bool]
) -> None:
    desk = Desk(world, await world.mx_host("mx.d.test", maximum_tls=version))
    await desk.send_at(*(NOW + time for time in times))
    assert desk.resumed == resumed


@pytest.mark.parametrize("version", ANY_TLS)
async def test_tls_12_not_after_the_certificate_ends(world: World, version: ssl.TLSVersion) -> None:
    mx = await world.mx_host("mx.d.test", maximum_tls=version)
    desk = Desk(world, mx)
    pem = ssl._ssl._test_decode_cert(mx.certificate.path)  # type: ignore[attr-defined]
    end = ssl.cert_time_to_seconds(pem["notAfter"])
    await desk.send_at(end - 120, end - 1, end)
    assert desk.resumed == [False, True, False]


async def test_tls_12_not_after_a_reload(world: World, office: Office) -> None:
    """What other roots have verified is worth nothing once they are not trusted."""
    mx = await world.mx_host("mx.d.test")
    world.domain("d.test", mx=[(10, mx.name)])
    office.policies["d.test"] = found("enforce", mx.name)
    office.clock.time = NOW
    for ca_file in (world.ca_file, world.ca_file, world.foreign_ca.ca_file):
        office.settings["ca_file"] = ca_file
        deliverer = office.open()
        for _ in range(2):
            await deliverer.deliver("d.test", mail(), BODY)
            await deliverer.aclose()
    assert [message.resumed for message in mx.messages] == [False, True, False, True]


async def test_tls_12_a_ticket_refused(desk: Desk, world: World) -> None:
    """The host has lost its keys: a full handshake on the same connection, and a new ticket."""
    await desk.send()
    desk.mx.certificate = world.ca.issue([desk.mx.name])
    await desk.send_at(NOW, NOW)
    assert desk.resumed == [False, False, True]
    assert desk.mx.connections == 3


async def test_tls_12_a_bad_certificate_behind_a_ticket_refused(desk: Desk, world: World) -> None:
    """It is judged as any other, with what it showed, and not asked for twice."""
    await desk.send()
    desk.mx.certificate = world.ca.issue([desk.mx.name], expired=True)
    report = await desk.send()
    assert isinstance(report, Unprotected)
    assert report.flaw.failure is Failure.CERTIFICATE_EXPIRED
    assert report.flaw.handshake
    assert report.flaw.handshake.certificate
    assert desk.mx.connections == 2


@pytest.mark.parametrize("step", ["TLS", "EHLO:TLS"])
async def test_tls_12_a_host_that_a_ticket_puts_off(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """It is called anew without one: at once where TLS failed, or with the next message."""
    await desk.send()
    monkeypatch.setattr(desk.mx, "disturb", once(desk.mx.disturb, step))
    reports = [await desk.send() for _ in range(1 if step == "TLS" else 2)]
    assert isinstance(reports[-1], Exchange)
    assert not reports[-1].lost
    assert desk.resumed == [False, False]
    assert desk.mx.connections == 3


async def test_so_many(desk: Desk) -> None:
    """The one longest unchanged goes first."""
    caller = Caller("relay.lab.test", desk.key.port, desk.contexts, Timeouts())
    first = desk.tickets.at(0)
    session = Session(desk.mx.name, desk.mx.address, Level.VERIFIED, caller, first)
    await session.deliver(mail(), ["u@d.test"], content_of(BODY))
    assert session._wire
    tls = session._wire.tls
    assert tls
    for key in range(1, 500):
        desk.tickets.at(key).keep(tls)
    assert desk.tickets.at(0).offer()
    desk.tickets.at(500).keep(tls)
    assert [bool(desk.tickets.at(key).offer()) for key in (0, 1, 500)] == [False, True, True]
    await session.aclose()


def once(disturb: Callable[[Sequence[str]], Any], step: str) -> Callable[[Sequence[str]], Any]:
    """The first connection from now on is cut at this step."""
    left = [step]

    async def cut(steps: Sequence[str]) -> None:
        if left and left[0] in steps:
            left.clear()
            raise ConnectionResetError("cut")
        await disturb(steps)

    return cut


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_tls_12_resumed_in_every_loop(
    tmp_path: Path, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def story() -> None:
        async with World.start(tmp_path) as world:
            desk = Desk(world, await world.mx_host("mx.d.test"))
            await desk.send_at(NOW, NOW)
            assert desk.resumed == [False, True]

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(story())
