"""Sessions, octet by octet: RFC 5321's server side, smuggling, pipelining, and how sessions end."""

import asyncio
import errno
import re
import smtplib
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.envelope import DsnRequest
from relay.errors import StorageFullError
from relay.inbound import connection, session
from tests.inbound.dialogue import (
    ACCEPTING,
    DISK_FULL,
    PATIENCE,
    SESSION,
    Dialogue,
    FrontDoor,
    front_door,
    names_in,
)

HELLO = "EHLO client.test"
MAIL = "MAIL FROM:<a@b.test>"
RCPT = "RCPT TO:<c@d.test>"
MESSAGE = b"Subject: x\r\n\r\nbody\r\n"


@pytest.mark.parametrize(
    ("said", "codes"),
    [
        pytest.param(
            [HELLO, MAIL, RCPT, "RSET", "NOOP", "VRFY x"], "250 250 250 250 250 252", id="SRV-01"
        ),
        pytest.param(["VRFY postmaster"], "252", id="SRV-30"),
        pytest.param(
            ["NOOP", "HELP", "RSET", "VRFY x", "NOOP x"], "250 214 250 252 250", id="SRV-06"
        ),
        pytest.param(["EHLO nonsense.test"], "250", id="SRV-05"),
        pytest.param(["EHLO", MAIL], "501 503", id="SRV-04: EHLO without a name"),
        pytest.param([HELLO, MAIL, "EHLO", RCPT], "250 250 501 250", id="SRV-04: refused EHLO"),
        pytest.param([HELLO, MAIL, HELLO, RCPT], "250 250 250 503", id="SRV-04: EHLO resets"),
        pytest.param(["EHLO two words"], "501", id="SMG-08: a name is one word"),
        pytest.param(["RCPT TO:<c@d.test>"], "503", id="SRV-07: RCPT first"),
        pytest.param([HELLO, RCPT], "250 503", id="SRV-07: RCPT before MAIL"),
        pytest.param([MAIL], "503", id="SRV-07: MAIL before EHLO"),
        pytest.param([HELLO, MAIL, MAIL], "250 250 503", id="SRV-07: nested MAIL"),
        pytest.param(["DATA"], "503", id="SRV-07: DATA first"),
        pytest.param([HELLO, MAIL, "DATA"], "250 250 503", id="SRV-07: DATA before RCPT"),
        pytest.param([HELLO, MAIL, "RSET", RCPT], "250 250 250 503", id="SRV-07: RSET"),
        pytest.param(["DATA x", "RSET x", "QUIT x", "NOOP"], "501 501 501 250", id="SRV-12"),
        pytest.param([HELLO, "MAIL FROM:<a@@b>", MAIL], "250 553 250", id="SRV-35: MAIL"),
        pytest.param([HELLO, MAIL, "RCPT TO:<@>", RCPT], "250 250 553 250", id="SRV-35: RCPT"),
        pytest.param([HELLO, "MAIL FROM:<>", RCPT], "250 250 250", id="SRV-32"),
        pytest.param([HELLO, MAIL, "RCPT TO:<>"], "250 250 553", id="no null recipient"),
        pytest.param([HELLO, MAIL, "RCPT TO:<PostMaster>"], "250 250 250", id="SRV-02"),
        pytest.param([HELLO, MAIL, "RCPT TO:<u@localname>"], "250 250 250", id="SRV-34"),
        pytest.param(
            ["ehlo x", "mail from:<a@b.test>", "rcpt to:<c@d.test>"], "250 250 250", id="SRV-09"
        ),
        pytest.param(["HELO x", MAIL + " SIZE=1"], "250 555", id="no parameters after HELO"),
        pytest.param([HELLO, MAIL + " SIZE=100000"], "250 250", id="EXT-06: just fits"),
        pytest.param([HELLO, MAIL + " SIZE=100001", MAIL], "250 552 250", id="EXT-06: too large"),
        pytest.param([HELLO, "MAIL FROM:<ü@b.test>"], "250 553", id="EXT-13: UTF-8 unannounced"),
        pytest.param(
            [HELLO, "MAIL FROM:<ü@b.test> SMTPUTF8", "RCPT TO:<ü@d.test>"],
            "250 250 250",
            id="EXT-13",
        ),
        pytest.param(
            [HELLO, "MAIL FROM:<\udcff@b.test> SMTPUTF8"], "250 553", id="EXT-13: no UTF-8"
        ),
        pytest.param([HELLO, MAIL, RCPT + " SIZE=1"], "250 250 555", id="SRV-11"),
        pytest.param(["HELO x", MAIL, RCPT + " NOTIFY=NEVER"], "250 250 555", id="SRV-11: HELO"),
        pytest.param([HELLO, MAIL, "BDAT 5 LAST"], "250 250 500", id="EXT-18"),
        pytest.param([HELLO, "AUTH PLAIN AGEAYg==", "STARTTLS"], "250 500 500", id="EXT-23"),
        pytest.param(["FOO", "\udcff", "", "NOOP "], "500 500 500 250", id="SRV-22: unknown"),
        pytest.param(["NOOP\t", "NO\0OP", "NOOP x\x7f", "NOOP"], "500 500 500 250", id="SMG-08"),
        pytest.param(["NOOP " + "x" * 2041, "NOOP " + "x" * 2042], "250 500", id="SRV-13: line"),
        pytest.param(["x" * 200_000, "NOOP"], "500 250", id="a line beyond all bounds"),
    ],
)
async def test_dialogue(door: FrontDoor, said: list[str], codes: str) -> None:
    client = await door.greeted()
    answers = [await client.say(line) for line in said]
    assert " ".join(answer[:3] for answer in answers) == codes, answers
    for line, answer in zip(said, answers, strict=True):
        assert_well_formed(line, answer)


