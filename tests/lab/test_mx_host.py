"""The MX host as smtplib, aiosmtplib and a bare socket see it: every fault is what it says."""

import asyncio
import contextlib
import smtplib
import ssl
import warnings
from collections.abc import AsyncIterator

import aiosmtplib
import pytest

from relay.lab.mx_host import MxHost
from relay.lab.world import World

NAME = "mx.d.test"
CONTENT = b"Subject: \xc3\xbc\r\n\r\n.dot\r\n..dots\r\n\r\n"


@pytest.fixture
async def mx(world: World) -> MxHost:
    return await world.mx_host(NAME)


@pytest.fixture
def trust(world: World) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=world.ca_file)


@pytest.fixture
async def bare(world: World, mx: MxHost) -> AsyncIterator["Bare"]:
    client = Bare(mx.address, world.smtp_port)
    yield client
    await client.close()


class Bare:
    """A client that says what it is told to; `talk` connects."""

    def __init__(self, address: str, port: int) -> None:
        self._place = (address, port)

    async def close(self) -> None:
        """Cut the connection."""
        self._writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()

    async def reply(self) -> str:
        """The next reply, lines parted by a newline; "" where the connection has ended."""
        lines: list[str] = []
        while not lines or lines[-1][3:4] == "-":
            line = (await self._reader.readline()).decode()
            if not line:
                return ""
            lines.append(line.removesuffix("\r\n"))
        return "\n".join(lines)

    async def say(self, line: str) -> str:
        """The reply to one line."""
        self._writer.write(line.encode() + b"\r\n")
        return await self.reply()

    async def talk(self, *lines: str) -> list[str]:
        """Connect; the greeting and the replies to these lines, each awaited."""
        self._reader, self._writer = await asyncio.open_connection(*self._place)
        return [await self.reply(), *[await self.say(line) for line in lines]]


TRANSACTION = ("EHLO c.test", "MAIL FROM:<a@c.test>", "RCPT TO:<u@d.test>", "DATA")


@contextlib.asynccontextmanager
async def connected(
    world: World, mx: MxHost, trust: ssl.SSLContext | None
) -> AsyncIterator[aiosmtplib.SMTP]:
    """A client that has gone through STARTTLS, where it trusts anybody."""
    client = aiosmtplib.SMTP(
        hostname=mx.address, port=world.smtp_port, local_hostname="c.test", start_tls=False
    )
    async with client:
        if trust:
            await client.starttls(tls_context=trust, server_hostname=mx.name)
        yield client


async def test_mail_arrives_byte_for_byte_over_tls(
    world: World, mx: MxHost, trust: ssl.SSLContext
) -> None:
    async with connected(world, mx, trust) as client:
        options = ["BODY=8BITMIME"]
        await client.sendmail("a@c.test", ["u@d.test", "V@d.test"], CONTENT, mail_options=options)
    (message,) = await mx.received(1)
    assert message.content == CONTENT
    assert (message.mail_from, message.mail_options) == (
        "a@c.test",
        (f"SIZE={len(CONTENT)}", "BODY=8BITMIME"),
    )
    assert (message.rcpt_tos, message.rcpt_options) == (("u@d.test", "V@d.test"), ())
    assert (message.tls, message.tls_version) == (True, "TLSv1.3")
    assert (message.sni, message.resumed) == (NAME, False)
    assert message.peer[0] == "127.0.0.1"
    assert mx.snis == [NAME]


async def test_mail_arrives_in_clear(world: World, mx: MxHost) -> None:
    async with connected(world, mx, None) as client:
        await client.sendmail("a@c.test", ["u@d.test"], b"x\r\n")
    (message,) = await mx.received(1)
    assert (message.tls, message.tls_version, message.sni) == (False, None, None)
    assert mx.commands == [
        "EHLO c.test",
        "MAIL FROM:<a@c.test> size=3",
        "RCPT TO:<u@d.test>",
        "DATA",
        "QUIT",
    ]
    assert (await mx.endings.reach(1, 5), mx.connections) == (["QUIT"], 1)


