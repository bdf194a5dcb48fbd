"""A transaction in one go: every reply is heeded, whatever mix of them a host gives (RFC 2920)."""

import asyncio
from dataclasses import dataclass, field, replace

import pytest

from relay.delivery.caller import Caller, Timeouts
from relay.delivery.contexts import TlsContexts
from relay.delivery.hop import Exchange
from relay.delivery.session import Session
from relay.delivery.tls import Level
from relay.delivery.transaction import content_of

from .conftest import BODY, QUICK, mail, serving

ONE, TWO = "1@d.test", "2@d.test"
DOT = b".\r\n"


@dataclass
class Host:
    """Offers PIPELINING; answers a group only once its DATA is in, the replies in one piece; hangs
    up after a content if it has nothing to say to it."""

    groups: list[str]
    offer: str = "250-mx\r\n250 PIPELINING\r\n"
    verdict: str = "250 2.0.0 taken\r\n"
    heard: list[list[str]] = field(default_factory=list)
    contents: list[bytes] = field(default_factory=list)
    last: str = ""

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mx\r\n")
        await reader.readline()
        writer.write(self.offer.encode())
        for replies in self.groups:
            lines: list[str] = []
            while not lines or lines[-1] not in ("DATA", "RSET", "QUIT"):
                lines.append((await reader.readline()).decode().strip())
            self.heard.append(lines)
            writer.write("".join(f"{reply}\r\n" for reply in replies.split("|")).encode())
            if replies.endswith("354"):
                self.contents.append(await self.content(reader))
                writer.write(self.verdict.encode())
                if not self.verdict:
                    return
        self.last = (await reader.readline()).decode().strip()

    async def content(self, reader: asyncio.StreamReader) -> bytes:
        content = b""
        while not content.endswith(b"\r\n.\r\n") and content != DOT:
            content += await reader.readline()
        return content


def session(port: int) -> Session:
    return Session("mx.test", "127.0.0.1", Level.CLEAR, Caller("r.test", port, CONTEXTS, QUICK))


CONTEXTS = TlsContexts(None)
CALM = Timeouts()
WHOLE = content_of(BODY).stuffed + b".\r\n"

MIXED = [
    pytest.param("250|250|250|354", {ONE: 250, TWO: 250}, WHOLE, id="EXT-01 all good"),
    pytest.param("250|550|250|354", {ONE: 550, TWO: 250}, WHOLE, id="EXT-02 one is refused"),
    pytest.param("250|250|552|354", {ONE: 250, TWO: 452}, WHOLE, id="SND-14 too many"),
    pytest.param("250|250|250|451", {ONE: 451, TWO: 451}, None, id="DATA is refused"),
    pytest.param("250|550|450|554", {ONE: 550, TWO: 450}, None, id="EXT-02 all are refused"),
    pytest.param("250|550|450|354", {ONE: 550, TWO: 450}, DOT, id="EXT-02 a lone dot"),
    pytest.param("550|503|503|503", {ONE: 550, TWO: 550}, None, id="EXT-02 MAIL is refused"),
    pytest.param("451|250|250|354", {ONE: 451, TWO: 451}, DOT, id="EXT-02 only MAIL is refused"),
]


@pytest.mark.parametrize(("replies", "codes", "content"), MIXED)
async def test_mixed(replies: str, codes: dict[str, int], content: bytes | None) -> None:
    host = Host([replies])
    async with serving(host.talk) as port:
        dialogue = session(port)
        report = await dialogue.deliver(mail(ONE, TWO), (ONE, TWO), content_of(BODY))
        assert dialogue.is_ready
        await dialogue.aclose()
    assert isinstance(report, Exchange)
    assert {who: reply.code for who, reply in report.replies.items()} == codes
    assert host.contents == ([content] if content else [])
    assert host.heard == [["MAIL FROM:<me@a.test>", f"RCPT TO:<{ONE}>", f"RCPT TO:<{TWO}>", "DATA"]]
    assert host.last == "QUIT"


