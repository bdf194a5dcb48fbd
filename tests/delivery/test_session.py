"""One dialogue with one host: levels, commands, replies, and every way it can break."""

import asyncio
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.delivery.caller import Caller, Timeouts
from relay.delivery.contexts import TlsContexts
from relay.delivery.credentials import Credentials
from relay.delivery.hop import Declined, Exchange, HopReport, Unprotected, Unreachable
from relay.delivery.session import Session
from relay.delivery.tls import Level
from relay.delivery.transaction import content_of
from relay.envelope import DsnRequest, Envelope
from relay.evidence import Failure
from relay.lab.mx_host import EXTENSIONS, Behaviour, MxHost
from relay.lab.world import World

from .conftest import BODY, QUICK, mail, script, serving

CONTENT = content_of(BODY)


def call(
    world: World, mx: MxHost, level: Level = Level.VERIFIED, timeouts: Timeouts | None = None
) -> Session:
    contexts = TlsContexts(world.ca_file)
    caller = Caller("relay.lab.test", world.smtp_port, contexts, timeouts or Timeouts())
    return Session(mx.name, mx.address, level, caller)


async def once(session: Session, envelope: Envelope | None = None) -> HopReport:
    envelope = envelope or mail()
    report = await session.deliver(envelope, envelope.recipients, CONTENT)
    await session.aclose()
    return report


def codes(report: HopReport) -> dict[str, int]:
    assert isinstance(report, Exchange), report
    return {recipient: reply.code for recipient, reply in report.replies.items()}


class TestDialogue:
    async def test_whole(self, world: World) -> None:
        """SND-32, SND-33, TLS-04, STS-86."""
        mx = await world.mx_host("mx.d.test")
        report = await once(call(world, mx))
        assert codes(report) == {"u@d.test": 250}
        assert mx.commands == [
            "EHLO relay.lab.test",
            "STARTTLS",
            "EHLO relay.lab.test",
            f"MAIL FROM:<me@a.test> SIZE={len(BODY)}",
            "RCPT TO:<u@d.test>",
            "DATA",
            "QUIT",
        ]
        assert mx.snis == ["mx.d.test"]
        assert await mx.endings.reach(1, 5) == ["QUIT"]

    @pytest.mark.parametrize(
        ("level", "tls"),
        [
            pytest.param(Level.VERIFIED, "verified TLSv1.3", id="TLS-17 verified"),
            pytest.param(Level.ENCRYPTED, "TLSv1.3", id="TLS-17 encrypted"),
            pytest.param(Level.CLEAR, "clear", id="TLS-17 clear"),
        ],
    )
    async def test_level(self, world: World, level: Level, tls: str) -> None:
        mx = await world.mx_host("mx.d.test")
        report = await once(call(world, mx, level))
        assert isinstance(report, Exchange)
        assert report.tls == tls
        (message,) = mx.messages
        assert message.tls == (level is not Level.CLEAR)
        assert message.sni == (None if level is Level.CLEAR else "mx.d.test")

    async def test_only_what_is_offered_in_tls(self, world: World) -> None:
        """TLS-04, SND-32: the list before TLS counts for nothing."""
        mx = await world.mx_host("mx.d.test")
        mx.replies["EHLO:TLS"] = "250 mx.d.test"
        await once(call(world, mx))
        assert "MAIL FROM:<me@a.test>" in mx.commands

    async def test_null_sender(self, world: World) -> None:
        """SND-28."""
        mx = await world.mx_host("mx.d.test")
        await once(call(world, mx), mail(sender=None))
        (message,) = mx.messages
        assert message.mail_from == ""

    @pytest.mark.parametrize(
        "address",
        [
            '"a,b"@d.test',
            '"a b"@d.test',
            r'"a\"b"@d.test',
            "o'brien+{x}@d.test",
            "MiXed@D.Test",
            "a.b@[127.0.0.1]",
        ],
    )
    async def test_address_unchanged(self, world: World, address: str) -> None:
        """SND-40: aiosmtplib's own client would rewrite them."""
        mx = await world.mx_host("mx.d.test")
        await once(call(world, mx), mail(address, sender=address))
        assert f"MAIL FROM:<{address}> SIZE={len(BODY)}" in mx.commands
        assert f"RCPT TO:<{address}>" in mx.commands

    async def test_utf8_addresses(self, world: World) -> None:
        """EXT-13, EXT-15: the local part goes as it came."""
        mx = await world.mx_host("mx.d.test")
        envelope = mail("jürgen@d.test", sender="zoë@a.test", smtputf8=True, eight_bit=True)
        assert codes(await once(call(world, mx), envelope)) == {"jürgen@d.test": 250}
        (message,) = mx.messages
        assert message.mail_from == "zoë@a.test"
        assert {"BODY=8BITMIME", "SMTPUTF8"} <= set(message.mail_options)


