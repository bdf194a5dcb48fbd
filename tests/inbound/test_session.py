"""When commands are served: at once, in turns, and not while a client does not read or waits."""

import asyncio
import ssl
from typing import cast

import pytest

from relay.inbound.hooks import AcceptHooks
from relay.inbound.login import Login, Verdict
from relay.inbound.patience import Patience
from relay.inbound.reception import Reception
from relay.inbound.sasl import Credentials
from relay.inbound.smtp import RelaySMTP
from relay.inbound.upload import Upload
from tests.inbound.dialogue import ACCEPTING, SESSION, Noon, Shelf

AT_ONCE = 100
NOOP = b"NOOP\r\n"
DONE = b"250 2.0.0 Done\r\n"
ENVELOPE = b"EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n"


class Pipe(asyncio.Transport):
    """Collects what is written."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 4711)})
        self.written = b""
        self.closing = False
        self.end_fails = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = True

    def can_write_eof(self) -> bool:
        return self.end_fails

    def write_eof(self) -> None:
        raise OSError("not connected")


class Client:
    """A session without a network: what comes, and what has been said."""

    def __init__(self, login: Login | None = None) -> None:
        self.shelf = Shelf()
        hooks = AcceptHooks(self.shelf.accept, ACCEPTING, Noon())
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.session = RelaySMTP(Reception(hooks, SESSION, tls, login), tls_first=False)
        self.pipe = Pipe()
        self.session.connection_made(self.pipe)
        self.said()

    def send(self, octets: bytes) -> None:
        room = self.session.get_buffer(-1)
        room[: len(octets)] = octets
        self.session.buffer_updated(len(octets))

    def said(self) -> bytes:
        """Since the last time."""
        self.session.reception.outbox.send()
        written, self.pipe.written = self.pipe.written, b""
        return written


@pytest.fixture
async def client() -> Client:
    return Client()


async def turns() -> None:
    """Let everything that is due happen."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_command_is_answered_where_it_is_read(client: Client) -> None:
    client.send(NOOP)
    assert client.said() == DONE
    client.send(b"NO")
    assert client.said() == b""
    client.send(b"OP\r\n" + NOOP)
    assert client.said() == DONE * 2


async def test_others_have_their_turn_however_much_one_has_sent(client: Client) -> None:
    client.send(NOOP * (2 * AT_ONCE + 1))
    assert client.said() == DONE * AT_ONCE
    await asyncio.sleep(0)
    assert client.said() == DONE * AT_ONCE
    await asyncio.sleep(0)
    assert client.said() == DONE
    await turns()
    assert client.said() == b""


async def test_a_turn_is_one_however_much_comes_meanwhile(client: Client) -> None:
    client.send(NOOP * 1000)
    for _ in range(11):
        assert client.said() == DONE * AT_ONCE
        client.send(NOOP * 10)
        await asyncio.sleep(0)


async def test_quit_as_the_last_of_many_ends_it_once(client: Client) -> None:
    client.send(NOOP * (AT_ONCE - 1) + b"QUIT\r\n" + NOOP)
    assert client.said() == DONE * (AT_ONCE - 1) + b"221 2.0.0 Goodbye\r\n"
    assert not client.pipe.closing, "the reply leaves with those to others"
    await turns()
    assert client.pipe.closing
    assert client.said() == b""


async def test_who_has_said_quit_is_told_nothing_else(client: Client) -> None:
    client.send(b"QUIT\r\n")
    client.session.stop()
    assert client.said() == b"221 2.0.0 Goodbye\r\n"
    assert client.pipe.closing


async def test_who_does_not_read_replies_is_served_no_further(client: Client) -> None:
    client.session.pause_writing()
    client.send(NOOP * 3)
    assert client.said() == b""
    client.session.resume_writing()
    await asyncio.sleep(0)
    assert client.said() == DONE * 3


