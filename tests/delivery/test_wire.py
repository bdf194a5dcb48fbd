"""Commands and replies on a connection, and what aiosmtplib must go on doing for us."""

import asyncio
import contextlib
import inspect
from typing import cast

import pytest
from aiosmtplib.protocol import SMTPProtocol

from relay import event_loop
from relay.delivery.contexts import TlsContexts
from relay.delivery.tls import Level
from relay.delivery.wire import Disconnected, InDoubt, Wire, connect
from relay.lab.world import World
from relay.outbox import Outbox

from .conftest import Talk, script, serving


async def greeted(port: int) -> Wire:
    wire = await connect("127.0.0.1", port, 5, Outbox())
    await wire.reply(5)
    return wire


class TestReplies:
    @pytest.mark.parametrize(
        ("wire_reply", "code", "enhanced", "text"),
        [
            pytest.param(b"250 2.0.0 ok", 250, "2.0.0", "ok", id="SND-10"),
            pytest.param(b"250", 250, None, "", id="SND-10 no text"),
            pytest.param(b"259 odd", 259, None, "odd", id="SND-10 any 2yz"),
            pytest.param(b"550-5.1.1 no\r\n550 5.1.1 such", 550, "5.1.1", "no 5.1.1 such", id="ml"),
            pytest.param(b"451 a\x07b\xff", 451, None, "a b", id="control characters"),
        ],
    )
    async def test_read(
        self, wire_reply: bytes, code: int, enhanced: str | None, text: str
    ) -> None:
        async with serving(script(b"220 hi", wire_reply)) as port:
            reply = await (await greeted(port)).ask(b"NOOP", timeout=5)
            assert (reply.code, reply.enhanced, reply.text) == (code, enhanced, text)

    async def test_ehlo_of_100_lines(self) -> None:
        """SND-10."""
        lines = b"\r\n".join(b"250-X%d" % number for number in range(99)) + b"\r\n250 SIZE 5"
        async with serving(script(b"220 hi", lines)) as port:
            reply, text = await (await greeted(port)).ehlo(b"relay.test", 5)
            assert reply.code == 250
            assert text.split("\n")[-1] == "SIZE 5"

    @pytest.mark.parametrize(
        "reply",
        [
            pytest.param(b"abc", id="SND-11 no code"),
            pytest.param(b"199 x", id="SND-11 first digit 1"),
            pytest.param(b"650 x", id="first digit 6"),
            pytest.param(b"250-" + b"x" * 9000, id="a line without end"),
            pytest.param(b"\r\n".join([b"250-x"] * 9000), id="lines without end"),
        ],
    )
    async def test_no_reply(self, reply: bytes) -> None:
        async with serving(script(b"220 hi", reply)) as port:
            wire = await greeted(port)
            with pytest.raises(Disconnected):
                await wire.ask(b"NOOP", timeout=5)
            assert not (wire.is_open and reply[:1] == b"a")

    async def test_one_reply_too_many(self) -> None:
        """It is not taken for the next command's."""
        async with serving(script(b"220 hi\r\n250 ok", b"550 no")) as port:
            wire = await greeted(port)
            with pytest.raises(Disconnected, match="more replies than commands"):
                await wire.ask(b"NOOP", timeout=5)
            assert not wire.is_open

    async def test_silence(self) -> None:
        async with serving(script(b"220 hi", b"250 ok")) as port:
            wire = await connect("127.0.0.1", port, 5, Outbox())
            await wire.reply(5)
            await wire.ask(b"NOOP", timeout=5)
            with pytest.raises(Disconnected):
                await wire.ask(b"NOOP", timeout=0.05)
            assert not wire.is_open


@pytest.mark.parametrize("octet", [b"\r", b"\n", b"\r\nDATA", b"\0", b"\x7f"], ids=repr)
async def test_no_command_is_smuggled_into_another(octet: bytes) -> None:
    async with serving(script(b"220 hi", b"250 ok")) as port:
        wire = await greeted(port)
        with pytest.raises(Disconnected, match="control character"):
            wire.send(b"MAIL FROM:<a@b.test>", b"RCPT TO:<c" + octet + b"@d.test>", b"DATA")


async def test_refused_connection(world: World) -> None:
    with pytest.raises(Disconnected, match=r"^connection refused$"):
        await connect("127.0.0.1", world.smtp_port, 5, Outbox())


