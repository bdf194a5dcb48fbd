"""What a client asks to be told, from MAIL and RCPT to the notice that comes back (RFC 3461)."""

import asyncio
import smtplib

import pytest

from relay.lab.mx_host import EXTENSIONS, MxHost
from relay.lab.world import World
from tests.flow.conftest import Run, RunningRelay

CONTENT = b"Subject: hello\r\n\r\nthe body\r\n"


async def send(relay: RunningRelay, ret: str, notify: dict[str, str]) -> None:
    """Send CONTENT, with NOTIFY for each recipient and its address as ORCPT."""

    def talk() -> None:
        with smtplib.SMTP(*relay.address) as client:
            client.ehlo("client.test")
            assert "dsn" in client.esmtp_features
            assert client.mail("me@a.test", [f"RET={ret}", "ENVID=Q+3D1"])[0] == 250
            for recipient, asked in notify.items():
                options = [f"NOTIFY={asked}", f"ORCPT=rfc822;orig+2B{recipient}"]
                assert client.rcpt(recipient, options)[0] == 250
            assert client.data(CONTENT)[0] == 250

    await asyncio.to_thread(talk)


async def host(world: World, domain: str, *, dsn: bool = False, refuse: bool = False) -> MxHost:
    """The MX host of a domain."""
    extensions = (*EXTENSIONS, "DSN") if dsn else EXTENSIONS
    mx = await world.mx_host(f"mx.{domain}", extensions=extensions)
    if refuse:
        mx.replies["RCPT"] = "550 5.1.1 unknown"
    world.domain(domain, mx=[(10, mx.name)])
    return mx


async def test_dsn_04_and_05_the_next_host_tells_or_the_relay_does(world: World, run: Run) -> None:
    back = await host(world, "a.test")
    knowing = await host(world, "d.test", dsn=True)
    await host(world, "e.test")
    async with run() as relay:
        await send(relay, "HDRS", {"u@d.test": "SUCCESS", "v@e.test": "SUCCESS,FAILURE"})
        (notice,) = await back.received(1)
        await relay.events("delivered", count=3)
    assert b"Original-Envelope-Id: Q=1\r\n" in notice.content
    assert b"Original-Recipient: rfc822; orig+v@e.test\r\n" in notice.content
    assert notice.content.count(b"Action: relayed") == 1
    assert b"u@d.test" not in notice.content
    sent = [line for line in knowing.commands if line[:4] in ("MAIL", "RCPT")]
    assert sent[0].endswith("RET=HDRS ENVID=Q+3D1")
    assert sent[1] == "RCPT TO:<u@d.test> NOTIFY=SUCCESS ORCPT=rfc822;orig+2Bu@d.test"


@pytest.mark.parametrize(("ret", "whole"), [("FULL", True), ("HDRS", False)])
async def test_dsn_11_a_failure_brings_back_what_was_asked_for(
    world: World, run: Run, ret: str, whole: bool
) -> None:
    back = await host(world, "a.test")
    await host(world, "d.test", refuse=True)
    async with run() as relay:
        await send(relay, ret, {"u@d.test": "FAILURE"})
        (notice,) = await back.received(1)
        await relay.events("delivered")
    assert b"Action: failed" in notice.content
    assert (b"the body" in notice.content) is whole
    assert b"Subject: hello" in notice.content


async def test_dsn_06_and_08_who_wants_no_notice_gets_none(world: World, run: Run) -> None:
    back = await host(world, "a.test")
    await host(world, "d.test", refuse=True)
    async with run() as relay:
        await send(relay, "FULL", {"u@d.test": "NEVER", "v@d.test": "SUCCESS,DELAY"})
        (event,) = await relay.events("unnotified")
        assert list(relay.desk.jobs()) == []
    assert (event["to"], event["why"]) == (["u@d.test", "v@d.test"], "not asked for")
    assert not back.messages


async def test_dsn_09_a_notice_asks_for_no_other(world: World, run: Run) -> None:
    back = await host(world, "a.test", dsn=True)
    await host(world, "d.test", refuse=True)
    async with run() as relay:
        await send(relay, "FULL", {"u@d.test": "FAILURE"})
        await back.received(1)
        await relay.events("delivered")
    sent = [line for line in back.commands if line[:4] in ("MAIL", "RCPT")]
    assert sent[0].startswith("MAIL FROM:<> ")
    assert "RET=" not in sent[0]
    assert "ENVID=" not in sent[0]
    assert sent[1] == "RCPT TO:<me@a.test> NOTIFY=NEVER"
