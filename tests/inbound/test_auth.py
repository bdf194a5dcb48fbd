"""Logging in over TLS (RFC 4954), and what a client may do then."""

import asyncio
import smtplib
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from relay.clock import SystemClock
from relay.inbound.certificate import CertificateFiles
from relay.inbound.login import Login
from relay.inbound.message import Origin
from relay.inbound.passwords import hash_password
from relay.inbound.users import UserFile
from relay.lab.ca import CertificateAuthority
from tests.inbound.dialogue import ACCEPTING, Dialogue, FrontDoor, front_door

HELLO = "EHLO client.test"
MAIL = "MAIL FROM:<a@b.test>"
RCPT = "RCPT TO:<c@d.test>"
MESSAGE = b"Subject: x\r\n\r\nbody\r\n"
JOE = "AUTH PLAIN " + b64encode(b"\0joe\0secret").decode()
WRONG = "AUTH PLAIN " + b64encode(b"\0joe\0wrong").decode()
HASH = hash_password(b"secret")
STRANGERS = replace(ACCEPTING, allow=())
IMPLICIT = (("127.0.0.1", 0),)


@pytest.fixture
def ca(tmp_path: Path) -> CertificateAuthority:
    return CertificateAuthority(tmp_path / "ca", SystemClock().now())


@pytest.fixture
def trusting(ca: CertificateAuthority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca.ca_file)


@pytest.fixture
async def door(ca: CertificateAuthority, tmp_path: Path) -> AsyncIterator[FrontDoor]:
    """Nobody may send without a log-in."""
    users = tmp_path / "users"
    users.write_text(f"joe:{HASH}\n", "utf-8")
    path = ca.issue(["relay.test"]).path
    async with front_door(
        STRANGERS,
        login=Login(UserFile(users)),
        certificate=CertificateFiles(path, path),
        tls_addresses=IMPLICIT,
    ) as opened:
        yield opened


@pytest.fixture
async def client(door: FrontDoor, trusting: ssl.SSLContext) -> Dialogue:
    """A client in TLS that has said EHLO."""
    made = await door.connect(listener=1)
    await made.start_tls(trusting)
    await made.reply()
    assert "\r\n250-AUTH PLAIN LOGIN\r\n" in await made.say(HELLO)
    return made


async def test_a_stranger_logs_in_and_sends(door: FrontDoor, client: Dialogue) -> None:
    assert (await client.say(MAIL, RCPT)).startswith("550 5.7.1 ")
    assert (await client.say("RSET", JOE)).startswith("235 2.7.0 ")
    await client.say(MAIL, RCPT, "DATA")
    await client.send(MESSAGE + b".\r\n")
    assert (await client.reply()).startswith("250 2.0.0 ")
    assert door.shelf.contents == [MESSAGE]
    assert b" with ESMTPSA id " in door.shelf.messages[0].body
    # the operator may know, and nobody else
    assert b"joe" not in door.shelf.messages[0].body
    assert door.shelf.origin == Origin("127.0.0.1", "joe", tls=True)


async def test_ext_20_tls_16_no_password_in_clear(door: FrontDoor) -> None:
    plain = await door.greeted()
    assert "AUTH" not in await plain.say(HELLO)
    for line in (JOE, "AUTH LOGIN", "AUTH", "AUTH NONE"):
        assert (await plain.say(line)).startswith("538 5.7.11 ")