# EXT-24, EXT-25, SRV-21: a status code of the reply's class on every line; none for EHLO and HELO
def assert_well_formed(line: str, answer: str) -> None:
    greeting = line[:4].upper() in {"EHLO", "HELO"} and answer.startswith("250")
    for row in answer.splitlines():
        assert row.isascii()
        assert row[:3] == answer[:3]
        if not greeting and row[:3] != "354":
            assert re.match(r"([245])\d\d[ -]\1\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2}) ", row), row


async def test_srv_03_helo_is_one_line(door: FrontDoor) -> None:
    assert await (await door.greeted()).say("HELO x") == "250 relay.test\r\n"


async def test_ext_30_what_is_offered(door: FrontDoor) -> None:
    offered = (await (await door.greeted()).say(HELLO)).splitlines()
    assert [line[4:] for line in offered] == [
        "relay.test",
        "SIZE 100000",
        "PIPELINING",
        "8BITMIME",
        "SMTPUTF8",
        "ENHANCEDSTATUSCODES",
        "DSN",
        "HELP",
    ]


async def test_the_greeting_names_no_software(door: FrontDoor) -> None:
    assert await (await door.connect()).reply() == "220 relay.test ESMTP\r\n"


async def test_envelope(door: FrontDoor) -> None:
    client = await door.greeted()
    await client.say(HELLO, "MAIL FROM:<@x.test:Joe@B.TEST>", "RCPT TO:<PostMaster>")
    await client.say("RCPT TO:<U@D.TEST>", "RCPT TO:<U@D.TEST>", "DATA")
    await client.send(MESSAGE + b".\r\n")
    answer = await client.reply()
    [message] = door.shelf.messages
    assert answer == f"250 2.0.0 queued as {message.id}\r\n"
    assert message.envelope.sender == "Joe@B.TEST"
    assert message.envelope.recipients == ("PostMaster@relay.test", "U@D.TEST")
    assert message.created == 1788264000.0


async def test_srv_02_our_postmaster_has_the_mailbox_that_is_configured() -> None:
    async with front_door(replace(ACCEPTING, postmaster="Ops@b.test")) as door:
        client = await door.greeted()
        await client.say(HELLO, MAIL, "RCPT TO:<postMaster>", "RCPT TO:<Postmaster@d.test>")
        await client.say("RCPT TO:<postmaster@RELAY.test>", "DATA")
        await client.send(MESSAGE + b".\r\n")
        assert (await client.reply()).startswith("250 ")
        [message] = door.shelf.messages
        assert message.envelope.recipients == ("Ops@b.test", "Postmaster@d.test")