class TestDsn:
    ENVELOPE = Envelope(
        "me@a.test",
        ("U@d.test", "v@d.test", "w@d.test"),
        ret="HDRS",
        envid="Q+3D1",
        dsn={
            "U@d.test": DsnRequest(("SUCCESS", "DELAY"), "rfc822;X+2BY@d.test"),
            "v@d.test": DsnRequest(("NEVER",)),
        },
    )

    async def test_passed_on(self, world: World) -> None:
        """DSN-04: unchanged, for each recipient its own, nothing invented."""
        mx = await world.mx_host("mx.d.test", extensions=(*EXTENSIONS, "DSN"))
        report = await once(call(world, mx), self.ENVELOPE)
        assert isinstance(report, Exchange)
        assert report.dsn
        assert [line for line in mx.commands if line[:4] in ("MAIL", "RCPT")] == [
            f"MAIL FROM:<me@a.test> SIZE={len(BODY)} RET=HDRS ENVID=Q+3D1",
            "RCPT TO:<U@d.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;X+2BY@d.test",
            "RCPT TO:<v@d.test> NOTIFY=NEVER",
            "RCPT TO:<w@d.test>",
        ]

    async def test_not_to_a_host_without_it(self, world: World) -> None:
        """DSN-05, SND-32."""
        mx = await world.mx_host("mx.d.test")
        report = await once(call(world, mx), self.ENVELOPE)
        assert isinstance(report, Exchange)
        assert not report.dsn
        assert len(mx.messages) == 1
        sent = " ".join(mx.commands)
        assert not [word for word in ("RET", "ENVID", "NOTIFY", "ORCPT") if word in sent]

    async def test_utf8_orcpt_in_ascii(self, world: World) -> None:
        """EXT-17: an ORCPT in UTF-8 goes in ASCII where the transaction is in ASCII."""
        mx = await world.mx_host("mx.d.test", extensions=(*EXTENSIONS, "DSN"))
        asked = {"u@d.test": DsnRequest(orcpt="utf-8;grün@d.test")}
        await once(call(world, mx), mail(dsn=asked))
        assert r"RCPT TO:<u@d.test> ORCPT=utf-8;gr\x{FC}n@d.test" in mx.commands


class TestLogin:
    ME = Credentials("me", "s3cr3t")

    async def host(self, world: World) -> MxHost:
        return await world.mx_host("out.isp.test", accounts={"me": "s3cr3t"})

    def call(self, world: World, mx: MxHost, level: Level, identity: Credentials) -> Session:
        contexts = TlsContexts(world.ca_file)
        caller = Caller("relay.lab.test", world.smtp_port, contexts, Timeouts(), identity)
        return Session(mx.name, mx.address, level, caller)

    async def test_once_for_a_connection(self, world: World) -> None:
        mx = await self.host(world)
        session = self.call(world, mx, Level.VERIFIED, self.ME)
        for _ in range(2):
            assert codes(await session.deliver(mail(), ["u@d.test"], CONTENT)) == {"u@d.test": 250}
        await session.aclose()
        assert mx.logins == [("me", "s3cr3t")]
        assert mx.commands[2:5] == [
            "EHLO relay.lab.test",
            "AUTH PLAIN",
            f"MAIL FROM:<me@a.test> SIZE={len(BODY)} AUTH=<>",
        ]

    async def test_refused(self, world: World) -> None:
        """And the connection is of no more use."""
        mx = await self.host(world)
        session = self.call(world, mx, Level.VERIFIED, Credentials("me", "wrong"))
        report = await session.deliver(mail(), ["u@d.test"], CONTENT)
        assert isinstance(report, Declined)
        assert (report.reply.code, report.reply.enhanced, report.remote) == (454, "4.7.8", False)
        assert report.login
        assert not session.is_ready
        await session.aclose()
        assert await mx.endings.reach(1, 5) == ["QUIT"]

    @pytest.mark.parametrize("level", [Level.CLEAR, Level.ENCRYPTED])
    async def test_never_below_verified(self, world: World, level: Level) -> None:
        mx = await self.host(world)
        mx.replies["EHLO"] = "250-out.isp.test\r\n250-AUTH PLAIN\r\n250 STARTTLS"
        session = self.call(world, mx, level, self.ME)
        report = await once(session)
        assert isinstance(report, Declined)
        assert "has not proved who it is" in report.reply.text
        assert not [line for line in mx.commands if line.startswith("AUTH")]
        assert not session.is_ready

    async def test_lost_amid_it(self, world: World) -> None:
        mx = await self.host(world)
        mx.drop_at = "AUTH"
        report = await once(self.call(world, mx, Level.VERIFIED, self.ME))
        assert isinstance(report, Exchange)
        assert report.lost


