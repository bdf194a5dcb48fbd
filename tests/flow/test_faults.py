"""Every fault of an MX host under every kind of policy: where the mail went, how, what was told."""

from typing import Any, Literal

import pytest

from relay.lab.mx_host import MxHost
from relay.lab.world import World
from tests.flow.conftest import Run, violations

Mode = Literal["enforce", "testing", "none"]
CERTIFICATES = {
    "expired": "certificate-expired",
    "wrong name": "certificate-host-mismatch",
    "self-signed": "certificate-not-trusted",
    "common name only": "certificate-host-mismatch",
}


async def host_with(world: World, fault: str) -> MxHost:
    name, issue = "mx.d.test", world.ca.issue
    certificates = {
        "expired": lambda: issue([name], expired=True),
        "wrong name": lambda: issue(["other.test", "d.test"]),
        "self-signed": lambda: issue([name], self_signed=True),
        "common name only": lambda: issue([], common_name=name),
    }
    if fault == "no STARTTLS":
        return await world.mx_host(name, starttls=False)
    if fault == "STARTTLS refused":
        return await world.mx_host(name, starttls_reply="454 4.7.0 not now")
    make = certificates.get(fault)
    return await world.mx_host(name, certificate=make() if make else None)


# fault, mode -> tls the mail went over (None: not delivered), violations (reason, action)
TABLE: list[Any] = [
    pytest.param("none", "enforce", "verified", [], id="good enforce"),
    pytest.param("none", "testing", "verified", [], id="good testing"),
    pytest.param("none", "none", "verified", [], id="good none"),
    *(
        pytest.param(fault, mode, how, told, id=f"{fault} {mode}")
        for fault, reason in CERTIFICATES.items()
        for mode, how, told in [
            ("enforce", None, [(reason, "refused")]),
            ("testing", "encrypted", [(reason, "delivered")]),
            ("none", "encrypted", []),
        ]
    ),
    *(
        pytest.param(fault, mode, how, told, id=f"{fault} {mode}")
        for fault in ("no STARTTLS", "STARTTLS refused")
        for mode, how, told in [
            ("enforce", None, [("starttls-not-supported", "refused")]),
            ("testing", None, [("starttls-not-supported", "refused")]),
            ("none", "clear", []),
        ]
    ),
    pytest.param("unlisted", "enforce", None, [("mx-mismatch", "refused")], id="STS-87"),
    pytest.param("unlisted", "testing", "verified", [("mx-mismatch", "delivered")], id="STS-89"),
    pytest.param("unlisted", "none", "verified", [], id="STS-91"),
]


# STS-95: each of these is the first mail to its domain; CNF-02, CNF-08: what TLS the modes ask for
@pytest.mark.parametrize(("fault", "mode", "how", "told"), TABLE)
async def test_fault(
    world: World, run: Run, fault: str, mode: Mode, how: str | None, told: list[tuple[str, str]]
) -> None:
    mx = await host_with(world, fault)
    patterns = ["other.test"] if fault == "unlisted" else [mx.name]
    world.domain("d.test", mx=[(10, mx.name)], policy=mode, patterns=patterns)
    async with run() as relay:
        queue_id = await relay.send("u@d.test")
        (event,) = await relay.events("delivered", "deferred", "bounced")
        jobs = list(relay.desk.jobs())
    assert event["queue_id"] == queue_id
    if how is None:
        assert event["event"] == "deferred"
        assert event["reply"].startswith("451 4.7.")
        assert jobs[0].reason == ("policy" if mode == "enforce" else "tls-floor")
        assert not mx.messages
        assert not [one for one in mx.commands if one.startswith("MAIL")]
    else:
        (message,) = mx.messages
        assert message.tls is (how != "clear")
        assert message.sni == (None if how == "clear" else "mx.d.test")
        assert event["tls"].startswith({"encrypted": "TLSv1", "clear": "clear"}.get(how, how))
        assert jobs == []
    records = violations(relay.settings)
    assert [(one["reason"], one["action"]) for one in records] == told
    for record in records:
        assert (record["domain"], record["mode"], record["mx"]) == ("d.test", mode, mx.name)
        assert (record["queue_id"], record["recipients"]) == (queue_id, 1)
        assert record["policy"]["mx"] == patterns
        assert (record["addresses"], record["v"]) == ([mx.address], 1)
        assert (record["certificate"] is None) == (fault not in CERTIFICATES)