async def test_dsn_03_what_is_asked_for_each_recipient(door: FrontDoor) -> None:
    client = await door.greeted()
    await client.say(HELLO, MAIL + " RET=hdrs ENVID=QQ+2BaB")
    await client.say("RCPT TO:<one@d.test> notify=Success,DELAY ORCPT=RFC822;One@D.test")
    await client.say("RCPT TO:<two@d.test>", "RCPT TO:<postmaster> NOTIFY=NEVER")
    await client.say("RCPT TO:<one@d.test> NOTIFY=NEVER", "DATA")
    await client.send(MESSAGE + b".\r\n")
    assert (await client.reply()).startswith("250 ")
    envelope = door.shelf.messages[0].envelope
    assert (envelope.ret, envelope.envid) == ("HDRS", "QQ+2BaB")
    assert envelope.dsn == {
        "one@d.test": DsnRequest(("SUCCESS", "DELAY"), "RFC822;One@D.test"),
        "postmaster@relay.test": DsnRequest(("NEVER",)),
    }
    # the next transaction asks for nothing
    await client.begin()
    await client.send(MESSAGE + b".\r\n")
    await client.reply()
    envelope = door.shelf.messages[1].envelope
    assert (envelope.ret, envelope.envid, envelope.dsn) == (None, None, {})


@pytest.mark.parametrize(
    ("content", "eight_bit", "smtputf8"),
    [
        (b"Subject: x\r\n\r\nbody\r\n", False, False),
        pytest.param(
            b"Subject: x\r\n\r\n" + bytes(range(128, 256)) + b"\r\n", True, False, id="EXT-10"
        ),
        pytest.param("Subject: ü\r\n\r\nbody\r\n".encode(), True, True, id="EXT-13"),
        pytest.param(b"Subject: x\r\n\r\na\0b\r\n", False, False, id="SMG-06: NUL stays"),
        pytest.param(b"", False, False, id="empty"),
        pytest.param(b"\r\n", False, False, id="one empty line"),
        pytest.param(b"no header\r\n", False, False, id="no header"),
        pytest.param(b"x" * 99_998 + b"\r\n", False, False, id="EXT-07: a long line"),
    ],
)
async def test_srv_26_content_as_it_was(
    door: FrontDoor, content: bytes, eight_bit: bool, smtputf8: bool
) -> None:
    client = await door.greeted()
    await client.say(HELLO, MAIL + " SIZE=10 BODY=7BIT", RCPT, "DATA")
    await client.send(content + b".\r\n")
    assert (await client.reply()).startswith("250 2.0.0 ")
    [message] = door.shelf.messages
    assert door.shelf.contents == [content]
    assert (message.envelope.eight_bit, message.envelope.smtputf8) == (eight_bit, smtputf8)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        pytest.param(b"a\nb\r\n", "550 5.6.0", id="SMG-03: LF"),
        pytest.param(b"a\rb\r\n", "550 5.6.0", id="SMG-03: CR"),
        pytest.param(b"Received: x\r\n" * 100 + b"\r\n", "554 5.4.6", id="SRV-28"),
        pytest.param(b"x" * 99_999 + b"\r\n", "552 5.3.4", id="SRV-33: one octet over"),
        pytest.param(b"x" * 300_000 + b"\r\n", "552 5.3.4", id="SRV-33: far over"),
    ],
)
async def test_refused_content(door: FrontDoor, content: bytes, code: str) -> None:
    """SRV-20: nothing is kept; the transaction is over, the session is not."""
    client = await door.greeted()
    await client.begin()
    await client.send(content + b".\r\n")
    assert (await client.reply()).startswith(code)
    assert door.shelf.messages == []
    assert (await client.say("DATA")).startswith("503")
    await client.begin()
    await client.send(MESSAGE + b".\r\n")
    assert (await client.reply()).startswith("250")
    assert door.shelf.contents == [MESSAGE]


async def test_srv_28_ninety_nine_hosts(door: FrontDoor) -> None:
    client = await door.greeted()
    await client.begin()
    await client.send(b"Received: x\r\n" * 99 + b"\r\n.\r\n")
    assert (await client.reply()).startswith("250")


async def test_srv_14_too_many_recipients(door: FrontDoor) -> None:
    client = await door.greeted()
    await client.say(HELLO, MAIL)
    answers = [await client.say(f"RCPT TO:<u{n}@d.test>") for n in range(102)]
    assert {answer[:9] for answer in answers[:100]} == {"250 2.1.5"}
    assert {answer[:9] for answer in answers[100:]} == {"452 4.5.3"}
    await client.say("DATA")
    await client.send(MESSAGE + b".\r\n")
    assert (await client.reply()).startswith("250")
    assert len(door.shelf.messages[0].envelope.recipients) == 100