NO_TLS = Failure.STARTTLS_NOT_SUPPORTED


class TestLevelNotReached:
    @pytest.mark.parametrize(
        ("names", "how", "failure"),
        [
            pytest.param(["mx.d.test"], {}, None, id="STS-83 good"),
            pytest.param(["*.d.test"], {}, None, id="STS-84 wildcard"),
            pytest.param(["MX.D.TEST"], {}, None, id="TLS-14 case"),
            pytest.param(
                ["*.mx.d.test"], {}, Failure.CERTIFICATE_HOST_MISMATCH, id="STS-84 one label"
            ),
            pytest.param(["d.test"], {}, Failure.CERTIFICATE_HOST_MISMATCH, id="STS-85 the domain"),
            pytest.param(["m*.d.test"], {}, Failure.CERTIFICATE_HOST_MISMATCH, id="TLS-13 part"),
            pytest.param(
                [], {"common_name": "mx.d.test"}, Failure.CERTIFICATE_HOST_MISMATCH, id="STS-83 CN"
            ),
            pytest.param(
                ["other.test"],
                {"common_name": "mx.d.test"},
                Failure.CERTIFICATE_HOST_MISMATCH,
                id="STS-83 CN beside a name",
            ),
            pytest.param(["mx.d.test"], {"intermediate": True}, None, id="STS-83 intermediate"),
            pytest.param(
                ["mx.d.test"], {"expired": True}, Failure.CERTIFICATE_EXPIRED, id="STS-83 expired"
            ),
            pytest.param(
                ["mx.d.test"],
                {"not_yet_valid": True},
                Failure.CERTIFICATE_NOT_TRUSTED,
                id="STS-83 early",
            ),
            pytest.param(
                ["mx.d.test"],
                {"self_signed": True},
                Failure.CERTIFICATE_NOT_TRUSTED,
                id="STS-83 self-signed",
            ),
        ],
    )
    async def test_certificate(
        self, world: World, names: list[str], how: dict[str, bool], failure: Failure | None
    ) -> None:
        certificate = world.ca.issue(names, **how)  # type: ignore[arg-type]
        mx = await world.mx_host("mx.d.test", certificate=certificate)
        report = await once(call(world, mx))
        if failure is None:
            assert codes(report) == {"u@d.test": 250}
            return
        assert isinstance(report, Unprotected)
        assert report.flaw.failure is failure
        assert "mx.d.test" in report.flaw.detail
        assert not [line for line in mx.commands if line.startswith("MAIL")]

    @pytest.mark.parametrize(
        ("host", "fits"), [("mx.d.test", True), ("a.mx.d.test", False), ("d.test", False)]
    )
    async def test_sts_84_a_wildcard_is_one_label(
        self, world: World, host: str, fits: bool
    ) -> None:
        mx = await world.mx_host(host, certificate=world.ca.issue(["*.d.test"]))
        assert isinstance(await once(call(world, mx)), Exchange if fits else Unprotected)
        assert mx.snis == [host]

    async def test_foreign_root(self, world: World) -> None:
        """STS-83."""
        certificate = world.foreign_ca.issue(["mx.d.test"])
        mx = await world.mx_host("mx.d.test", certificate=certificate)
        report = await once(call(world, mx))
        assert isinstance(report, Unprotected)
        assert report.flaw.failure is Failure.CERTIFICATE_NOT_TRUSTED

    @pytest.mark.parametrize("level", [Level.VERIFIED, Level.ENCRYPTED])
    @pytest.mark.parametrize(
        ("fault", "failure"),
        [
            pytest.param({"starttls": False}, NO_TLS, id="TLS-09 not offered"),
            pytest.param({"starttls_reply": "454 4.7.0 no"}, NO_TLS, id="TLS-09 454"),
            pytest.param({"starttls_reply": "502 5.5.1 no"}, NO_TLS, id="TLS-09 502"),
            pytest.param({"replies": {"EHLO": "500 what"}}, NO_TLS, id="SND-09"),
            pytest.param({"drop_at": "STARTTLS"}, Failure.VALIDATION_FAILURE, id="cut at STARTTLS"),
            pytest.param({"stall_at": "STARTTLS"}, Failure.VALIDATION_FAILURE, id="no 220"),
            pytest.param({"drop_at": "TLS"}, Failure.VALIDATION_FAILURE, id="cut in handshake"),
            pytest.param({"stall_at": "TLS"}, Failure.VALIDATION_FAILURE, id="no handshake"),
        ],
    )
    async def test_tls(
        self, world: World, level: Level, fault: Behaviour, failure: Failure
    ) -> None:
        mx = await world.mx_host("mx.d.test", **fault)
        report = await once(call(world, mx, level, QUICK))
        assert isinstance(report, Unprotected)
        assert report.flaw.failure is failure
        assert not [line for line in mx.commands if line.startswith("MAIL")]

    async def test_old_version(self, world: World) -> None:
        """TLS-10, STS-52."""
        mx = await world.mx_host("mx.d.test", maximum_tls=ssl.TLSVersion.TLSv1_1)
        report = await once(call(world, mx, Level.ENCRYPTED))
        assert isinstance(report, Unprotected)
        assert report.flaw.failure is Failure.VALIDATION_FAILURE

    async def test_of_use_in_the_clear(self, world: World) -> None:
        """Where STARTTLS is missing the connection need not be made again."""
        mx = await world.mx_host("mx.d.test", starttls=False)
        session = call(world, mx, Level.ENCRYPTED)
        assert isinstance(await session.deliver(mail(), ["u@d.test"], CONTENT), Unprotected)
        assert session.is_ready
        assert session.level is Level.CLEAR
        assert codes(await once(session)) == {"u@d.test": 250}
        assert mx.connections == 1


