"""The hooks by themselves and behind aiosmtpd's own SMTP class: what was accepted is as safe."""

import asyncio
import smtplib
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from aiosmtpd.smtp import SMTP, Envelope, LoginPassword, Session

from relay.envelope import Message
from relay.inbound.hooks import AcceptHooks, AcceptSettings
from relay.inbound.message import Origin
from tests.inbound.dialogue import (
    ACCEPTING,
    DISK_FULL,
    NOON,
    Dialogue,
    Noon,
    Shelf,
    without_trace,
)

HELLO = "EHLO client.test"
MAIL = "MAIL FROM:<a@b.test>"
RCPT = "RCPT TO:<c@d.test>"
MESSAGE = b"Subject: x\r\n\r\nbody\r\n"


class StockServer:
    """The hooks behind aiosmtpd's own SMTP class."""

    def __init__(self, accepting: AcceptSettings = ACCEPTING, **options: object) -> None:
        self.shelf = Shelf()
        self.hooks = AcceptHooks(self.shelf.accept, accepting, Noon())
        self.address = ("", 0)
        self._options = options
        self._writer: asyncio.StreamWriter | None = None

    async def __aenter__(self) -> "StockServer":
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: SMTP(self.hooks, loop=loop, **self._options),  # type: ignore[arg-type]
            "127.0.0.1",
            0,
        )
        self.address = self._server.sockets[0].getsockname()[:2]
        return self

    async def __aexit__(self, *failure: object) -> None:
        self.shelf.open.set()
        if self._writer:
            self._writer.close()
        self._server.close()
        await self._server.wait_closed()

    async def greeted(self) -> Dialogue:
        reader, self._writer = await asyncio.open_connection(*self.address)
        client = Dialogue(reader, self._writer)
        await client.reply()
        return client


@pytest.fixture
async def stock() -> AsyncIterator[StockServer]:
    async with StockServer(enable_SMTPUTF8=True) as server:
        yield server


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ([HELLO, MAIL], "250 2.1.0"),
        pytest.param([HELLO, "MAIL FROM:<>"], "250 2.1.0", id="SRV-32"),
        pytest.param([HELLO, "MAIL FROM:<a@-b.test>"], "553 5.1.7", id="SRV-35: sender"),
        pytest.param([HELLO, MAIL, "RCPT TO:<c@-d.test>"], "553 5.1.3", id="SRV-35: recipient"),
        pytest.param([HELLO, "MAIL FROM:<ü@b.test>"], "553 5.6.7", id="EXT-13"),
        pytest.param([HELLO, "MAIL FROM:<ü@b.test> SMTPUTF8"], "250 2.1.0", id="EXT-13: announced"),
        pytest.param([HELLO, "MAIL FROM:<\udcff@b.test>"], "553 5.6.7", id="no UTF-8"),
        pytest.param([HELLO, "MAIL FROM:<\udcff@b.test> SMTPUTF8"], "553 5.1.7", id="no UTF-8 8"),
        pytest.param([HELLO, MAIL + " SIZE=100001"], "552 5.3.4", id="EXT-06"),
        pytest.param([HELLO, MAIL, "RCPT TO:<postmaster>"], "250 2.1.5", id="SRV-02"),
        pytest.param([HELLO, "NOOP x"], "250 2.0.0", id="EXT-24: NOOP"),
        pytest.param([HELLO, MAIL, "RSET"], "250 2.0.0", id="EXT-24: RSET"),
        pytest.param([HELLO, "VRFY x@y.test"], "252 2.0.0", id="EXT-24: VRFY"),
        pytest.param([HELLO, "QUIT"], "221 2.0.0", id="EXT-24: QUIT"),
    ],
)
async def test_stock_envelope(stock: StockServer, said: list[str], code: str) -> None:
    assert (await (await stock.greeted()).say(*said)).startswith(code)


async def test_stock_srv_29_no_open_relay() -> None:
    async with StockServer(replace(ACCEPTING, allow=())) as server:
        client = await server.greeted()
        assert (await client.say(HELLO, MAIL, RCPT)).startswith("550 5.7.1")
        assert (await client.say("DATA")).startswith("503")


async def test_stock_srv_14_too_many_recipients(stock: StockServer) -> None:
    client = await stock.greeted()
    await client.say(HELLO, MAIL)
    answers = [await client.say(f"RCPT TO:<u{n}@d.test>") for n in range(101)]
    assert (answers[99][:9], answers[100][:9]) == ("250 2.1.5", "452 4.5.3")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (MESSAGE, "250 2.0.0 queued as "),
        (b"", "250 2.0.0 queued as "),
        pytest.param(b"a\nb\r\n", "550 5.6.0", id="SMG-03: LF"),
        pytest.param(b"a\rb\r\n", "550 5.6.0", id="SMG-03: CR"),
        pytest.param(b"x" * 900 + b"\r\n", "250 2.0.0 queued as ", id="a long line"),
        pytest.param(b"x\r\n" * 40_000, "552 5.3.4", id="SRV-33"),
        pytest.param(b"Received: x\r\n" * 100 + b"\r\n", "554 5.4.6", id="SRV-28"),
    ],
)
async def test_stock_content(stock: StockServer, content: bytes, code: str) -> None:
    client = await stock.greeted()
    await client.begin()
    await client.send(content + b".\r\n")
    assert (await client.reply()).startswith(code)
    kept = [without_trace(message) for message in stock.shelf.messages]
    assert kept == ([content] if code.startswith("250") else [])