async def test_the_end_waits_until_replies_are_read(client: Client) -> None:
    client.session.pause_writing()
    client.send(NOOP)
    client.session.eof_received()
    assert not client.pipe.closing
    client.session.resume_writing()
    assert not client.pipe.closing, "asyncio does not bear that within its call"
    await turns()
    assert client.said() == DONE
    assert client.pipe.closing


async def test_who_does_not_read_learns_that_the_message_is_kept(client: Client) -> None:
    """However the session ends: else the message would come again."""
    client.shelf.open.clear()
    client.send(ENVELOPE)
    client.said()
    client.send(b"Subject: x\r\n\r\n.\r\n")
    await client.shelf.waiting.wait()
    client.session.pause_writing()
    client.shelf.open.set()
    await turns()
    client.session.stop()
    first, second, rest = client.said().split(b"\r\n")
    assert first.startswith(b"250 2.0.0 queued as ")
    assert (second[:10], rest) == (b"421 4.3.2 ", b"")
    assert len(client.shelf.messages) == 1


async def test_nothing_is_served_while_a_message_is_kept(client: Client) -> None:
    client.shelf.open.clear()
    client.send(ENVELOPE)
    assert client.said().endswith(b"354 End the message with <CRLF>.<CRLF>\r\n")
    client.send(b"Subject: x\r\n\r\n.\r\n" + NOOP)
    await client.shelf.waiting.wait()
    client.send(NOOP)
    assert client.said() == b""
    client.shelf.open.set()
    await turns()
    assert client.said().endswith(b"\r\n" + DONE * 2)
    assert len(client.shelf.messages) == 1


async def test_the_end_amid_a_message_ends_the_session(client: Client) -> None:
    client.send(ENVELOPE + b"Subject: x\r\n")
    client.said()
    await turns()
    client.session.eof_received()
    await turns()
    assert (client.said(), client.pipe.closing) == (b"", True)
    assert client.shelf.messages == []


async def test_a_connection_lost_before_the_content_is_read_leaves_nothing(client: Client) -> None:
    """The work has not begun: nothing is left that was never awaited."""
    client.send(ENVELOPE)
    client.pipe.closing = True
    client.session.connection_lost(None)
    await turns()
    client.session.connection_lost(None)
    client.send(NOOP)
    assert client.session.transport is None
    assert client.said() == b""


async def test_a_connection_lost_while_a_message_is_kept_ends_the_wait(client: Client) -> None:
    client.shelf.open.clear()
    client.send(ENVELOPE + b"Subject: x\r\n\r\n.\r\n")
    await client.shelf.waiting.wait()
    work = client.session._work
    client.session.connection_lost(None)
    await turns()
    assert work is not None
    assert work.cancelled()
    assert client.shelf.messages == []