class TestHelo:
    async def test_for_an_old_host(self) -> None:
        """SND-09: only where clear text will do; nothing is offered then."""
        replies = (b"220 old", b"502 what", b"250 hello", b"250 ok", b"250 ok", b"354 go")
        async with serving(script(*replies, b"250 ok", b"", b"", b"", b"250 ok")) as port:
            caller = Caller("relay.test", port, TlsContexts(None), QUICK)
            report = await once(Session("old.test", "127.0.0.1", Level.CLEAR, caller))
        assert codes(report) == {"u@d.test": 250}

    async def test_not_after_a_passing_refusal(self, world: World) -> None:
        mx = await world.mx_host("mx.d.test", replies={"EHLO": "451 4.3.0 later"})
        report = await once(call(world, mx, Level.CLEAR))
        assert isinstance(report, Declined)
        assert report.reply.code == 451
        assert not [line for line in mx.commands if line.startswith("HELO")]


DECLINED = [
    pytest.param({"greeting": "554 5.3.2 no"}, 554, id="SND-13 greeting 5yz"),
    pytest.param({"greeting": "421 4.3.2 busy"}, 421, id="greeting 4yz"),
    pytest.param({"greeting": "521 5.3.2 never"}, 521, id="SND-39"),
    pytest.param({"replies": {"EHLO": "550 5.7.1 go away"}}, 550, id="SND-13 EHLO 5yz"),
    pytest.param({"replies": {"EHLO:TLS": "550 5.7.1 go away"}}, 550, id="EHLO in TLS 5yz"),
    pytest.param({"replies": {"EHLO:TLS": "451 4.3.0 later"}}, 451, id="EHLO in TLS 4yz"),
]