async def test_a_tls_session_is_resumed(world: World, mx: MxHost, trust: ssl.SSLContext) -> None:
    trust.maximum_version = ssl.TLSVersion.TLSv1_2  # its session is there after the handshake

    def send(session: ssl.SSLSession | None) -> ssl.SSLSession | None:
        with smtplib.SMTP(mx.address, world.smtp_port, "c.test") as client:
            client.docmd("STARTTLS")
            sock = client.sock
            assert sock is not None
            tls = trust.wrap_socket(sock, server_hostname=NAME, session=session)
            client.sock, client.file = tls, tls.makefile("rb")
            client.ehlo()
            client.sendmail("a@c.test", ["u@d.test"], b"x\r\n")
            return tls.session

    session = await asyncio.to_thread(send, None)
    await asyncio.to_thread(send, session)
    assert [(m.tls_version, m.resumed) for m in mx.messages] == [
        ("TLSv1.2", False),
        ("TLSv1.2", True),
    ]


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("<>", ""),
        ("<A.b@c.test>", "A.b@c.test"),
        ('<"a b>"@c.test>', '"a b>"@c.test'),
        ("<ü@c.test> SMTPUTF8", "ü@c.test"),
        ("<a@[127.0.0.1]>", "a@[127.0.0.1]"),
    ],
)
async def test_an_address_is_recorded_as_written(
    mx: MxHost, bare: Bare, path: str, seen: str
) -> None:
    mail = f"MAIL FROM:{path}"
    await bare.talk("EHLO c.test", mail, "RCPT TO:<u@d.test>", "DATA", "x\r\n.")
    assert mx.messages[0].mail_from == seen
    assert mx.commands[1] == mail


@pytest.mark.parametrize(
    ("step", "count"),
    [("EHLO", 1), ("MAIL", 2), ("RCPT", 3), ("DATA", 4), (".", 5), ("RSET", 6), ("QUIT", 7)],
)
@pytest.mark.parametrize("reply", ["451 4.3.0 no", "550-5.1.1 no\r\n550 5.1.1 never", "421 bye"])
async def test_a_step_is_refused(mx: MxHost, bare: Bare, step: str, count: int, reply: str) -> None:
    mx.replies[step] = reply
    lines = [*TRANSACTION, "x\r\n.", "RSET", "QUIT"][:count]
    *before, last = await bare.talk(*lines)
    assert last == reply.replace("\r\n", "\n")
    assert all(answer[0] in "23" for answer in before)
    assert len(mx.messages) == (count > 5)
    if reply.startswith("421"):
        assert await bare.reply() == ""


@pytest.mark.parametrize(
    ("step", "reply"),
    [
        ("EHLO", "250"),
        ("MAIL", "250 2.1.0 fine"),
        ("RCPT", "251 will forward"),
        ("DATA", "354"),
        (".", "250-2.0.0 taken\r\n250 2.0.0 as X"),
    ],
)
async def test_a_good_reply_may_be_odd_and_the_step_happens(
    mx: MxHost, bare: Bare, step: str, reply: str
) -> None:
    mx.replies[step] = reply
    answers = await bare.talk(*TRANSACTION, "x\r\n.")
    assert reply.replace("\r\n", "\n") in answers
    assert len(mx.messages) == 1


async def test_each_recipient_has_its_own_reply(mx: MxHost, bare: Bare) -> None:
    mx.replies |= {"RCPT:u@d.test": "550 5.1.1 no", "RCPT": ["451 4.2.1 grey"]}
    await bare.talk("EHLO c.test", "MAIL FROM:<a@c.test>")
    rcpts = [f"RCPT TO:<{name}@d.test>" for name in ("u", "v", "v", "u")]
    answers = [await bare.say(line) for line in rcpts]
    assert [answer[:3] for answer in answers] == ["550", "451", "250", "550"]


async def test_ehlo_over_tls_has_its_own_reply(
    world: World, mx: MxHost, trust: ssl.SSLContext
) -> None:
    mx.replies["EHLO:TLS"] = "421 4.3.2 not now"
    async with connected(world, mx, trust) as client:
        with pytest.raises(aiosmtplib.SMTPHeloError, match="not now"):
            await client.ehlo()


@pytest.mark.parametrize("code", ["554 no", "421 4.3.2 busy"])
async def test_a_host_greets_with_a_refusal(world: World, mx: MxHost, code: str) -> None:
    mx.greeting = code
    client = aiosmtplib.SMTP(hostname=mx.address, port=world.smtp_port)
    with pytest.raises(aiosmtplib.SMTPConnectResponseError, match=code[4:]):
        await client.connect()


async def test_after_a_refusing_greeting_only_quit_is_in_order(mx: MxHost, bare: Bare) -> None:
    mx.greeting = "554 5.3.2 no"
    answers = await bare.talk("EHLO c.test", "QUIT")
    assert [answer[:3] for answer in answers] == ["554", "503", "221"]