async def test_srv_29_no_open_relay() -> None:
    async with front_door(replace(ACCEPTING, allow=())) as door:
        client = await door.greeted()
        assert (await client.say(HELLO, MAIL, RCPT)).startswith("550 5.7.1 ")
        assert (await client.say("DATA")).startswith("503")


SMUGGLING = [
    b"\n.\n",
    b"\n.\r\n",
    b"\r.\r\n",
    b"\r\n.\n",
    b"\r\n.\r",
    b"\r.\r",
    b"\r\n\0.\r\n",
    b"\n\n.\r\n",
]
EVIL = b"MAIL FROM:<evil@x.test>\r\nRCPT TO:<v@d.test>\r\nDATA\r\nSubject: evil\r\n\r\nevil"


@pytest.mark.parametrize("singly", [False, True], ids=["whole", "SMG-06: octet by octet"])
@pytest.mark.parametrize("trick", SMUGGLING, ids=repr)
async def test_smg_01_nothing_is_smuggled(door: FrontDoor, trick: bytes, singly: bool) -> None:
    client = await door.greeted()
    await client.begin()
    octets = b"Subject: good\r\n\r\ntext" + trick + EVIL + b"\r\n.\r\n"
    if singly:
        sock = client.writer.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for octet in octets:
            await client.send(bytes([octet]))
    else:
        await client.send(octets)
    await client.send(b"NOOP\r\n")
    answer = await client.reply()
    bare = trick != b"\r\n\0.\r\n"
    assert answer.startswith("550 5.6.0" if bare else "250 2.0.0")
    assert door.shelf.contents == ([] if bare else [octets[:-3]])
    # the one reply more is NOOP's: nothing after the trick was taken for a command
    assert await client.reply() == "250 2.0.0 Done\r\n"


@pytest.mark.parametrize(
    "line", [b"NOOP\n", b"NOOP\rQUIT\r\n", b"QUIT\r\r\n", b"\n", b"NOOP \0\r\n"], ids=repr
)
async def test_smg_02_lines_end_in_crlf(door: FrontDoor, line: bytes) -> None:
    client = await door.greeted()
    await client.send(line)
    assert (await client.reply()).startswith("500 5.5.2 ")
    assert (await client.say("NOOP")).startswith("250")


async def test_ext_03_pipelining(door: FrontDoor) -> None:
    client = await door.greeted()
    await client.send(
        b"EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<bad>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n"
    )
    replies = [await client.reply() for _ in range(5)]
    assert [reply[:3] for reply in replies] == ["250", "250", "553", "250", "354"]
    await client.send(MESSAGE + b".\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n")
    replies = [await client.reply() for _ in range(4)]
    assert [reply[:3] for reply in replies] == ["250", "250", "250", "354"]
    await client.send(b".\r\nQUIT\r\n")
    assert [(await client.reply())[:3] for _ in range(2)] == ["250", "221"]
    assert await client.closed()
    assert door.shelf.contents == [MESSAGE, b""]


async def test_ext_04_all_recipients_refused(door: FrontDoor) -> None:
    client = await door.greeted()
    await client.say(HELLO)
    await client.send(b"MAIL FROM:<a@b.test>\r\nRCPT TO:<bad>\r\nDATA\r\n")
    assert [(await client.reply())[:3] for _ in range(3)] == ["250", "553", "503"]


async def test_ext_31_sessions_do_not_disturb_one_another(door: FrontDoor) -> None:
    """Each may send commands as long as it is allowed, whoever else comes and goes."""
    first, second = await door.greeted(), await door.greeted()
    envid = "x" * 90
    long = f"MAIL FROM:<a@b.test> SIZE=1 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID={envid}"
    for client in (first, second):
        assert (await client.say(HELLO, long)).startswith("250 2.1.0")
    third = await door.greeted()
    await third.say(HELLO)
    recipient = f"RCPT TO:<{'u' * 60}@d.test> NOTIFY=NEVER ORCPT=rfc822;{'o' * 400}@d.test"
    for client in (first, second):
        assert (await client.say(recipient)).startswith("250 2.1.5")
    assert (await third.say(recipient)).startswith("503")


async def test_thousands_of_pipelined_commands(door: FrontDoor) -> None:
    client = await door.greeted()
    sending = asyncio.create_task(client.send(b"NOOP\r\n" * 5000 + b"QUIT\r\n"))
    answers = [await client.reply() for _ in range(5001)]
    await sending
    assert {answer[:3] for answer in answers[:-1]} == {"250"}
    assert answers[-1].startswith("221")


