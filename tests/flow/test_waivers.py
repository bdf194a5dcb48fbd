"""An operator lets a misconfigured partner pass for a while, and asks more of another one."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from relay.clock import SystemClock
from relay.lab.world import World
from relay.timestamp import parse_rfc3339
from tests.cli.process import relay as command
from tests.flow.conftest import Run, violations

QUICK = '[queue]\nretry = ["1s"]\n'
HOUR = 3600.0


def waiver(seconds: float, kind: str = "bad-certificate") -> tuple[float, str]:
    """One that ends so soon, on a full second: its end, and the configuration."""
    end = datetime.fromtimestamp(int(SystemClock().now() + seconds), UTC)
    text = (
        f"[[waiver]]\ndomain = 'd.test'\nallow = '{kind}'\nuntil = {end.isoformat()}\n"
        "reason = 'they renew it, ticket 7'\n"
    )
    return end.timestamp(), QUICK + text


def shown(record: dict[str, Any]) -> tuple[str, str, str, str]:
    return record["domain"], record["mx"], record["reason"], record["action"]


async def test_a_partner_with_an_expired_certificate(world: World, run: Run) -> None:
    """Its mail sticks; a waiver lets it go; the waiver ends; the certificate is repaired."""
    bad, good = world.ca.issue(["mx.d.test"], expired=True), world.ca.issue(["mx.d.test"])
    mx = await world.mx_host("mx.d.test", certificate=bad)
    world.domain("d.test", mx=[(10, mx.name)], policy="enforce")
    async with run(extra=QUICK) as relay:
        stuck = await relay.send("u@d.test")
        event = (await relay.events("deferred"))[0]
        assert (event["queue_id"], event["reason"]) == (stuck, "policy")

        await relay.reload(waiver(HOUR)[1])
        (event,) = await relay.events("delivered")
        assert (event["queue_id"], event["tls"]) == (stuck, "TLSv1.3")
        warnings = [one["message"] for one in await relay.events("warning", count=2)]
        assert "waiver[0].until: the waiver for d.test ends " in warnings[1]

        end, text = waiver(2)
        await relay.reload(text)
        late = await send_until_refused(relay, end)
        mx.certificate = good
        count = len(mx.messages)
        await mx.received(count + 1)
        assert late == (await relay.events("delivered", count=count + 1))[-1]["queue_id"]
    seen = [one for one in violations(relay.settings) if one["queue_id"] == stuck]
    assert {shown(one) for one in seen} == {
        ("d.test", "mx.d.test", "certificate-expired", "refused"),
        ("d.test", "mx.d.test", "certificate-expired", "waived"),
    }
    (waived,) = [one for one in seen if one["action"] == "waived"]
    assert waived["mode"] == "enforce"
    assert "waiver[0] (bad-certificate, until " in waived["detail"]
    assert waived["detail"].endswith("they renew it, ticket 7")
    assert waived["certificate"]["san"] == ["mx.d.test"]


async def send_until_refused(relay: Any, end: float) -> str:
    """Send one message after the other until the waiver has ended; the first one held back."""
    before = len(await relay.events("delivered", "deferred"))
    while True:
        sent = await relay.send("u@d.test")
        before += 1
        event = (await relay.events("delivered", "deferred", count=before))[-1]
        assert event["queue_id"] == sent
        if event["event"] == "deferred":
            break
    assert parse_rfc3339(event["time"]) >= end
    assert "has ended" in event["reply"]
    return str(sent)


async def test_what_each_look_tells_of_a_waiver(world: World, run: Run, tmp_path: Path) -> None:
    """`relay explain` judges as the delivery that follows does."""
    bad = world.ca.issue(["mx.d.test"], expired=True)
    mx = await world.mx_host("mx.d.test", certificate=bad)
    world.domain("d.test", mx=[(10, mx.name)], policy="enforce")
    async with run(extra=waiver(HOUR)[1]) as relay:
        words = ("explain", "u@d.test", "--probe", "-c", tmp_path / "config.toml")
        told = await asyncio.to_thread(command, *words)
        assert told.returncode == 0
        assert " would be delivered to mx.d.test over TLSv1.3 with any certificate" in told.stdout
        assert "  waivers  waiver[0] (bad-certificate, until " in told.stdout
        await relay.send("u@d.test")
        (event,) = await relay.events("delivered")
        assert (event["host"], event["tls"]) == ("mx.d.test", "TLSv1.3")


async def test_a_waiver_is_no_wider_than_its_domain(world: World, run: Run) -> None:
    bad = world.ca.issue(["mx.d.test"], expired=True)
    mx = await world.mx_host("mx.d.test", certificate=bad)
    for domain in ("d.test", "sub.d.test", "e.test"):
        world.domain(domain, mx=[(10, mx.name)], policy="enforce")
    async with run(extra=waiver(HOUR)[1]) as relay:
        await relay.send("u@d.test", "u@sub.d.test", "u@e.test")
        events = await relay.events("delivered", "deferred", count=3)
    fates = {one["to"]: one["event"] for one in events}
    assert fates == {"u@d.test": "delivered", "u@sub.d.test": "deferred", "u@e.test": "deferred"}
    assert [one.rcpt_tos for one in mx.messages] == [("u@d.test",)]


async def test_more_tls_than_a_partner_without_a_policy_asks_for(world: World, run: Run) -> None:
    mx = await world.mx_host("mx.d.test", starttls=False)
    for domain in ("d.test", "sub.d.test"):
        world.domain(domain, mx=[(10, mx.name)])
    extra = QUICK + "[[require]]\ndomain = '*.d.test'\ntls = 'encrypt'\n"
    async with run(extra=extra) as relay:
        await relay.send("u@d.test", "u@sub.d.test")
        (delivered,) = await relay.events("delivered")
        deferred = (await relay.events("deferred"))[0]
        assert (delivered["to"], delivered["tls"]) == ("u@d.test", "clear")
        assert (deferred["to"], deferred["reason"]) == ("u@sub.d.test", "tls-floor")
        assert "([[require]] for *.d.test)" in deferred["reply"]
        (job,) = relay.desk.jobs()
        assert job.reason == "tls-floor"
        mx.starttls = True
        assert (await mx.received(2))[1].tls
    assert violations(relay.settings) == []
