"""STARTTLS and implicit TLS with clients, among them those that cheat (RFC 3207, RFC 8314)."""

import asyncio
import shutil
import smtplib
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
import uvloop

from relay.clock import SystemClock
from relay.inbound import connection
from relay.inbound.certificate import CertificateError, CertificateFiles
from relay.lab.ca import CertificateAuthority
from tests.inbound.dialogue import PATIENCE, SESSION, Dialogue, FrontDoor, front_door

HELLO = "EHLO client.test"
MAIL = "MAIL FROM:<a@b.test>"
RCPT = "RCPT TO:<c@d.test>"
MESSAGE = b"Subject: x\r\n\r\nbody\r\n"
IMPLICIT = (("127.0.0.1", 0),)


@pytest.fixture
def ca(tmp_path: Path) -> CertificateAuthority:
    return CertificateAuthority(tmp_path / "ca", SystemClock().now())


@pytest.fixture
def trusting(ca: CertificateAuthority) -> ssl.SSLContext:
    """A client that trusts the CA."""
    return ssl.create_default_context(cafile=ca.ca_file)


def files(ca: CertificateAuthority) -> CertificateFiles:
    path = ca.issue(["relay.test"]).path
    return CertificateFiles(path, path)


@pytest.fixture
async def door(ca: CertificateAuthority) -> AsyncIterator[FrontDoor]:
    """Clear first on listener 0, TLS at once on listener 1."""
    async with front_door(certificate=files(ca), tls_addresses=IMPLICIT) as opened:
        yield opened


async def in_tls(door: FrontDoor, context: ssl.SSLContext) -> Dialogue:
    client = await door.greeted()
    assert (await client.say(HELLO, "STARTTLS")).startswith("220 ")
    await client.start_tls(context)
    return client


async def test_tls_01_a_message_over_starttls(door: FrontDoor, trusting: ssl.SSLContext) -> None:
    client = await door.greeted()
    assert "STARTTLS" in await client.say(HELLO)
    assert (await client.say("STARTTLS x")).startswith("501 5.5.4 ")
    assert (await client.say("starttls")).startswith("220 2.0.0 ")
    await client.start_tls(trusting)
    await client.begin()
    await client.send(MESSAGE + b".\r\n")
    assert (await client.reply()).startswith("250 2.0.0 ")
    assert (await client.say("QUIT")).startswith("221 ")
    assert await client.closed()
    assert door.shelf.contents == [MESSAGE]
    assert b" with ESMTPS id " in door.shelf.messages[0].body


async def test_tls_02_not_offered_and_not_taken_twice(
    door: FrontDoor, trusting: ssl.SSLContext
) -> None:
    client = await in_tls(door, trusting)
    assert "STARTTLS" not in await client.say(HELLO)
    assert (await client.say("STARTTLS")).startswith("503 5.5.1 ")
    assert (await client.say("NOOP")).startswith("250 ")


async def test_tls_03_everything_before_is_forgotten(
    door: FrontDoor, trusting: ssl.SSLContext
) -> None:
    client = await door.greeted()
    await client.say(HELLO, MAIL, RCPT, "STARTTLS")
    await client.start_tls(trusting)
    assert (await client.say(RCPT)).startswith("503 ")
    assert (await client.say("DATA")).startswith("503 ")
    assert (await client.say(MAIL)).startswith("503 5.5.1 Send EHLO")
    assert (await client.say(HELLO, MAIL)).startswith("250 ")


async def test_tls_05_tls_is_not_required(door: FrontDoor) -> None:
    client = await door.greeted()
    assert (await client.say(HELLO, MAIL, RCPT)).startswith("250 ")