@pytest.mark.parametrize("trouble", [DISK_FULL, ZeroDivisionError("secret")], ids=["disk", "bug"])
async def test_stock_srv_18_trouble_is_transient(stock: StockServer, trouble: Exception) -> None:
    stock.shelf.trouble = trouble
    client = await stock.greeted()
    await client.begin()
    await client.send(MESSAGE + b".\r\n")
    answer = await client.reply()
    assert answer.startswith("451 4.3.0 ")
    assert str(trouble) not in answer
    assert (await client.say("RSET")).startswith("250")


async def test_stock_decoded_content_is_kept_as_octets() -> None:
    async with StockServer(decode_data=True, enable_SMTPUTF8=True) as server:
        client = await server.greeted()
        await client.begin()
        await client.send(b"Subject: x\r\n\r\n\xff\xfe\xc3\xbc\r\n.\r\n")
        assert (await client.reply()).startswith("250")
        [message] = server.shelf.messages
        assert without_trace(message) == b"Subject: x\r\n\r\n\xff\xfe\xc3\xbc\r\n"


async def test_stock_a_real_client(stock: StockServer) -> None:
    def send() -> None:
        with smtplib.SMTP(*stock.address, local_hostname="client.test") as client:
            client.sendmail("", ["Joe@D.TEST", "x@y.test"], MESSAGE)

    await asyncio.to_thread(send)
    [message] = stock.shelf.messages
    assert message.envelope.sender is None
    assert message.envelope.recipients == ("Joe@D.TEST", "x@y.test")
    assert without_trace(message) == MESSAGE


def arrived(**fields: object) -> tuple[Session, Envelope]:
    loop = asyncio.new_event_loop()
    loop.close()
    session, envelope = Session(loop), Envelope()
    session.peer = ("192.0.2.1", 4711)  # type: ignore[assignment]
    session.host_name, session.extended_smtp = "client.test", True
    envelope.mail_from, envelope.rcpt_tos = "a@b.test", ["c@d.test"]
    envelope.content = envelope.original_content = MESSAGE
    for name, value in fields.items():
        setattr(session if hasattr(session, name) else envelope, name, value)
    return session, envelope


async def kept(session: Session, envelope: Envelope) -> Message:
    """What becomes of it."""
    shelf = Shelf()
    hooks = AcceptHooks(shelf.accept, ACCEPTING, Noon())
    answer = await hooks.handle_DATA(object.__new__(SMTP), session, envelope)
    assert answer == f"250 2.0.0 queued as {shelf.messages[0].id}"
    return shelf.messages[0]


async def test_outgoing() -> None:
    message = await kept(*arrived())
    assert message.body == (
        b"Received: from client.test ([192.0.2.1])\r\n"
        b"\tby relay.test with ESMTP id " + message.id.encode() + b"\r\n"
        b"\tfor <c@d.test>;\r\n"
        b"\tTue, 01 Sep 2026 12:00:00 +0000\r\n" + MESSAGE
    )
    assert (message.created, message.envelope.sender) == (NOON, "a@b.test")


@pytest.mark.parametrize(
    ("fields", "protocol"),
    [
        ({"extended_smtp": False}, b"with SMTP id"),
        ({"ssl": {}}, b"with ESMTPS id"),
        ({"authenticated": True}, b"with ESMTPA id"),
        pytest.param({"smtp_utf8": True}, b"with UTF8SMTP id", id="EXT-16"),
    ],
)
async def test_outgoing_tells_how_it_came(fields: dict[str, object], protocol: bytes) -> None:
    message = await kept(*arrived(**fields))
    assert protocol in message.body


@pytest.mark.parametrize("peer", [None, "", "/run/client.socket"])
async def test_outgoing_without_an_address(peer: object) -> None:
    message = await kept(*arrived(peer=peer))
    assert message.body.startswith(b"Received: from client.test\r\n\tby relay.test ")


async def test_outgoing_takes_text_where_there_are_no_octets() -> None:
    session, envelope = arrived(content="Subject: ü\udcff\r\n\r\n", original_content=None)
    message = await kept(session, envelope)
    assert without_trace(message) == b"Subject: \xc3\xbc\xff\r\n\r\n"


async def test_needs_come_from_the_content_not_from_the_client() -> None:
    session, envelope = arrived(smtp_utf8=True, mail_options=["BODY=8BITMIME", "SMTPUTF8"])
    message = await kept(session, envelope)
    assert (message.envelope.eight_bit, message.envelope.smtputf8) == (False, False)


async def test_what_another_authenticator_leaves_is_not_told() -> None:
    session, envelope = arrived(authenticated=True, auth_data=LoginPassword(b"joe", b"secret"))
    shelf = Shelf()
    hooks = AcceptHooks(shelf.accept, ACCEPTING, Noon())
    await hooks.handle_DATA(object.__new__(SMTP), session, envelope)
    assert shelf.origin == Origin("192.0.2.1", None, tls=False)


async def test_who_may_not_relay_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async with StockServer(replace(ACCEPTING, allow=())) as server:
        client = await server.greeted()
        for _ in range(20):
            assert (await client.say(HELLO, MAIL, RCPT)).startswith("550 5.7.1")
    told = [one for one in caplog.messages if "may not relay" in one]
    assert told == ["127.0.0.1: may not relay: not in server.allow"]


async def test_an_authenticated_client_may_relay_from_anywhere() -> None:
    hooks = AcceptHooks(Shelf().accept, ACCEPTING, Noon())
    session, envelope = arrived()
    server = object.__new__(SMTP)
    assert (await hooks.handle_RCPT(server, session, envelope, "x@y.test", [])).startswith("550")
    session.authenticated = True
    assert (await hooks.handle_RCPT(server, session, envelope, "x@y.test", [])).startswith("250")
