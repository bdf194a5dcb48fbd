"""Mail hosts that stall, cut, lie or never end, at every step: an outcome in bounded time and room.

What a host does wrong defers the mail, and only what may have been taken is left in doubt.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import pytest

from relay.delivery.attempt import Attempt
from relay.delivery.caller import Caller
from relay.delivery.contexts import TlsContexts
from relay.delivery.hop import Exchange, Flaw, HopReport, Host, Unprotected, Unreachable
from relay.delivery.session import Session
from relay.delivery.terms import Terms
from relay.delivery.tls import Floors, Level, ladder_for
from relay.delivery.transaction import content_of
from relay.evidence import Failure
from relay.lab.world import World
from relay.outcome import Reason, Status
from tests.delivery.conftest import BODY, QUICK, mail, serving

PATIENCE = 20.0  # seconds; every timeout is a fraction of one
ENOUGH = 8_388_608  # octets that a host can get rid of, sockets' buffers included
CONTEXTS = TlsContexts(None)
TIMEOUTS = replace(QUICK, envelope=2.0)

STEPS = {
    "greeting": b"220 mx\r\n",
    "EHLO": b"250 mx\r\n",
    "MAIL": b"250 ok\r\n",
    "RCPT": b"250 ok\r\n",
    "DATA": b"354 go\r\n",
    "final": b"250 taken\r\n",
}


@dataclass
class Line:
    """The host's end of a connection, and how much it has got rid of."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    sent: int = 0

    async def say(self, octets: bytes) -> None:
        self.writer.write(octets)
        await self.writer.drain()
        self.sent += len(octets)


Deed = Callable[[Line, bytes], Awaitable[None]]


async def says_nothing(line: Line, reply: bytes) -> None:
    while await line.reader.read(65536):
        pass


async def cuts(line: Line, reply: bytes) -> None:
    pass


async def cuts_amid_a_reply(line: Line, reply: bytes) -> None:
    await line.say(reply[:2])


async def drips(line: Line, reply: bytes) -> None:
    while True:
        await line.say(reply[:3] + b"-x\r\n")
        await asyncio.sleep(0.02)


async def drips_octets(line: Line, reply: bytes) -> None:
    await line.say(reply[:4])
    while True:
        await line.say(b"x")
        await asyncio.sleep(0.02)


async def has_a_line_without_end(line: Line, reply: bytes) -> None:
    await line.say(reply[:4])
    while True:
        await line.say(b"x" * 65536)


async def has_lines_without_end(line: Line, reply: bytes) -> None:
    while True:
        await line.say((reply[:3] + b"-x\r\n") * 10_000)


async def talks_garbage(line: Line, reply: bytes) -> None:
    await line.say(b"\x00\xff\x16\x03\x01 <html>\r\n\r\n")
    await says_nothing(line, reply)


async def floods(line: Line, reply: bytes) -> None:
    await line.say(reply)
    while True:
        await line.say(b"250 and another\r\n" * 4096)


DEEDS: list[Deed] = [
    says_nothing, cuts, cuts_amid_a_reply, drips, drips_octets, has_a_line_without_end,
    has_lines_without_end, talks_garbage, floods,
]  # fmt: skip


class Hostile:
    """A host that behaves until a step, and then does its deed."""

    def __init__(self, step: str, deed: Deed) -> None:
        self._step = step
        self._deed = deed
        self.sent = 0

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = Line(reader, writer)
        try:
            for step, reply in STEPS.items():
                if step == "final":
                    while await reader.readline() not in (b".\r\n", b""):
                        pass
                elif step != "greeting":
                    await reader.readline()
                if step == self._step:
                    return await self._deed(line, reply)
                await line.say(reply)
        finally:
            self.sent = line.sent


CASES = [
    pytest.param(step, deed, id=f"SND-18 {step} {deed.__name__}")
    for step in STEPS
    for deed in DEEDS
]


def call(port: int, level: Level = Level.CLEAR, contexts: TlsContexts = CONTEXTS) -> Session:
    return Session("mx.test", "127.0.0.1", level, Caller("r", port, contexts, TIMEOUTS))