@pytest.mark.parametrize("behind", [b"NOOP\r\n", MAIL.encode() + b"\r\n", b"x" * 300_000], ids=len)
async def test_tls_06_smg_07_what_comes_behind_starttls_in_clear_is_dropped(
    door: FrontDoor, trusting: ssl.SSLContext, behind: bytes
) -> None:
    client = await door.greeted()
    await client.say(HELLO)
    await client.send(b"STARTTLS\r\n" + behind)
    assert (await client.reply()).startswith("220 ")
    try:
        await client.start_tls(trusting)
    except OSError:
        # more than was read together with it: no part of a handshake, so there is none
        assert len(behind) > 100_000
        return
    # nothing of it is answered: the next reply is that to the next command
    assert (await client.say("HELP")).startswith("214 ")
    assert (await client.say(RCPT)).startswith("503 5.5.1 Send MAIL")


async def test_tls_16_tls_from_the_first_octet(door: FrontDoor, trusting: ssl.SSLContext) -> None:
    client = await door.connect(listener=1)
    await client.start_tls(trusting)
    assert (await client.reply()).startswith("220 relay.test ")
    assert "STARTTLS" not in await client.say(HELLO)
    await client.begin()
    await client.send(MESSAGE + b".\r\n")
    assert (await client.reply()).startswith("250 2.0.0 ")
    assert door.shelf.contents == [MESSAGE]


async def test_ext_03_commands_pipelined_in_tls(door: FrontDoor, trusting: ssl.SSLContext) -> None:
    client = await in_tls(door, trusting)
    await client.send(f"{HELLO}\r\n{MAIL}\r\n{RCPT}\r\nDATA\r\n".encode())
    assert [(await client.reply())[:3] for _ in range(4)] == ["250", "250", "250", "354"]
    await client.send(MESSAGE * 20_000 + b".\r\nQUIT\r\n")
    # too large for this door, and read to its end all the same
    assert [(await client.reply())[:3] for _ in range(2)] == ["552", "221"]


async def test_a_real_client(door: FrontDoor, trusting: ssl.SSLContext) -> None:
    def send(port: int, *, implicit: bool) -> None:
        trusting.check_hostname = False  # it knows the server by its address
        if implicit:
            client: smtplib.SMTP = smtplib.SMTP_SSL("127.0.0.1", port, context=trusting)
        else:
            client = smtplib.SMTP("127.0.0.1", port)
            client.starttls(context=trusting)
        with client:
            client.sendmail("a@b.test", ["c@d.test"], MESSAGE)

    for listener in (0, 1):
        _, port = door.listeners.bound[listener]
        await asyncio.to_thread(send, port, implicit=listener == 1)
    assert door.shelf.contents == [MESSAGE, MESSAGE]


async def test_tls_18_a_client_that_names_nobody(door: FrontDoor, trusting: ssl.SSLContext) -> None:
    trusting.check_hostname = False
    client = await door.connect(listener=1)
    async with asyncio.timeout(PATIENCE):
        await client.writer.start_tls(trusting)
    assert (await client.reply()).startswith("220 ")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1")
@pytest.mark.parametrize("version", ["TLSv1_1", "TLSv1_2", "TLSv1_3"])
async def test_tls_10_tls_11_no_tls_below_1_2(
    door: FrontDoor, trusting: ssl.SSLContext, version: str
) -> None:
    trusting.minimum_version = trusting.maximum_version = ssl.TLSVersion[version]
    trusting.set_ciphers("DEFAULT:@SECLEVEL=0")

    def shake_hands() -> None:
        with socket.create_connection(door.listeners.bound[1], PATIENCE) as sock:
            trusting.wrap_socket(sock, server_hostname="relay.test").close()

    if version == "TLSv1_1":
        with pytest.raises(ssl.SSLError, match="EOF"):
            await asyncio.to_thread(shake_hands)
    else:
        await asyncio.to_thread(shake_hands)
    await all_leave(door)


async def all_leave(door: FrontDoor) -> None:
    """The end comes only when every client is gone: none is left in the count."""
    for writer in door.writers:
        writer.transport.abort()
    async with asyncio.timeout(PATIENCE):
        await door.listeners.close(2 * PATIENCE)


