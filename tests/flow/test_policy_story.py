"""A domain's policy in the whole relay: not to be had, changed under way, outlived, in the way."""

from typing import Literal

import pytest

from relay.lab.mx_host import MxHost
from relay.lab.world import World, policy_text
from tests.flow.conftest import Run, violations

Mode = Literal["enforce", "testing", "none"]
NAME = "_mta-sts.d.test"
QUICK = '[queue]\nretry = ["1s"]\n'
SHORT = '[queue]\nretry = ["1s"]\nlifetime = "2s"\nwarn_after = "never"\n'


def publish(world: World, *hosts: str, id: str, mode: Mode = "enforce") -> None:
    """Change the policy of d.test, and have nobody keep its record."""
    world.policy_host("d.test", policy_text(mode, hosts), id=id)
    world.dns.replace(NAME, "TXT", f"v=STSv1; id={id};", ttl=0)


async def bad_host(world: World, name: str = "mx.d.test") -> MxHost:
    return await world.mx_host(name, certificate=world.ca.issue([name], self_signed=True))


def make_unobtainable(world: World, how: str) -> None:
    site = world.policy_host("d.test", policy_text("enforce", ["mx.d.test"]))
    match how:
        case "two records":
            world.dns.replace(NAME, "TXT", "v=STSv1; id=1;", "v=STSv1; id=2;")
        case "SERVFAIL":
            world.dns.fail(NAME, "TXT", "SERVFAIL")
        case "404":
            site.status = 404
        case "no host":
            world.dns.remove("mta-sts.d.test", "A")
        case "garbage":
            site.body = b"<!DOCTYPE html>"
        case "certificate":
            site.certificate = world.foreign_ca.issue(["mta-sts.d.test"])


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        pytest.param("two records", "sts-policy-invalid", id="STS-04"),
        pytest.param("SERVFAIL", "sts-policy-fetch-error", id="STS-17"),
        pytest.param("404", "sts-policy-fetch-error", id="STS-63: 404"),
        pytest.param("no host", "sts-policy-fetch-error", id="STS-63: no policy host"),
        pytest.param("garbage", "sts-policy-invalid", id="STS-63: garbage"),
        pytest.param("certificate", "sts-webpki-invalid", id="STS-63: certificate"),
    ],
)
async def test_without_a_policy_to_be_had_mail_flows(
    world: World, run: Run, how: str, reason: str
) -> None:
    mx = await bad_host(world)
    world.domain("d.test", mx=[(10, mx.name)])
    make_unobtainable(world, how)
    async with run() as relay:
        await relay.send("u@d.test")
        await relay.events("delivered")
    assert [message.tls for message in mx.messages] == [True]
    (record,) = violations(relay.settings)
    assert (record["reason"], record["action"], record["mx"]) == (reason, "noted", None)
    assert (record["domain"], record["mode"], record["policy"]) == ("d.test", None, None)


async def test_sts_15_an_address_literal_has_no_policy(world: World, run: Run) -> None:
    mx = await bad_host(world)
    async with run() as relay:
        await relay.send(f"u@[{mx.address}]")
        await relay.events("delivered")
    assert world.dns.queries == []
    assert violations(relay.settings) == []


async def test_sts_16_an_alias_brings_no_policy_along(world: World, run: Run) -> None:
    """The MX records of the alias's target are used (RFC 5321 §5.1), its policy is not."""
    mx = await world.mx_host("mx.e.test")
    world.domain("e.test", mx=[(10, mx.name)], policy="enforce", patterns=["other.test"])
    world.dns.add("d.test", "CNAME", "e.test.")
    async with run() as relay:
        await relay.send("u@d.test")
        await relay.events("delivered")
        assert (NAME, "TXT") in world.dns.queries
        assert ("_mta-sts.e.test", "TXT") not in world.dns.queries
        await relay.send("u@e.test")
        await relay.events("deferred")


async def test_sts_64_and_98_a_new_policy_lets_waiting_mail_go(world: World, run: Run) -> None:
    old, new = await world.mx_host("old.d.test"), await world.mx_host("new.d.test")
    world.dns.replace("d.test", "MX", "10 old.d.test.", ttl=0)
    publish(world, "old.d.test", id="1")
    async with run(extra=QUICK) as relay:
        await relay.send("u@d.test")
        await old.received(1)
        world.dns.replace("d.test", "MX", "10 new.d.test.", ttl=0)
        await relay.send("u@d.test")
        (event,) = await relay.events("deferred")
        assert event["reason"] == "policy"
        assert new.connections == 0
        publish(world, "new.d.test", id="2")
        await new.received(1)
        await relay.events("delivered", count=2)
        assert list(relay.desk.jobs()) == []