async def test_a_client_that_closes_its_side_is_still_served(door: FrontDoor) -> None:
    client = await door.greeted()
    await client.send(f"{HELLO}\r\n{MAIL}\r\n{RCPT}\r\nDATA\r\n".encode() + MESSAGE + b".\r\n")
    client.writer.write_eof()
    codes = [(await client.reply())[:3] for _ in range(5)]
    assert codes == ["250", "250", "250", "354", "250"]
    assert await client.closed()
    assert door.shelf.contents == [MESSAGE]


@pytest.mark.parametrize("cut", ["eof", "reset"])
async def test_an_unfinished_message_is_not_kept(door: FrontDoor, cut: str) -> None:
    client = await door.greeted()
    await client.begin()
    await client.send(MESSAGE + b".\r")
    if cut == "eof":
        client.writer.write_eof()
        assert await client.closed()
    else:
        client.writer.transport.abort()
    other = await door.greeted()
    assert (await other.say("NOOP")).startswith("250")
    assert door.shelf.messages == []


async def test_srv_18_storage_trouble_is_transient(door: FrontDoor) -> None:
    door.shelf.trouble = DISK_FULL
    client = await door.greeted()
    await client.begin()
    await client.send(MESSAGE + b".\r\n")
    answer = await client.reply()
    assert answer.startswith("451 4.3.0 ")
    assert "spool" not in answer
    door.shelf.trouble = None
    await client.begin()
    await client.send(MESSAGE + b".\r\n")
    assert (await client.reply()).startswith("250")
    assert door.shelf.contents == [MESSAGE]


async def test_srv_18_a_full_disk_is_told_as_such(door: FrontDoor) -> None:
    door.shelf.trouble = StorageFullError("spool-0.db: database or disk is full")
    client = await door.greeted()
    await client.begin()
    await client.send(MESSAGE + b".\r\n")
    answer = await client.reply()
    assert answer.startswith("452 4.3.1 ")
    assert "spool" not in answer
    assert door.shelf.messages == []


LARGE = b"Subject: large\r\n\r\n" + (b".dot\r\n" + b"y" * 997 + b"\r\n") * 3000


async def test_srv_26_a_large_message_is_spooled(tmp_path: Path) -> None:
    spooling = replace(SESSION, spool=tmp_path)
    async with front_door(replace(ACCEPTING, max_message_size=4_000_000), spooling) as door:
        client = await door.greeted()
        await client.begin()
        await client.send(LARGE.replace(b"\r\n.", b"\r\n..") + b".\r\nNOOP\r\n")
        assert (await client.reply()).startswith("250 2.0.0 queued as ")
        assert (await client.reply()).startswith("250 2.0.0 Done")
        [message] = door.shelf.messages
        assert (message.body, message.envelope.eight_bit) == (b"", False)
        assert message.spooled is not None
        assert message.spooled.readonly
        assert door.shelf.contents == [LARGE]
        # the file has no name that a crash could leave behind
        assert names_in(tmp_path) == []


async def test_a_large_message_cut_short_leaves_nothing(tmp_path: Path) -> None:
    spooling = replace(SESSION, spool=tmp_path)
    async with front_door(replace(ACCEPTING, max_message_size=4_000_000), spooling) as door:
        client = await door.greeted()
        await client.begin()
        await client.send(LARGE[:1_000_000])
        client.writer.transport.abort()
        other = await door.greeted()
        assert (await other.say("NOOP")).startswith("250")
        assert door.shelf.messages == []
        assert names_in(tmp_path) == []