@pytest.mark.parametrize("mode", ["enforce", "testing"])
async def test_the_record_has_the_certificate_that_was_refused(
    world: World, run: Run, mode: Mode
) -> None:
    issued = world.ca.issue(["other.test", "d.test"], common_name="other")
    mx = await world.mx_host("mx.d.test", certificate=issued)
    world.domain("d.test", mx=[(10, mx.name)], policy=mode)
    async with run() as relay:
        await relay.send("u@d.test")
        await relay.events("delivered", "deferred")
    (record,) = violations(relay.settings)
    assert record["certificate"]["san"] == ["other.test", "d.test"]
    assert record["certificate"]["subject"] == "CN=other,O=mta-sts-relay lab"
    assert record["tls_version"] == "TLSv1.3"
    assert "mx.d.test" in record["tls_error"]


async def test_cnf_01_the_floor_names_itself(world: World, run: Run) -> None:
    mx = await world.mx_host("mx.d.test", starttls=False)
    world.domain("d.test", mx=[(10, mx.name)], policy="testing")
    async with run() as relay:
        await relay.send("u@d.test")
        await relay.events("deferred")
    (record,) = violations(relay.settings)
    assert "tls.testing" in record["detail"]


async def test_the_rfcs_own_leniency_delivers_in_the_clear(world: World, run: Run) -> None:
    mx = await world.mx_host("mx.d.test", starttls=False)
    world.domain("d.test", mx=[(10, mx.name)], policy="testing")
    async with run(extra='[tls]\ntesting = "opportunistic"\n') as relay:
        await relay.send("u@d.test")
        await relay.events("delivered")
    (record,) = violations(relay.settings)
    assert (record["reason"], record["action"]) == ("starttls-not-supported", "delivered")
    assert [message.tls for message in mx.messages] == [False]


async def test_sts_88_the_second_host_takes_what_the_first_may_not(world: World, run: Run) -> None:
    expired = world.ca.issue(["mx1.d.test"], expired=True)
    first = await world.mx_host("mx1.d.test", certificate=expired)
    second = await world.mx_host("mx2.d.test")
    world.domain("d.test", mx=[(10, first.name), (20, second.name)], policy="enforce")
    async with run() as relay:
        await relay.send("u@d.test")
        (event,) = await relay.events("delivered", "deferred")
    assert (event["event"], event["host"]) == ("delivered", "mx2.d.test")
    assert len(second.messages) == 1
    assert not first.messages
    (record,) = violations(relay.settings)
    assert (record["mx"], record["action"]) == ("mx1.d.test", "refused")


async def test_sts_96_each_domain_by_its_own_policy_on_one_host(world: World, run: Run) -> None:
    bad = world.ca.issue(["mx.p.test"], self_signed=True)
    mx = await world.mx_host("mx.p.test", certificate=bad)
    world.domain("a.test", mx=[(10, mx.name)], policy="enforce")
    world.domain("b.test", mx=[(10, mx.name)])
    async with run() as relay:
        await relay.send("u@a.test", "u@b.test")
        await relay.events("delivered")
        await relay.events("deferred")
    assert [message.rcpt_tos for message in mx.messages] == [("u@b.test",)]


@pytest.mark.parametrize("floor", ["encrypt", "verify"])
async def test_a_local_floor_without_a_policy_is_no_violation(
    world: World, run: Run, floor: str
) -> None:
    mx = await world.mx_host("mx.d.test", starttls=False)
    world.domain("d.test", mx=[(10, mx.name)])
    async with run(extra=f'[tls]\nno_policy = "{floor}"\n') as relay:
        await relay.send("u@d.test")
        await relay.events("deferred")
        (job,) = relay.desk.jobs()
    assert job.reason == "tls-floor"
    assert violations(relay.settings) == []