@pytest.mark.parametrize(
    ("mode", "status"),
    [
        pytest.param("enforce", "5.7.5", id="STS-65 STS-99"),
        pytest.param("testing", "5.7.4", id="CNF-10"),
    ],
)
async def test_what_is_held_back_fails_with_the_lifetime_only(
    world: World, run: Run, mode: Mode, status: str
) -> None:
    back = await world.mx_host("mx.a.test")
    world.domain("a.test", mx=[(10, back.name)])
    mx = await bad_host(world)
    mx.starttls = mode == "enforce"
    world.domain("d.test", mx=[(10, mx.name)], policy=mode)
    async with run(extra=SHORT) as relay:
        await relay.send("u@d.test")
        (bounced,) = await relay.events("bounced")
        (notice,) = await back.received(1, timeout=20)
        held = await relay.events("deferred")
    assert len(held) >= 1
    assert {event["reply"][:9] for event in held} == {f"451 4{status[1:]}"}
    assert bounced["attempt"] > 1
    assert b"Action: failed" in notice.content
    assert f"Status: {status}".encode() in notice.content
    assert not [line for line in mx.commands if line.startswith("MAIL")]


async def test_sts_68_mode_none_ends_an_older_enforce(world: World, run: Run) -> None:
    mx = await bad_host(world)
    world.domain("d.test", mx=[(10, mx.name)])
    publish(world, mx.name, id="1")
    async with run(extra=QUICK) as relay:
        await relay.send("u@d.test")
        await relay.events("deferred")
        publish(world, id="2", mode="none")
        await relay.events("delivered")
        told = [one for one in violations(relay.settings) if one["action"] != "noted"]
        world.dns.remove(NAME, "TXT")
        await relay.send("u@d.test")
        await relay.events("delivered", count=2)
    assert [one for one in violations(relay.settings) if one["action"] != "noted"] == told


async def test_sts_70_the_policy_outlives_the_process(world: World, run: Run) -> None:
    mx = await world.mx_host("mx.d.test")
    world.domain("d.test", mx=[(10, mx.name)], policy="enforce")
    async with run() as relay:
        await relay.send("u@d.test")
        await relay.events("delivered")
    mx.certificate = world.foreign_ca.issue([mx.name])
    for name, kind in [(NAME, "TXT"), ("mta-sts.d.test", "A"), ("mta-sts.d.test", "AAAA")]:
        world.dns.fail(name, kind, "TIMEOUT")
    async with run(extra='[dns]\ntimeout = "1s"\n') as relay:
        await relay.send("u@d.test")
        (event,) = await relay.events("deferred", "delivered")
    assert (event["event"], event["reason"]) == ("deferred", "policy")
    assert len(mx.messages) == 1


async def test_cnf_06_and_14_the_header_decides_nothing(world: World, run: Run) -> None:
    """RFC 8689's header is not honoured, and nothing else in a header is read for TLS."""
    mx = await bad_host(world)
    world.domain("d.test", mx=[(10, mx.name)], policy="enforce")
    content = b"TLS-Required: No\r\nTo: other@e.test\r\nReturn-Path: <x@e.test>\r\n\r\nhello\r\n"
    async with run() as relay:
        await relay.send("u@d.test", content=content)
        (event,) = await relay.events("deferred", "delivered")
    assert (event["event"], event["reason"], event["to"]) == ("deferred", "policy", "u@d.test")


async def test_cnf_09_a_client_need_not_speak_tls(world: World, run: Run) -> None:
    mx = await world.mx_host("mx.d.test")
    world.domain("d.test", mx=[(10, mx.name)], policy="enforce")
    async with run() as relay:
        await relay.send("u@d.test")  # by smtplib, in the clear
        await relay.events("delivered")
    assert [message.tls for message in mx.messages] == [True]


async def test_cnf_11_a_notice_is_held_back_too_and_its_end_is_told(world: World, run: Run) -> None:
    back = await bad_host(world, "mx.a.test")
    world.domain("a.test", mx=[(10, back.name)], policy="enforce")
    mx = await world.mx_host("mx.d.test", replies={"RCPT": "550 5.1.1 unknown"})
    world.domain("d.test", mx=[(10, mx.name)])
    async with run(extra=SHORT) as relay:
        await relay.send("u@d.test")
        (held,) = (await relay.events("deferred"))[:1]
        assert (held["to"], held["reason"]) == ("me@a.test", "policy")
        first, second = await relay.events("bounced", count=2)
        assert (first["to"], second["to"]) == ("u@d.test", "me@a.test")
        assert second["queue_id"] == held["queue_id"]
        assert list(relay.desk.jobs()) == []
    assert back.messages == []