# Written through the mapping, a Received line would kill the process where the disk is full
@pytest.mark.parametrize("what", ["tempfile.TemporaryFile", "os.pwrite"])
@pytest.mark.parametrize(
    ("trouble", "code"),
    [
        pytest.param(OSError(errno.ENOSPC, "No space left"), "452 4.3.1", id="SRV-18: full"),
        pytest.param(OSError(errno.EIO, "Input/output error"), "451 4.3.0", id="SRV-18: broken"),
    ],
)
async def test_a_large_message_that_cannot_be_spooled(
    monkeypatch: pytest.MonkeyPatch, what: str, trouble: OSError, code: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise trouble

    monkeypatch.setattr(what, fail)
    async with front_door(replace(ACCEPTING, max_message_size=4_000_000)) as door:
        client = await door.greeted()
        await client.begin()
        await client.send(LARGE + b".\r\n")
        assert (await client.reply()).startswith(code)
        assert door.shelf.messages == []
        await client.begin()
        await client.send(MESSAGE + b".\r\n")
        assert (await client.reply()).startswith("250 ")


async def test_srv_28_loops_are_found_in_large_messages_too() -> None:
    header = b"Received: x\r\nX-Seal: " + b"z" * 5000 + b"\r\n"
    strict = replace(ACCEPTING, max_message_size=4_000_000, max_received=60)
    async with front_door(strict) as door:
        for hosts, code in ((59, "250 2.0.0"), (60, "554 5.4.6")):
            client = await door.greeted()
            await client.begin()
            await client.send(header * hosts + b"\r\n" + header * 100 + b".\r\n")
            assert (await client.reply()).startswith(code)


async def test_smg_03_bare_line_ends_normalised() -> None:
    async with front_door(replace(ACCEPTING, normalise=True)) as door:
        client = await door.greeted()
        await client.begin()
        await client.send(b"Subject: x\n\r\na\rb\n.\nMAIL FROM:<evil@x.test>\r\n.\r\nNOOP\r\n")
        assert (await client.reply()).startswith("250 2.0.0 queued as ")
        assert (await client.reply()).startswith("250 2.0.0 Done")
    kept = b"Subject: x\r\n\r\na\r\nb\r\n.\r\nMAIL FROM:<evil@x.test>\r\n"
    assert door.shelf.contents == [kept]


async def test_srv_18_the_unforeseen_is_transient(
    door: FrontDoor, caplog: pytest.LogCaptureFixture
) -> None:
    door.shelf.trouble = ZeroDivisionError("secret of the house")
    client = await door.greeted()
    await client.begin()
    await client.send(MESSAGE + b".\r\n")
    answer = await client.reply()
    assert answer.startswith("451 4.3.0 ")
    assert "secret" not in answer
    assert "ZeroDivisionError: secret of the house" in caplog.text
    assert (await client.say("DATA")).startswith("503")


async def test_a_client_that_leaves_too_early_gets_its_message_kept(door: FrontDoor) -> None:
    door.shelf.open.clear()
    client = await door.greeted()
    await client.begin()
    await client.send(MESSAGE + b".\r\n")
    await door.shelf.waiting.wait()
    client.writer.transport.abort()
    other = await door.greeted()
    assert (await other.say("NOOP")).startswith("250")
    door.shelf.open.set()
    await other.begin()
    await other.send(b".\r\n")
    assert (await other.reply()).startswith("250")
    assert door.shelf.contents == [MESSAGE, b""]


async def test_too_many_errors_end_in_421(door: FrontDoor) -> None:
    client = await door.greeted()
    answers = [await client.say("FOO") for _ in range(101)]
    assert {answer[:3] for answer in answers} == {"500"}
    assert (await client.reply()).startswith("421 4.7.0 ")
    assert await client.closed()


async def test_too_many_errors_are_told_however_much_is_on_its_way(door: FrontDoor) -> None:
    client = await door.greeted()
    sending = asyncio.create_task(client.send(b"FOO\r\n" * 200_000))
    answers = [await client.reply() for _ in range(102)]
    assert {answer[:9] for answer in answers[:101]} == {"500 5.5.1"}
    assert answers[101].startswith("421 4.7.0 ")
    assert await client.closed()
    await sending


async def test_too_many_commands_without_a_message_end_in_421(
    door: FrontDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_COMMANDS_LIMIT", 20)
    client = await door.greeted()
    for _ in range(3):
        await client.begin()
        await client.send(MESSAGE + b".\r\n")
        assert (await client.reply()).startswith("250 ")
    answers = [await client.say("NOOP") for _ in range(20)]
    assert {answer[:3] for answer in answers} == {"250"}
    assert (await client.say("NOOP")).startswith("250")
    assert (await client.reply()).startswith("421 4.7.0 ")
    assert await client.closed()


async def test_a_message_has_its_time() -> None:
    async with front_door(session=replace(SESSION, timeout=30, message_timeout=1)) as door:
        client = await door.greeted()
        await client.begin()
        sending = asyncio.create_task(forever(client))
        assert (await client.reply()).startswith("421 4.4.2 ")
        sending.cancel()
        assert door.shelf.messages == []


async def forever(client: Dialogue) -> None:
    """Fast enough, and without end."""
    while True:
        await client.send(b"z" * 200 + b"\r\n")
        await asyncio.sleep(0.05)


async def test_srv_24_silence_ends_in_421() -> None:
    async with front_door(session=replace(SESSION, timeout=0.05)) as door:
        client = await door.greeted()
        assert (await client.reply()).startswith("421 4.4.2 ")
        assert await client.closed()


async def test_srv_24_silence_in_the_data_ends_in_421() -> None:
    async with front_door(session=replace(SESSION, timeout=1)) as door:
        client = await door.greeted()
        await client.begin()
        await client.send(b"Subject: x\r\n")
        assert (await client.reply()).startswith("421 4.4.2 ")
        assert door.shelf.messages == []


async def test_a_client_that_reads_no_reply_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_LINGER", 0.1)
    monkeypatch.setattr(session, "_COMMANDS_LIMIT", 10**9)
    async with front_door(session=replace(SESSION, timeout=1)) as door:
        client = await door.greeted()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        client.writer.write(b"HELP\r\n" * 5_000_000)
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(ConnectionError):
                await client.writer.drain()


async def test_srv_24_the_store_may_take_its_time() -> None:
    async with front_door(session=replace(SESSION, timeout=1)) as door:
        client = await door.greeted()
        await client.begin()
        door.shelf.open.clear()
        await client.send(MESSAGE + b".\r\n")
        asyncio.get_running_loop().call_later(1.5, door.shelf.open.set)
        assert (await client.reply()).startswith("250 2.0.0 queued as ")


async def test_srv_24_progress_counts() -> None:
    """A slow but moving client outlives the timeout, which is what this test must wait for."""
    async with front_door(session=replace(SESSION, timeout=1)) as door:
        client = await door.greeted()
        await client.begin()
        for _ in range(6):
            await client.send(b"x" * 100)
            await asyncio.sleep(0.25)
        await client.send(b"\r\n.\r\n")
        assert (await client.reply()).startswith("250 2.0.0 queued as ")
        assert door.shelf.contents == [b"x" * 600 + b"\r\n"]


CONTENTS = [
    b"Subject: dots\r\n\r\n.\r\n..\r\n.x\r\n..x\r\nx.\r\n",
    b"Subject: octets\r\n\r\n" + bytes(set(range(256)) - {10, 13}) + b"\r\n",
    b"Subject: lines\r\n\r\n" + b"y" * 70_000 + b"\r\n" + b"." * 3000 + b"\r\n",
    b"Received: b\r\nReceived: a\r\nsUBJECT:x\r\n folded \r\n\r\n\r\n \t\r\n",
]


async def test_srv_26_a_real_client(door: FrontDoor) -> None:
    def send() -> None:
        with smtplib.SMTP(*door.address, local_hostname="client.test") as client:
            for content in CONTENTS:
                client.sendmail("a@b.test", ["c@d.test"], content)

    await asyncio.to_thread(send)
    assert door.shelf.contents == CONTENTS
    assert door.shelf.messages[0].body.startswith(
        b"Received: from client.test ([127.0.0.1])\r\n\tby relay.test with ESMTP id "
    )


WORDS = st.sampled_from(
    ["EHLO x", "HELO x", MAIL, "MAIL FROM:<>", RCPT, "DATA", "RSET", "NOOP", "VRFY", "", "."]
)
TEXT = st.characters(exclude_categories=["Cs"], exclude_characters="\r\n")
LINES = st.lists(WORDS | st.text(TEXT, max_size=20))


# SRV-21, EXT-24, EXT-25: whatever a client says, each line has one reply of good form and the
# session goes on
@settings(max_examples=40)
@given(LINES)
def test_any_commands(lines: list[str]) -> None:
    async def talk() -> None:
        async with front_door() as door:
            client = await door.greeted()
            for line in lines:
                answer = await client.say(line)
                assert_well_formed(line, answer)
                if answer.startswith("354"):
                    await client.send(MESSAGE + b".\r\n")
                    assert (await client.reply()).startswith("250")
                    assert door.shelf.contents[-1] == MESSAGE
            assert (await client.say("QUIT")).startswith("221")
            assert await client.closed()

    asyncio.run(talk())