def taking(at_data: bytes | None, at_end: bytes | None, *, after: int = 0) -> Talk:
    """A server that answers content once `after` octets are in, or (0) at its final dot."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hi\r\n")
        await reader.readline()
        writer.write(b"354 go\r\n")
        if after:
            await reader.readexactly(after)
            writer.write(at_data or b"")
        while await reader.readline() != b".\r\n":
            pass
        writer.write(at_end or b"")

    return talk


def late(later: asyncio.Event) -> Talk:
    """A server that answers a second command only then."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hi\r\n")
        await reader.readline()
        writer.write(b"250 ok\r\n")
        await reader.readline()
        await later.wait()
        writer.write(b"250 at last\r\n")
        await reader.read()

    return talk


class TestTime:
    """One timer serves all replies of a connection; each has its own time all the same."""

    async def test_a_short_one_after_a_long_one(self) -> None:
        async with serving(late(asyncio.Event())) as port:
            wire = await greeted(port)
            await wire.ask(b"NOOP", timeout=3600)
            async with asyncio.timeout(5):
                with pytest.raises(Disconnected, match="no answer in time"):
                    await wire.ask(b"NOOP", timeout=0.05)

    async def test_a_long_one_after_a_short_one(self) -> None:
        later = asyncio.Event()
        async with serving(late(later)) as port:
            wire = await greeted(port)
            await wire.ask(b"NOOP", timeout=0.2)
            asyncio.get_running_loop().call_later(0.4, later.set)
            assert (await wire.ask(b"NOOP", timeout=5)).text == "at last"
            wire.abort()


class TestContent:
    @pytest.mark.parametrize("size", [0, 2, 65_535, 65_536, 65_537, 131_072])
    async def test_ends_once(self, size: int) -> None:
        """SND-29: the dot that ends it follows the last line, and nothing follows the dot."""
        received = asyncio.get_running_loop().create_future()

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 hi\r\n")
            content = await reader.readexactly(size + 3)
            writer.write(b"250 ok\r\n")
            received.set_result(content + await reader.read())

        data = b"\r\n".rjust(size, b"x") if size else b""
        async with serving(talk) as port, asyncio.timeout(10):
            wire = await greeted(port)
            assert (await wire.content(data, 5, 5)).code == 250
            await wire.close(0.01)
            assert await received == data + b".\r\nQUIT\r\n"

    async def test_large(self) -> None:
        """More than the buffers hold, all of it written."""
        data = b"x" * 997 + b"\r\n"
        async with serving(taking(None, b"250 ok\r\n")) as port:
            wire = await greeted(port)
            await wire.ask(b"DATA", timeout=5)
            reply = await wire.content(data * 5000, 5, 5)
            assert reply.code == 250
            wire.abort()

    async def test_answer_before_the_end(self) -> None:
        """The reason is kept, and the connection is of no more use."""
        data = b"x" * 997 + b"\r\n"
        talk = taking(b"552 5.3.4 too big\r\n", None, after=100)
        async with serving(talk) as port:
            wire = await greeted(port)
            await wire.ask(b"DATA", timeout=5)
            reply = await wire.content(data * 50_000, 5, 5)
            assert reply.code == 552
            assert not wire.is_open

    async def test_answer_by_a_host_that_then_reads_nothing(self) -> None:
        over = asyncio.Event()

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 hi\r\n")
            await reader.readexactly(100_000)
            writer.write(b"552 5.3.4 too big\r\n")
            cast(asyncio.ReadTransport, writer.transport).pause_reading()
            await over.wait()

        async with serving(talk) as port, asyncio.timeout(10):
            wire = await greeted(port)
            reply = await wire.content(b"x" * 50_000_000, 60, 5)
            over.set()
        assert reply.code == 552
        assert not wire.is_open

    async def test_cut_amid(self) -> None:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 hi\r\n")
            await reader.readline()
            writer.write(b"354 go\r\n")
            await reader.readexactly(10)

        async with serving(talk) as port:
            wire = await greeted(port)
            await wire.ask(b"DATA", timeout=5)
            with pytest.raises(Disconnected) as caught:
                await wire.content(b"x" * 50_000_000 + b"\r\n", 5, 5)
            assert not isinstance(caught.value, InDoubt)

    @pytest.mark.parametrize("answer", [b"", b"abc\r\n"])
    async def test_cut_after_the_end(self, answer: bytes) -> None:
        """SND-20: the host may have the message."""
        async with serving(taking(None, answer)) as port:
            wire = await greeted(port)
            await wire.ask(b"DATA", timeout=5)
            with pytest.raises(InDoubt):
                await wire.content(b"x\r\n", 5, 5)

    async def test_silence_after_the_end(self, world: World) -> None:
        mx = await world.mx_host("mx.d.test", stall_at=".")
        wire = await connect(mx.address, world.smtp_port, 5, Outbox())
        await wire.reply(5)
        for command in (b"EHLO x", b"MAIL FROM:<>", b"RCPT TO:<u@d.test>", b"DATA"):
            await wire.ask(command, timeout=5)
        with pytest.raises(InDoubt, match=r"^no answer in time$"):
            await wire.content(b"x\r\n", 5, 0.05)