async def test_another_one_after_a_refusal() -> None:
    """SND-33: what is left open is reset first, and on its own."""
    host = Host(["250|550|554", "250", "250|250|354"])
    async with serving(host.talk) as port:
        dialogue = session(port)
        for code in (550, 250):
            report = await dialogue.deliver(mail(ONE), (ONE,), content_of(BODY))
            assert isinstance(report, Exchange)
            assert report.replies[ONE].code == code
        await dialogue.aclose()
    assert [lines[0] for lines in host.heard] == [
        "MAIL FROM:<me@a.test>",
        "RSET",
        "MAIL FROM:<me@a.test>",
    ]


@pytest.mark.parametrize("replies", ["250|250|250", "250|250|250|250"])
async def test_a_host_that_counts_wrong(replies: str) -> None:
    """EXT-02, SND-15: what it waits for is unknown, so nothing more is said to it."""
    host = Host([replies])
    async with serving(host.talk) as port:
        dialogue = session(port)
        report = await dialogue.deliver(mail(ONE), (ONE,), content_of(BODY))
        assert not dialogue.is_ready
        await dialogue.aclose()
    assert isinstance(report, Exchange)
    assert report.replies[ONE].code == 451
    assert host.contents == []
    assert host.last == ""


async def test_cut_after_some_replies() -> None:
    """SND-18: those count, and who got none is tried again."""
    host = Host(["250|550"])
    async with serving(host.talk) as port:
        dialogue = session(port)
        report = await dialogue.deliver(mail(ONE, TWO), (ONE, TWO), content_of(BODY))
        await dialogue.aclose()
    assert isinstance(report, Exchange)
    assert {who: reply.code for who, reply in report.replies.items()} == {ONE: 550}
    assert report.lost
    assert not report.in_doubt


@pytest.mark.parametrize(
    ("replies", "in_doubt"),
    [
        pytest.param("250|250|354", True, id="SND-20: a message"),
        pytest.param("250|550|354", False, id="SND-20: a lone dot, which nobody was to have"),
    ],
)
async def test_cut_after_the_content(replies: str, in_doubt: bool) -> None:
    host = Host([replies], verdict="")
    async with serving(host.talk) as port:
        dialogue = session(port)
        report = await dialogue.deliver(mail(ONE), (ONE,), content_of(BODY))
    assert isinstance(report, Exchange)
    assert report.lost
    assert report.in_doubt == in_doubt


async def test_nothing_is_sent_ahead_where_that_is_not_offered() -> None:
    """EXT-01."""
    heard = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for reply in (b"220 mx", b"250 mx", b"550 5.7.1 no", b"221 bye"):
            writer.write(reply + b"\r\n")
            heard.append(await reader.readline())

    async with serving(talk) as port:
        dialogue = session(port)
        await dialogue.deliver(mail(ONE), (ONE,), content_of(BODY))
        await dialogue.aclose()
    assert heard[1:3] == [b"MAIL FROM:<me@a.test>\r\n", b"QUIT\r\n"]


async def test_a_thousand_recipients() -> None:
    """More than a socket's buffers hold, both ways."""
    names = tuple(f"{number}@{'d' * 60}.test" for number in range(1000))
    host = Host(["|".join(["250"] + ["250 2.1.5 " + "x" * 400] * 1000 + ["354"])])
    async with serving(host.talk) as port:
        dialogue = Session("mx.test", "127.0.0.1", Level.CLEAR, Caller("r", port, CONTEXTS, CALM))
        report = await dialogue.deliver(mail(*names), names, content_of(BODY))
        await dialogue.aclose()
    assert isinstance(report, Exchange)
    assert {reply.code for reply in report.replies.values()} == {250}
    assert len(report.replies) == 1000


async def test_replies_that_come_too_slowly() -> None:
    """SND-19: each in its time, but not all of them together."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mx\r\n")
        await reader.readline()
        writer.write(b"250 mx\r\n")
        while await reader.readline():
            await asyncio.sleep(0.05)
            writer.write(b"250 ok\r\n")

    names = tuple(f"{number}@d.test" for number in range(1000))
    async with serving(talk) as port:
        caller = Caller("r.test", port, CONTEXTS, replace(CALM, envelope=0.2))
        dialogue = Session("mx.test", "127.0.0.1", Level.CLEAR, caller)
        report = await dialogue.deliver(mail(*names), names, content_of(BODY))
        await dialogue.aclose()
    assert isinstance(report, Exchange)
    assert report.lost == "the replies to the envelope came too slowly"
    assert not report.in_doubt