@pytest.mark.parametrize(("fault", "code"), DECLINED)
async def test_declined(world: World, fault: Behaviour, code: int) -> None:
    mx = await world.mx_host("mx.d.test", **fault)
    report = await once(call(world, mx))
    assert isinstance(report, Declined)
    assert (report.reply.code, report.remote) == (code, True)


LACKS = [
    pytest.param(("SIZE 10",), mail(), "5.3.4", id="EXT-08"),
    pytest.param(("SMTPUTF8",), mail(eight_bit=True), "5.6.3", id="EXT-11 SND-31"),
    pytest.param(("8BITMIME",), mail("ü@d.test", smtputf8=True), "5.6.7", id="EXT-14 SND-31"),
]


@pytest.mark.parametrize(("extensions", "envelope", "status"), LACKS)
async def test_lacking(
    world: World, extensions: tuple[str, ...], envelope: Envelope, status: str
) -> None:
    mx = await world.mx_host("mx.d.test", extensions=extensions)
    report = await once(call(world, mx), envelope)
    assert isinstance(report, Declined)
    assert (report.reply.enhanced, report.remote) == (status, False)
    assert not [line for line in mx.commands if line.startswith("MAIL")]


STEPS = [
    pytest.param("CONNECT", Unreachable, False, id="SND-18 before the greeting"),
    pytest.param("EHLO", Exchange, False, id="SND-18 EHLO"),
    pytest.param("EHLO:TLS", Exchange, False, id="SND-18 EHLO in TLS"),
    pytest.param("MAIL", Exchange, False, id="SND-18 MAIL"),
    pytest.param("RCPT", Exchange, False, id="SND-18 RCPT"),
    pytest.param("DATA", Exchange, False, id="SND-18 DATA"),
    pytest.param(".", Exchange, True, id="SND-20 final dot"),
]


@pytest.mark.parametrize("way", ["drop_at", "stall_at"])
@pytest.mark.parametrize(("step", "kind", "in_doubt"), STEPS)
async def test_lost(
    world: World, way: str, step: str, kind: type[HopReport], in_doubt: bool
) -> None:
    mx = await world.mx_host("mx.d.test")
    setattr(mx, way, step)
    session = call(world, mx, timeouts=QUICK)
    report = await once(session)
    assert isinstance(report, kind)
    if isinstance(report, Exchange):
        assert report.lost
        assert (report.in_doubt, dict(report.replies)) == (in_doubt, {})
    assert not session.is_ready


THREE = ("1@d.test", "2@d.test", "3@d.test")
BY_RECIPIENT = [
    pytest.param({"RCPT:2@d.test": "550 5.1.1 who"}, (250, 550, 250), id="SND-17"),
    pytest.param({"RCPT:2@d.test": "450 4.2.0 later"}, (250, 450, 250), id="SND-17 4yz"),
    pytest.param({"RCPT:2@d.test": "552 5.5.3 too many"}, (250, 452, 250), id="SND-14"),
    pytest.param({"RCPT:1@d.test": "552 5.2.2 full"}, (552, 250, 250), id="EXT-09 the first 552"),
    pytest.param({"RCPT:2@d.test": "251 will forward"}, (250, 250, 250), id="SND-38"),
    pytest.param({"RCPT": "550 5.1.1 who"}, (550, 550, 550), id="all refused"),
    pytest.param({"MAIL": "550 5.7.1 you"}, (550, 550, 550), id="SND-12 MAIL"),
    pytest.param({"MAIL": "259 odd"}, (250, 250, 250), id="SND-10 any 2yz to MAIL"),
    pytest.param({"DATA": "554 5.7.0 no"}, (554, 554, 554), id="SND-12 DATA"),
    pytest.param({".": "451 4.3.0 later"}, (451, 451, 451), id="SND-12 final dot"),
    pytest.param({".": "259 odd"}, (259, 259, 259), id="SND-10 any 2yz to the dot"),
    pytest.param(
        {"RCPT:3@d.test": "550 5.1.1 who", ".": "554 5.6.0 bad"}, (554, 554, 550), id="both"
    ),
]