async def test_a_host_without_starttls_does_not_offer_it(world: World) -> None:
    mx = await world.mx_host(NAME, starttls=False)
    async with connected(world, mx, None) as client:
        await client.ehlo()
        assert not client.supports_extension("starttls")
        assert (await client.execute_command(b"STARTTLS")).code == 454


async def test_starttls_is_refused(world: World, trust: ssl.SSLContext) -> None:
    mx = await world.mx_host(NAME, starttls_reply="454 4.7.0 not now")
    async with connected(world, mx, None) as client:
        with pytest.raises(aiosmtplib.SMTPResponseException, match="not now"):
            await client.starttls(tls_context=trust, server_hostname=NAME)


async def test_plaintext_comes_behind_the_220(mx: MxHost, bare: Bare) -> None:
    mx.injected = b"250 2.0.0 mallory\r\n"
    answers = await bare.talk("EHLO c.test", "STARTTLS")
    assert answers[-1].startswith("220 ")
    assert await bare.reply() == "250 2.0.0 mallory"


@pytest.mark.parametrize(
    ("version", "name"),
    [(ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_1, "TLSv1.1")],
)
async def test_an_old_tls_version_is_spoken(
    world: World, trust: ssl.SSLContext, version: ssl.TLSVersion, name: str
) -> None:
    mx = await world.mx_host(NAME, maximum_tls=version)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        trust.minimum_version = ssl.TLSVersion.TLSv1
    trust.set_ciphers("DEFAULT@SECLEVEL=0")
    async with connected(world, mx, trust) as client:
        await client.sendmail("a@c.test", ["u@d.test"], b"x\r\n")
    assert mx.messages[0].tls_version == name


async def test_a_client_of_today_refuses_an_outdated_version(
    world: World, trust: ssl.SSLContext
) -> None:
    mx = await world.mx_host(NAME, maximum_tls=ssl.TLSVersion.TLSv1_1)
    async with connected(world, mx, None) as client:
        with pytest.raises(aiosmtplib.SMTPException):
            await client.starttls(tls_context=trust, server_hostname=NAME)
    assert not mx.messages


async def test_a_bad_certificate_is_shown_after_a_change(
    world: World, mx: MxHost, trust: ssl.SSLContext
) -> None:
    async with connected(world, mx, trust):
        mx.certificate = world.ca.issue([NAME], expired=True)
    async with connected(world, mx, None) as client:
        with pytest.raises(ssl.SSLCertVerificationError, match="has expired"):
            await client.starttls(tls_context=trust, server_hostname=NAME)
    assert await mx.endings.reach(2, 5) == ["QUIT", "STARTTLS"]


@pytest.mark.parametrize(
    ("extensions", "mail", "code"),
    [
        (("8BITMIME",), "BODY=8BITMIME", "250"),
        ((), "BODY=8BITMIME", "555"),
        (("SMTPUTF8",), "SMTPUTF8", "250"),
        ((), "SMTPUTF8", "555"),
        (("SIZE 100",), "SIZE=100", "250"),
        (("SIZE 100",), "SIZE=101", "552"),
        ((), "SIZE=1", "555"),
        ((), "", "250"),
    ],
)
async def test_a_parameter_needs_its_extension(
    world: World, extensions: tuple[str, ...], mail: str, code: str
) -> None:
    mx = await world.mx_host(NAME, extensions=extensions, starttls=False)
    async with connected(world, mx, None) as client:
        ehlo = await client.ehlo()
        assert ehlo.message.split("\n") == [NAME, *extensions]
        reply = await client.execute_command(f"MAIL FROM:<a@c.test> {mail}".encode())
        assert str(reply.code) == code


async def test_too_much_is_refused_at_the_end(world: World) -> None:
    mx = await world.mx_host(NAME, extensions=("SIZE 10",))
    async with connected(world, mx, None) as client:
        await client.ehlo()
        await client.mail("a@c.test")
        await client.rcpt("u@d.test")
        with pytest.raises(aiosmtplib.SMTPDataError, match="Too much mail data"):
            await client.data(b"x" * 20)
    assert not mx.messages


async def test_a_host_demands_a_login(world: World, trust: ssl.SSLContext) -> None:
    mx = await world.mx_host(NAME, accounts={"me": "secret"}, mechanisms=("LOGIN",))
    async with connected(world, mx, trust) as client:
        assert (await client.ehlo()).message.endswith("AUTH LOGIN")
        assert (await client.execute_command(b"MAIL FROM:<a@c.test>")).code == 530
        assert (await client.execute_command(b"AUTH PLAIN")).code == 504
        with pytest.raises(aiosmtplib.SMTPAuthenticationError):
            await client.auth_login("me", "wrong")
        await client.auth_login("me", "secret")
        await client.sendmail("a@c.test", ["u@d.test"], b"x\r\n")
    assert mx.logins == [("me", "wrong"), ("me", "secret")]
    assert len(mx.messages) == 1