async def test_cancelled_while_it_says_quit_it_is_closed() -> None:
    heard = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hi\r\n")
        await reader.readline()
        heard.set()
        await reader.read()

    async with serving(talk) as port, asyncio.timeout(10):
        wire = await greeted(port)
        closing = asyncio.ensure_future(wire.close(60))
        await heard.wait()
        closing.cancel()
        await asyncio.wait([closing])
        assert not wire.is_open


class TestTls:
    async def test_clear_text_behind_the_220(self, world: World) -> None:
        """TLS-07: injected text is not taken for a reply inside TLS."""
        mx = await world.mx_host("mx.d.test", injected=b"250-mx\r\n250 EVIL\r\n")
        wire = await connect(mx.address, world.smtp_port, 5, Outbox())
        await wire.reply(5)
        await wire.ehlo(b"relay.test", 5)
        contexts = TlsContexts(world.ca_file)
        if await wire.start_tls(contexts.at(Level.VERIFIED), "mx.d.test", 5) is None:
            _, text = await wire.ehlo(b"relay.test", 5)
            assert "EVIL" not in text
        wire.abort()

    async def test_tls_12_a_full_handshake_where_no_session_is_given(self, world: World) -> None:
        """What an earlier one verified is not taken for granted; the host offers tickets."""
        mx = await world.mx_host("mx.d.test")
        context = TlsContexts(world.ca_file).at(Level.VERIFIED)
        for _ in range(2):
            wire = await connect(mx.address, world.smtp_port, 5, Outbox())
            await wire.reply(5)
            await wire.ehlo(b"relay.test", 5)
            assert await wire.start_tls(context, "mx.d.test", 5) is None
            await wire.ehlo(b"relay.test", 5)
            assert (tls := wire.tls)
            assert tls.session
            assert tls.session.has_ticket
            assert not tls.session_reused
            await wire.close(5)

    async def test_name_unfit_for_sni(self, world: World) -> None:
        mx = await world.mx_host("mx.d.test")
        wire = await connect(mx.address, world.smtp_port, 5, Outbox())
        await wire.reply(5)
        await wire.ehlo(b"relay.test", 5)
        contexts = TlsContexts(world.ca_file)
        flaw = await wire.start_tls(contexts.at(Level.VERIFIED), "x" * 70 + ".test", 5)
        assert flaw
        assert flaw.failure == "validation-failure"
        assert not wire.is_open


def test_what_is_used_of_aiosmtplib() -> None:
    """Below its documented surface: a new version that changes it must fail here."""
    assert list(inspect.signature(SMTPProtocol.start_tls).parameters) == [
        "self", "tls_context", "server_hostname", "timeout",
    ]  # fmt: skip
    # our reader stands where theirs did, on the buffer that theirs had
    source = inspect.getsource(SMTPProtocol.start_tls)
    assert "await self.read_response(timeout=timeout)" in source
    assert "del self._buffer[:]" in source
    assert inspect.getsource(SMTPProtocol).count("self._buffer =") == 1
    assert not inspect.iscoroutinefunction(SMTPProtocol.write)
    for name in ("data_received", "pause_writing", "resume_writing", "connection_lost"):
        assert callable(getattr(SMTPProtocol, name))


# uvloop's transports are of none of asyncio's classes
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_connection_is_cut_on_either_event_loop(loop: str) -> None:
    ended = asyncio.Queue[None]()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hi\r\n")
        with contextlib.suppress(ConnectionError):
            if await reader.readline() == b"FLOOD\r\n":
                while True:
                    writer.write(b"250 ok\r\n" * 1000)
                    await writer.drain()
        ended.put_nowait(None)

    async def cut_two() -> None:
        async with serving(talk) as port, asyncio.timeout(20):
            (await greeted(port)).abort()
            await ended.get()
            wire = await greeted(port)
            await wire.ask(b"FLOOD", timeout=5)
            await ended.get()

    event_loop.run(cut_two(), loop)