@pytest.mark.parametrize(("replies", "expected"), BY_RECIPIENT)
async def test_by_recipient(
    world: World, replies: dict[str, str], expected: tuple[int, int, int]
) -> None:
    mx = await world.mx_host("mx.d.test")
    mx.replies.update(replies)
    report = await once(call(world, mx), mail(*THREE))
    assert codes(report) == dict(zip(THREE, expected, strict=True))


async def test_250_to_data() -> None:
    """SND-15: no octet of the message goes out."""
    replies = (b"220 hi", b"250 mx", b"250 ok", b"250 ok", b"250 what", b"221 bye")
    async with serving(script(*replies)) as port:
        caller = Caller("relay.test", port, TlsContexts(None), QUICK)
        report = await once(Session("mx.test", "127.0.0.1", Level.CLEAR, caller))
    assert codes(report) == {"u@d.test": 451}


class TestReuse:
    async def test_second_transaction(self, world: World) -> None:
        """SND-33: nothing to reset after a whole one."""
        mx = await world.mx_host("mx.d.test")
        session = call(world, mx)
        await session.deliver(mail(), ["u@d.test"], CONTENT)
        assert session.is_ready
        await once(session)
        assert mx.connections == 1
        assert len(mx.messages) == 2
        assert "RSET" not in mx.commands

    @pytest.mark.parametrize("step", ["RCPT", "DATA"])
    async def test_reset_after_a_broken_off_one(self, world: World, step: str) -> None:
        mx = await world.mx_host("mx.d.test")
        mx.replies[step] = ["450 4.2.0 later"]
        session = call(world, mx)
        assert codes(await session.deliver(mail(), ["u@d.test"], CONTENT)) == {"u@d.test": 450}
        assert codes(await once(session)) == {"u@d.test": 250}
        assert mx.connections == 1
        assert "RSET" in mx.commands

    async def test_421_ends_it(self) -> None:
        """Even where the host has not closed the connection yet."""
        replies = (b"220 hi", b"250 mx", b"250 ok", b"421 4.3.2 closing", b"221 bye")
        async with serving(script(*replies, b"")) as port:
            caller = Caller("relay.test", port, TlsContexts(None), QUICK)
            session = Session("mx.test", "127.0.0.1", Level.CLEAR, caller)
            assert codes(await session.deliver(mail(), ["u@d.test"], CONTENT)) == {"u@d.test": 421}
            assert not session.is_ready
            await session.aclose()

    async def test_421_to_a_new_connection_is_an_answer(self, world: World) -> None:
        mx = await world.mx_host("mx.d.test", replies={"MAIL": "421 4.3.2 busy"})
        assert codes(await once(call(world, mx))) == {"u@d.test": 421}

    async def test_421_to_a_kept_connection_is_a_loss(self, world: World) -> None:
        mx = await world.mx_host("mx.d.test")
        session = call(world, mx)
        await session.deliver(mail(), ["u@d.test"], CONTENT)
        mx.replies["MAIL"] = "421 4.4.2 idle too long"
        report = await once(session)
        assert isinstance(report, Exchange)
        assert report.lost == "421 4.4.2 idle too long"
        assert not report.replies


BODIES = [
    pytest.param(b"a\r\n", b"a\r\n", id="plain"),
    pytest.param(b".\r\n", b"..\r\n", id="SND-29 a dot alone"),
    pytest.param(b".a\r\n..\r\n.x\r\n", b"..a\r\n...\r\n..x\r\n", id="SND-29 dots"),
    pytest.param(b"a.b\r\n", b"a.b\r\n", id="a dot amid"),
    pytest.param(b"a", b"a\r\n", id="SND-29 no end of line"),
    pytest.param(b"", b"", id="nothing"),
    pytest.param(b"\r\n\r\n", b"\r\n\r\n", id="empty lines"),
]