@pytest.mark.parametrize(("step", "deed"), CASES)
async def test_at_a_step(step: str, deed: Deed) -> None:
    host = Hostile(step, deed)
    async with serving(host.talk) as port, asyncio.timeout(PATIENCE):
        session = call(port)
        report = await session.deliver(mail(), ["u@d.test"], content_of(BODY))
        await session.aclose()
    assert host.sent < ENOUGH
    if deed is floods and step == "final":
        # the reply to the content stands, whatever comes behind it
        assert isinstance(report, Exchange)
        assert report.replies["u@d.test"].code == 250
        return
    judge(report, in_doubt=step == "final")
    assert isinstance(report, Unreachable) == (step == "greeting" and deed is not floods)


def judge(report: HopReport, *, in_doubt: bool) -> None:
    attempt = Attempt(
        Terms("d.test", "none", None, ladder_for("none", Floors())),
        [Host("mx.test", ("127.0.0.1",))],
        ["u@d.test"],
        0.0,
    )
    attempt.feed(report, 1.0)
    (outcome,) = attempt.final().outcomes
    assert outcome.status is Status.DEFERRED
    assert outcome.reason in (Reason.UNREACHABLE, Reason.ANSWERED)
    assert len(str(outcome.reply)) < 1000
    assert in_doubt == (isinstance(report, Exchange) and report.in_doubt)


async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x00" * 100)


async def clear_text(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"250-mx\r\n250 EVIL\r\n")
    await reader.read()


async def an_alert(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write(bytes((21, 3, 3, 0, 2, 2, 40)))  # fatal, handshake_failure
    await writer.drain()


async def a_record_without_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(bytes((22, 3, 3, 64, 0)) + b"\x02\xff\xff\xff" + bytes(16380))
        await writer.drain()


async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


Handshake = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


HANDSHAKES = [garbage, clear_text, an_alert, a_record_without_end, silence]


@pytest.mark.parametrize("handshake", HANDSHAKES)
async def test_amid_the_handshake(handshake: Handshake) -> None:
    """TLS-09: whatever goes wrong there, nothing is mailed on that connection."""
    heard = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for reply in (b"220 mx", b"250-mx\r\n250 STARTTLS", b"220 go"):
            writer.write(reply + b"\r\n")
            if reply != b"220 go":
                heard.append(await reader.readline())
        await handshake(reader, writer)

    async with serving(talk) as port, asyncio.timeout(PATIENCE):
        session = call(port, Level.ENCRYPTED)
        report = await session.deliver(mail(), ["u@d.test"], content_of(BODY))
        await session.aclose()
    assert isinstance(report, Unprotected)
    assert isinstance(report.flaw, Flaw)
    assert report.flaw.failure is Failure.VALIDATION_FAILURE
    assert "mx.test" in report.flaw.detail
    assert heard == [b"EHLO r\r\n", b"STARTTLS\r\n"]


@pytest.mark.parametrize("answers", [1, 2, 4])
async def test_cut_within_tls_without_a_farewell(world: World, answers: int) -> None:
    """SND-18: a connection that ends without close_notify is lost, and nothing more."""
    context = world.ca.issue(["mx.test"]).server_context()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for reply in (b"220 mx", b"250-mx\r\n250 STARTTLS"):
            writer.write(reply + b"\r\n")
            await reader.readline()
        writer.write(b"220 go\r\n")
        await writer.drain()
        await writer.start_tls(context)
        for _ in range(answers):
            await reader.readline()
            writer.write(b"250 ok\r\n")
            await writer.drain()
        writer.transport.abort()

    async with serving(talk) as port, asyncio.timeout(PATIENCE):
        session = call(port, Level.VERIFIED, TlsContexts(world.ca_file))
        report = await session.deliver(mail(), ["u@d.test"], content_of(BODY))
        await session.aclose()
    assert isinstance(report, Exchange)
    judge(report, in_doubt=False)


async def test_content_that_is_taken_too_slowly() -> None:
    """SND-19: a host that reads a little now and then does not hold the connection for days."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for reply in list(STEPS.values())[:5]:
            writer.write(reply)
            if reply[:3] != b"354":
                await reader.readline()
        await asyncio.Event().wait()

    async with serving(talk) as port, asyncio.timeout(PATIENCE):
        session = call(port)
        report = await session.deliver(mail(), ["u@d.test"], content_of(bytes(50_000_000)))
        await session.aclose()
    judge(report, in_doubt=False)