async def test_no_login_without_tls(world: World) -> None:
    mx = await world.mx_host(NAME, accounts={"me": "secret"})
    async with connected(world, mx, None) as client:
        assert "AUTH" not in (await client.ehlo()).message
        assert (await client.execute_command(b"AUTH PLAIN AG1lAHNlY3JldA==")).code == 538
    assert mx.logins == []


async def test_pipelined_commands_are_answered_in_order(mx: MxHost, bare: Bare) -> None:
    greeting, first, *rest = await bare.talk("\r\n".join(TRANSACTION))
    rest = [await bare.reply() for _ in range(3)]
    assert [answer[:3] for answer in (greeting, first, *rest)] == [
        "220", "250", "250", "250", "354",
    ]  # fmt: skip


STEPS = {
    "CONNECT": "",
    "EHLO": "EHLO",
    "STARTTLS": "STARTTLS",
    "TLS": "STARTTLS",
    "MAIL": "MAIL",
    "MAIL:a@c.test": "MAIL",
    "RCPT": "RCPT",
    "RCPT:u@d.test": "RCPT",
    "DATA": "DATA",
    ".": "DATA",
    "QUIT": "QUIT",
}
"""Each step and the last command that the client has said by then."""


@pytest.mark.parametrize(("step", "last"), STEPS.items())
async def test_the_connection_is_dropped_at_a_step(
    mx: MxHost, bare: Bare, step: str, last: str
) -> None:
    mx.drop_at = step
    upgrade = ["STARTTLS", "junk"] if step in ("STARTTLS", "TLS") else []
    with contextlib.suppress(ConnectionError):
        lines = (TRANSACTION[0], *upgrade, *TRANSACTION[1:], "x\r\n.", "QUIT")
        assert (await bare.talk(*lines))[-1] == ""
    assert await mx.endings.reach(1, 5) == [last]
    assert len(mx.messages) == (step == "QUIT")


@pytest.mark.parametrize("step", [step for step in STEPS if STEPS[step] != "STARTTLS"])
async def test_a_step_waits_until_resumed(mx: MxHost, bare: Bare, step: str) -> None:
    mx.stall_at = step
    talking = asyncio.ensure_future(bare.talk(*TRANSACTION, "x\r\n.", "QUIT"))
    await mx.stalled.wait()
    assert not talking.done()
    mx.resume.set()
    assert (await talking)[-1].startswith("221")


async def test_a_handshake_waits_until_resumed(
    world: World, mx: MxHost, trust: ssl.SSLContext
) -> None:
    mx.stall_at = "TLS"
    async with connected(world, mx, None) as client:
        upgrading = asyncio.ensure_future(client.starttls(tls_context=trust, server_hostname=NAME))
        await mx.stalled.wait()
        assert mx.snis == []
        mx.resume.set()
        assert (await upgrading).code == 220
    assert mx.snis == [NAME]


@pytest.mark.parametrize("step", ["CONNECT", "EHLO", "TLS", "DATA", "."])
async def test_a_world_ends_while_clients_are_kept_waiting(step: str) -> None:
    async with World.start() as world:
        mx = await world.mx_host(NAME, stall_at=step)
        upgrade = ["STARTTLS", "junk"] if step == "TLS" else []
        client = Bare(mx.address, world.smtp_port)
        lines = (TRANSACTION[0], *upgrade, *TRANSACTION[1:], "x\r\n.")
        talking = asyncio.ensure_future(client.talk(*lines))
        await mx.stalled.wait()
    with contextlib.suppress(ConnectionError):
        assert (await talking)[-1] == ""
    await client.close()
    assert len(mx.endings) == 1


async def test_a_client_that_vanishes_harms_nobody(world: World, mx: MxHost) -> None:
    for lines in ((), ("EHLO c.test",), ("EHLO c.test", "STARTTLS"), TRANSACTION):
        client = Bare(mx.address, world.smtp_port)
        await client.talk(*lines)
        await client.close()
    assert await mx.endings.reach(4, 5) == ["", "EHLO", "STARTTLS", "DATA"]
    assert not mx.messages


async def test_two_hosts_share_the_port_and_not_the_address(world: World, mx: MxHost) -> None:
    other = await world.mx_host("mx2.d.test")
    async with connected(world, other, None):
        assert (mx.connections, other.connections) == (0, 1)
    assert mx.address != other.address