@pytest.mark.parametrize(("body", "stuffed"), BODIES)
def test_content(body: bytes, stuffed: bytes) -> None:
    assert content_of(body).stuffed == stuffed


def test_content_without_a_dot_to_put_in_is_not_copied() -> None:
    """A large message is in memory once while it is delivered."""
    assert content_of(BODY).stuffed is BODY


@given(st.lists(st.binary().map(lambda line: line.replace(b"\r", b"").replace(b"\n", b""))))
def test_dot_stuffing_can_be_undone(lines: list[bytes]) -> None:
    """SND-29, SND-30."""
    body = b"".join(line + b"\r\n" for line in lines)
    *received, rest = content_of(body).stuffed.split(b"\r\n")
    assert rest == b""
    assert b"." not in received
    assert b"".join(line.removeprefix(b".") + b"\r\n" for line in received) == body


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"Subject: x\r\n\r\n.\r\n..\r\n.x\r\n\r\n\r\n", id="SND-29"),
        pytest.param(b"Subject: x\r\n\r\n" + b"y" * 5000 + b"\r\n", id="SND-41"),
        pytest.param(b"Subject: x\r\n\r\n" + bytes(range(128, 256)) + b"\r\n", id="EXT-10"),
        pytest.param(b"Subject: x\r\n\r\n" + b"line\r\n.\r\n" * 50_000, id="large"),
        pytest.param(b"x" * (65_536 - 2) + b"\r\n", id="as much as is written at once"),
        pytest.param(b"x" * (2 * 65_536 - 2) + b"\r\n", id="twice that"),
        pytest.param(b"x" * (65_536 - 1) + b"\r\n", id="an octet more"),
        pytest.param(b"X: 1\r\nX: 1\r\n\tfolded \r\n\r\n", id="header and spaces"),
    ],
)
async def test_byte_identical(world: World, body: bytes) -> None:
    mx = await world.mx_host("mx.d.test")
    session = call(world, mx)
    async with asyncio.timeout(10):  # a content that does not end would be waited for
        await session.deliver(mail(eight_bit=True), ["u@d.test"], content_of(body))
    await session.aclose()
    (message,) = mx.messages
    assert message.content == body


async def test_smg_05_size_is_what_the_message_has_without_the_dots_put_in(world: World) -> None:
    body = b"Subject: x\r\n\r\n.\r\n..\r\n.x\r\nno line end"
    mx = await world.mx_host("mx.d.test")
    session = call(world, mx)
    await session.deliver(mail(), ["u@d.test"], content_of(body))
    await session.aclose()
    (message,) = mx.messages
    assert message.content == body + b"\r\n"
    assert message.mail_options == (f"SIZE={len(message.content)}",)


class TestProbe:
    async def test_everything_but_mail(self, world: World) -> None:
        mx = await world.mx_host("mx.d.test")
        session = call(world, mx)
        report = await session.probe(mail())
        await session.aclose()
        assert report == Exchange(tls="verified TLSv1.3")
        greeting = ["EHLO relay.lab.test", "STARTTLS", "EHLO relay.lab.test"]
        assert mx.commands == [*greeting, "QUIT"]

    @pytest.mark.parametrize(
        ("behaviour", "kind"),
        [
            ({"starttls": False}, Unprotected),
            ({"greeting": "554 no"}, Declined),
            ({"drop_at": "EHLO"}, Exchange),
            ({"drop_at": "CONNECT"}, Unreachable),
        ],
    )
    async def test_what_stands_against_it(
        self, world: World, behaviour: Behaviour, kind: type[HopReport]
    ) -> None:
        mx = await world.mx_host("mx.d.test", **behaviour)
        session = call(world, mx)
        report = await session.probe(mail())
        session.abort()
        assert isinstance(report, kind)
        assert not isinstance(report, Exchange) or report.lost

    async def test_an_address_that_the_host_cannot_take(self, world: World) -> None:
        mx = await world.mx_host("mx.d.test", extensions=())
        session = call(world, mx)
        report = await session.probe(mail("\u00fc@d.test", smtputf8=True))
        await session.aclose()
        assert isinstance(report, Declined)
        assert report.reply.enhanced == "5.6.7"