async def test_a_connection_that_cannot_be_parted_from_is_cut(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """Reset by what was sent a moment ago: asyncio tells so at the next call."""
    client.pipe.end_fails = True
    client.send(b"BAD\r\n" * (AT_ONCE + 1))
    await turns()
    assert client.pipe.closing
    assert b"451" not in client.said()
    assert caplog.messages == []


async def test_who_is_parted_from_is_not_borne_for_long(client: Client) -> None:
    client.send(b"BAD\r\n" * (AT_ONCE + 1))
    await turns()
    timer = client.session._timer
    assert timer is not None
    assert not client.pipe.closing
    # to the millisecond, as floats that are added and taken away again differ by a little
    assert round(timer.when() - asyncio.get_running_loop().time(), 3) <= 5


async def test_what_is_left_of_a_content_is_no_command(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(self: Upload, chunk: bytes) -> bytes | None:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr(Upload, "feed", fail)
    client.send(ENVELOPE + b"Subject: x\r\n")
    client.said()
    await turns()
    client.send(b"\r\nNOOP\r\n.\r\nNOOP\r\n")
    await turns()
    said = client.said()
    assert said.startswith(b"451 4.3.0 ")
    assert said.count(b"\r\n") == 1
    assert client.pipe.closing
    assert caplog.messages == ["a command failed"]


async def test_a_lost_connection_has_no_timer(client: Client) -> None:
    timer = client.session._timer
    assert timer is not None
    client.session.connection_lost(None)
    assert timer.cancelled()


async def test_only_while_it_is_asked_a_client_is_told_at_once_amid_a_command(
    client: Client,
) -> None:
    async def exchange() -> str:
        await client.session.ask("334 x")
        return "235 2.7.0 Welcome"

    client.session.commands += ("ASK",)
    client.session.smtp_ASK = lambda _: exchange  # type: ignore[attr-defined]
    client.send(b"ASK\r\n")
    await turns()
    assert client.said() == b"334 x\r\n"
    client.send(b"answer\r\n" + ENVELOPE)
    await turns()
    assert client.said().endswith(b"354 End the message with <CRLF>.<CRLF>\r\n")
    client.session.stop()
    assert (client.said(), client.pipe.closing) == (b"", False)
    client.send(b"Subject: x\r\n\r\n.\r\n")
    await turns()
    assert [line[:9] for line in client.said().split(b"\r\n")] == [b"250 2.0.0", b"421 4.3.2", b""]


async def test_who_is_asked_is_told_at_once(client: Client) -> None:
    client.session.commands += ("ASK",)
    client.session.smtp_ASK = lambda _: lambda: client.session.ask("334 x")  # type: ignore[attr-defined]
    client.send(b"ASK\r\n")
    await turns()
    client.session.stop()
    assert [line[:9] for line in client.said().split(b"\r\n")] == [b"334 x", b"421 4.3.2", b""]
    await turns()
    assert client.pipe.closing


class SlowLogin:
    """Takes its time to say yes."""

    def __init__(self) -> None:
        self.asked, self.may_answer = asyncio.Event(), asyncio.Event()

    async def check(self, peer: str, credentials: Credentials) -> Verdict:
        self.asked.set()
        await self.may_answer.wait()
        return Verdict.WELCOME


async def test_who_waits_for_a_log_in_is_not_too_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    login = SlowLogin()
    client = Client(cast(Login, login))
    client.session.session.ssl = {}
    client.send(b"EHLO x\r\nAUTH PLAIN AGpvZQBzZWNyZXQ=\r\n")
    client.said()
    await login.asked.wait()
    monkeypatch.setattr(Patience, "left", lambda *_: -1.0)
    client.session._look_at_the_time()
    assert (client.said(), client.pipe.closing) == (b"", False)
    login.may_answer.set()
    await turns()
    assert client.said() == b"235 2.7.0 Welcome\r\n"
    client.session._look_at_the_time()
    assert client.said().startswith(b"421 4.4.2 ")


class Loop:
    """The running loop, but that hands are shaken at once."""

    def __getattr__(self, name: str) -> object:
        return getattr(asyncio.get_running_loop(), name)

    async def start_tls(self, *_: object, **__: object) -> Pipe:
        return Pipe()


async def test_tls_begins_without_what_held_up_replies_before(client: Client) -> None:
    client.session.loop = cast(asyncio.AbstractEventLoop, Loop())
    client.send(b"EHLO x\r\nSTARTTLS\r\n")
    client.session.pause_writing()
    await turns()
    assert isinstance(client.session.transport, Pipe)
    client.pipe = client.session.transport
    client.send(NOOP)
    assert client.said() == DONE


async def test_an_unforeseen_error_is_answered_and_forgotten(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    client.session.commands += ("BREAK",)
    client.session.smtp_BREAK = lambda _: 1 / 0  # type: ignore[attr-defined]
    client.send(b"BREAK\r\n" + NOOP)
    said = client.said()
    assert said.startswith(b"451 4.3.0 ")
    assert said.endswith(b"\r\n" + DONE)
    assert "a command failed" in caplog.text