@pytest.mark.parametrize(
    ("said", "codes"),
    [
        pytest.param([JOE, JOE], "235 503", id="EXT-19: twice"),
        pytest.param([MAIL, JOE], "250 503", id="EXT-19: in a transaction"),
        pytest.param(["AUTH", "AUTH X-OWN"], "504 504", id="EXT-19: unknown mechanism"),
        pytest.param([WRONG, JOE], "535 235", id="EXT-19: wrong"),
        pytest.param(["AUTH PLAIN", "*", "NOOP"], "334 501 250", id="EXT-19: cancelled"),
        pytest.param(["AUTH LOGIN", "am9l", "*", JOE], "334 334 501 235", id="EXT-19: late"),
        pytest.param(["AUTH LOGIN", "am9l", "c2VjcmV0", MAIL], "334 334 235 250", id="LOGIN"),
        pytest.param(["auth plain", "AGpvZQBzZWNyZXQ="], "334 235", id="EXT-23: any case"),
        pytest.param(["AUTH PLAIN x!", "NOOP"], "501 250", id="EXT-19: bad base64"),
        pytest.param(
            [f"AUTH PLAIN {'A' * 12_276}", "NOOP"], "501 250", id="EXT-21: 12288 octets are read"
        ),
        pytest.param([f"AUTH PLAIN {'A' * 12_280}", "NOOP"], "500 250", id="EXT-21: but no more"),
        pytest.param(
            ["AUTH PLAIN", "A" * 12_288, "NOOP"], "334 501 250", id="EXT-21: an answer of 12288"
        ),
        pytest.param(["AUTH PLAIN", "A" * 12_289, "NOOP"], "334 500 250", id="EXT-21: too long"),
        pytest.param(["AUTH PLAIN", "A" * 300_000, "NOOP"], "334 500 250", id="EXT-21: far too"),
        pytest.param(["HELO x", JOE], "250 503", id="after HELO"),
        pytest.param([JOE, MAIL + " AUTH=<>"], "235 250", id="EXT-22"),
        pytest.param([JOE, MAIL + " AUTH=e+3Dmc2@x"], "235 250", id="EXT-22: xtext"),
        pytest.param([JOE, MAIL + " AUTH=e+3dmc2@x"], "235 501", id="EXT-22: no xtext"),
    ],
)
async def test_dialogue(client: Dialogue, said: list[str], codes: str) -> None:
    answers = [await client.say(line) for line in said]
    assert " ".join(answer[:3] for answer in answers) == codes, answers


async def test_an_answer_without_crlf_is_none(client: Dialogue) -> None:
    await client.say("AUTH PLAIN")
    await client.send(b"AGpvZQBzZWNyZXQ=\n")
    assert (await client.reply()).startswith("500 5.5.6 ")


async def test_tls_03_what_was_not_said_in_tls_does_not_count(
    door: FrontDoor, trusting: ssl.SSLContext
) -> None:
    client = await door.greeted()
    await client.send(f"{HELLO}\r\nSTARTTLS\r\n{JOE}\r\n".encode())
    assert [(await client.reply())[:3] for _ in range(2)] == ["250", "220"]
    await client.start_tls(trusting)
    assert (await client.say(HELLO, MAIL, RCPT)).startswith("550 5.7.1 ")


async def test_failures_make_wait_and_are_not_free(door: FrontDoor, client: Dialogue) -> None:
    answers = [await client.say(WRONG) for _ in range(5)]
    assert {answer[:9] for answer in answers} == {"535 5.7.8"}
    assert (await client.say(JOE)).startswith("454 4.7.0 ")
    # the session goes on, without a log-in
    assert (await client.say(MAIL, RCPT)).startswith("550 5.7.1 ")


async def test_nothing_secret_is_logged(client: Dialogue, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    await client.say(JOE, "RSET", "AUTH LOGIN", WRONG)
    for secret in ("secret", "AGpvZQBzZWNyZXQ", "AGpvZQB3cm9uZw"):
        assert secret not in caplog.text


async def test_a_client_may_leave_in_the_middle(door: FrontDoor, client: Dialogue) -> None:
    await client.say("AUTH LOGIN")
    client.writer.transport.abort()
    other = await door.greeted()
    assert (await other.say("NOOP")).startswith("250 ")


async def test_a_real_client(door: FrontDoor, trusting: ssl.SSLContext) -> None:
    trusting.check_hostname = False

    def send(method: str) -> None:
        with smtplib.SMTP(*door.address) as client:
            client.starttls(context=trusting)
            client.ehlo()
            client.user, client.password = "joe", "secret"
            client.auth(method, getattr(client, f"auth_{method.lower()}"))
            client.sendmail("a@b.test", ["c@d.test"], MESSAGE)

    for method in ("PLAIN", "LOGIN"):
        await asyncio.to_thread(send, method)
    assert door.shelf.contents == [MESSAGE, MESSAGE]
