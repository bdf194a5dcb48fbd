"""Whole sessions at random, cut into segments at random, against a model of what must come of it.

SRV-07, SRV-21, EXT-03: one reply a command, in order. SRV-20: a message is kept where it was
answered 250, once, with those recipients, and nowhere else.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.inbound.dialogue import ACCEPTING, PATIENCE, FrontDoor, front_door

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "60"))
LIMIT = 5000
BODY = b"Subject: x\r\n\r\n.dot\r\nbody\r\n"


@dataclass
class Model:
    """What a session must have answered so far, and what must have been kept."""

    sent: bytes = b""
    codes: list[str] = field(default_factory=lambda: ["220"])
    kept: list[tuple[bytes, tuple[str, ...]]] = field(default_factory=list)
    extended: bool | None = None
    sender: bool = False
    recipients: list[str] = field(default_factory=list)

    def say(self, line: bytes, code: str) -> None:
        self.sent += line
        self.codes.append(code)

    def forget(self) -> None:
        self.sender, self.recipients = False, []

    def greet(self, *, extended: bool) -> None:
        self.forget()
        self.extended = extended
        self.say(b"EHLO x\r\n" if extended else b"HELO x\r\n", "250")

    def reset(self) -> None:
        self.forget()
        self.say(b"RSET\r\n", "250")

    def mail(self, argument: bytes, code: str) -> None:
        if self.extended is None or self.sender:
            code = "503"
        elif b" " in argument and not self.extended:
            code = "555"
        self.sender = self.sender or code == "250"
        self.say(b"MAIL FROM:" + argument + b"\r\n", code)

    def rcpt(self, address: str, code: str) -> None:
        code = code if self.sender else "503"
        if code == "250":
            self.recipients.append(address)
        self.say(f"RCPT TO:<{address}>\r\n".encode(), code)

    def data(self, content: bytes, code: str) -> None:
        if not self.recipients:
            return self.say(b"DATA\r\n", "503")
        self.say(b"DATA\r\n", "354")
        stuffed = (b"\r\n" + content).replace(b"\r\n.", b"\r\n..")[2:]
        self.say(stuffed + b".\r\n", code)
        if code == "250":
            self.kept.append((content, tuple(dict.fromkeys(self.recipients))))
        self.forget()


Step = Callable[[Model], None]

NO_NEWLINE = st.binary(max_size=30).map(lambda octets: octets.replace(b"\n", b""))
TRICKS = [b"\n.\n", b"\n.\r\n", b"\r.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n\0.\r\n", b"\n\n.\r\n"]
EVIL = b"MAIL FROM:<evil@x.test>\r\nRCPT TO:<v@d.test>\r\nDATA\r\n"
CONTENTS = st.one_of(
    st.tuples(
        st.sampled_from([b"", BODY, b"\r\n", b".\r\n..\r\n", b"\xff\r\n" * 99]), st.just("250")
    ),
    st.tuples(st.just(b"z" * LIMIT + b"\r\n"), st.just("552")),
    # stuffing makes a lone dot behind CRLF two: what is left of these tricks are bare line ends
    st.tuples(st.sampled_from(TRICKS), st.just("550")).map(
        lambda pair: (BODY + pair[0] + EVIL, "250" if b"\0" in pair[0] else pair[1])
    ),
)


def transaction(model: Model, recipients: list[str], content: tuple[bytes, str]) -> None:
    """A whole one, which chance alone seldom makes."""
    model.greet(extended=True)
    model.mail(b"<a@b.test>", "250")
    for recipient in recipients:
        model.rcpt(recipient, "250")
    model.data(*content)


RECIPIENTS = st.lists(st.sampled_from(["u@d.test", "v@e.test", "w@d.test"]), min_size=1, max_size=4)
STEPS: st.SearchStrategy[Step] = st.one_of(
    st.tuples(RECIPIENTS, CONTENTS).map(lambda pair: lambda model: transaction(model, *pair)),
    st.booleans().map(lambda yes: lambda model: model.greet(extended=yes)),
    st.just(Model.reset),
    st.sampled_from(
        [
            (b"<a@b.test>", "250"),
            (b"<>", "250"),
            (b"<a@b.test> SIZE=10 BODY=8BITMIME RET=FULL", "250"),
            (b"<a@b.test> SIZE=99999", "552"),
            (b"<a@b.test", "501"),
            (b"<a@@b.test>", "553"),
            (b"<a@b.test> NONSENSE=1", "555"),
        ]
    ).map(lambda pair: lambda model: model.mail(*pair)),
    st.sampled_from([("u@d.test", "250"), ("v@e.test", "250"), ("", "553"), ("@", "553")]).map(
        lambda pair: lambda model: model.rcpt(*pair)
    ),
    CONTENTS.map(lambda pair: lambda model: model.data(*pair)),
    st.sampled_from(
        [
            (b"NOOP\r\n", "250"),
            (b"noop x\r\n", "250"),
            (b"VRFY x\r\n", "252"),
            (b"HELP\r\n", "214"),
            (b"EHLO\r\n", "501"),
            (b"\r\n", "500"),
            (b".\r\n", "500"),
            (b"NOOP\n", "500"),
            (b"NOOP\rRSET\r\n", "500"),
            (b"RSET\0\r\n", "500"),
            (b"NOOP " + b"x" * 3000 + b"\r\n", "500"),
            (b"x" * 150_000 + b"\r\n", "500"),
            (b"STARTTLS\r\n", "500"),
            (b"AUTH PLAIN\r\n", "500"),
            (b"BDAT 5 LAST\r\n", "500"),
        ]
    ).map(lambda pair: lambda model: model.say(*pair)),
    NO_NEWLINE.map(lambda noise: lambda model: model.say(b"X" + noise + b"\r\n", "500")),
)


def cut(octets: bytes, borders: list[int]) -> list[bytes]:
    at = sorted({0, len(octets), *(border % (len(octets) + 1) for border in borders)})
    return [octets[begin:end] for begin, end in pairwise(at)]


async def converse(door: FrontDoor, pieces: list[bytes]) -> list[str]:
    """Send the pieces and read to the end; the code of every reply."""
    reader, writer = await asyncio.open_connection(*door.address)
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def send() -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)

    async with asyncio.timeout(PATIENCE):
        answered, _ = await asyncio.gather(reader.read(), send())
    writer.close()
    lines = answered.decode("ascii").split("\r\n")
    assert lines.pop() == ""
    return [line[:3] for line in lines if line[3] == " "]


@settings(max_examples=EXAMPLES)
@given(st.lists(STEPS, max_size=40), st.lists(st.integers(min_value=0), max_size=60))
def test_sessions_follow_the_model(steps: list[Step], borders: list[int]) -> None:
    model = Model()
    for step in steps:
        step(model)
    model.say(b"QUIT\r\n", "221")

    async def run() -> None:
        async with front_door(replace(ACCEPTING, max_message_size=LIMIT)) as door:
            assert await converse(door, cut(model.sent, borders)) == model.codes
            recipients = [message.envelope.recipients for message in door.shelf.messages]
            assert list(zip(door.shelf.contents, recipients, strict=True)) == model.kept

    asyncio.run(run())


class Silence(logging.Handler):
    """Nothing may fail in an unforeseen way."""

    def emit(self, record: logging.LogRecord) -> None:
        assert not record.exc_info, record.getMessage()


WORDS = st.sampled_from(
    [b"EHLO x", b"MAIL FROM:<a@b.test>", b"RCPT TO:<u@d.test>", b"DATA", b".", b"RSET"]
) | st.binary(max_size=40)
ENDS = st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"", b"\r\n.\r\n"])


@pytest.mark.parametrize("end", ["eof", "reset"])
@settings(max_examples=EXAMPLES)
@given(st.lists(st.tuples(WORDS, ENDS), max_size=40), st.lists(st.integers(min_value=0)))
def test_any_octets(end: str, words: list[tuple[bytes, bytes]], borders: list[int]) -> None:
    octets = b"".join(word + ending for word, ending in words)
    # what is sent behind a QUIT resets the connection, and replies may be lost
    assume(b"QUIT" not in octets.upper())

    async def run() -> None:
        async with front_door() as door:
            reader, writer = await asyncio.open_connection(*door.address)
            for piece in cut(octets, borders):
                writer.write(piece)
                await asyncio.sleep(0)
            if end == "reset":
                writer.transport.abort()
            else:
                writer.write_eof()
                async with asyncio.timeout(PATIENCE):
                    answered = await reader.read()
                kept = answered.count(b"250 2.0.0 queued as ")
                assert len(door.shelf.messages) == kept
            writer.close()
            # whatever that was, the next client is served
            assert (await (await door.greeted()).say("NOOP")).startswith("250 ")

    watch = Silence()
    logging.getLogger().addHandler(watch)
    try:
        asyncio.run(run())
    finally:
        logging.getLogger().removeHandler(watch)