@pytest.mark.parametrize("listener", [0, 1])
@pytest.mark.parametrize("instead", ["clear", "eof", "reset", "half"])
async def test_a_handshake_that_fails_ends_the_connection(
    door: FrontDoor, listener: int, instead: str
) -> None:
    client = await door.connect(listener=listener)
    if listener == 0:
        await client.reply()
        await client.say("STARTTLS")
    if instead == "clear":
        await client.send(b"EHLO client.test\r\n")
        assert b"250" not in await client.reader.read()
    elif instead == "eof":
        client.writer.write_eof()
        assert await client.closed()
    elif instead == "half":
        await client.send(b"\x16\x03\x01\x02\x00\x01")
    await all_leave(door)


async def test_silence_instead_of_a_handshake_ends_in_a_cut(ca: CertificateAuthority) -> None:
    impatient = replace(SESSION, timeout=0.2)
    async with front_door(session=impatient, certificate=files(ca), tls_addresses=IMPLICIT) as door:
        client = await door.connect(listener=1)
        # not a word in clear
        assert await client.closed()


async def test_tls_handshakes_have_a_bound(
    ca: CertificateAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_HANDSHAKE", 0.2)
    async with front_door(certificate=files(ca)) as door:
        client = await door.greeted()
        await client.say("STARTTLS")
        assert await client.closed()


async def test_srv_24_silence_in_tls_ends_in_421(
    ca: CertificateAuthority, trusting: ssl.SSLContext
) -> None:
    async with front_door(session=replace(SESSION, timeout=1), certificate=files(ca)) as door:
        client = await in_tls(door, trusting)
        assert (await client.reply()).startswith("421 4.4.2 ")
        assert await client.closed()


async def test_srv_23_clients_in_tls_are_told_of_the_end(
    door: FrontDoor, trusting: ssl.SSLContext
) -> None:
    idle = await in_tls(door, trusting)
    await idle.say("NOOP")
    shaking = await door.connect(listener=1)
    closing = asyncio.create_task(door.listeners.close(0.5))
    assert (await idle.reply()).startswith("421 4.3.2 ")
    assert await idle.closed()
    assert await shaking.closed()
    await closing


async def test_too_many_clients_are_told_nothing_in_clear(ca: CertificateAuthority) -> None:
    async with front_door(certificate=files(ca), tls_addresses=IMPLICIT, max_connections=1) as door:
        await door.greeted()
        assert await (await door.connect(listener=1)).closed()


def shown(client: Dialogue) -> object:
    certificate = client.writer.get_extra_info("ssl_object").getpeercert()
    return certificate["serialNumber"]


async def test_the_certificate_is_read_again(
    ca: CertificateAuthority, trusting: ssl.SSLContext, tmp_path: Path
) -> None:
    path = tmp_path / "relay.pem"
    shutil.copy(ca.issue(["relay.test"]).path, path)
    mine = CertificateFiles(path, path)
    async with front_door(certificate=mine, tls_addresses=IMPLICIT) as door:
        old = await in_tls(door, trusting)
        shutil.copy(ca.issue(["relay.test"]).path, path)
        door.listeners.renew(door.listeners._settings, door.listeners._reception)
        new = await in_tls(door, trusting)
        implicit = await door.connect(listener=1)
        await implicit.start_tls(trusting)
        path.write_text("nothing")
        with pytest.raises(CertificateError):
            door.listeners.renew(door.listeners._settings, door.listeners._reception)
        last = await in_tls(door, trusting)
        assert (await old.say("NOOP")).startswith("250 ")
        assert shown(old) != shown(new)
        assert shown(new) == shown(implicit) == shown(last)


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_hello_that_is_there_at_once_is_answered(
    ca: CertificateAuthority, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """uvloop reads it before the session can ask for TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    hello = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), hello, server_hostname="relay.test").do_handshake()

    async def story() -> None:
        async with front_door(certificate=files(ca), tls_addresses=IMPLICIT) as door:
            # nothing is awaited: it is all there when the loop looks
            with socket.create_connection(door.listeners.bound[1]) as client:
                client.sendall(hello.read())
                client.settimeout(0)
                async with asyncio.timeout(5):
                    answer = await asyncio.get_running_loop().sock_recv(client, 5)
        assert answer[:1] == b"\x16", "a handshake record (RFC 8446 §5.1)"

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(story())
