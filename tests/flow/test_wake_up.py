"""Mail that a policy keeps back leaves by itself once the other side has mended what was wrong.

The next retry is twelve hours away in all of these.
"""

import asyncio
from pathlib import Path

import pytest

from relay.lab.mx_host import MxHost
from relay.lab.world import World, policy_text
from tests.cli.process import relay as command
from tests.flow.conftest import PATIENCE, Run, RunningRelay

QUEUE = '[queue]\nretry = ["12h"]\nwarn_after = "never"\nwarn_after_policy = "never"\n'
WATCHED = QUEUE + 'watch = "1s"\n'
SLOWLY = QUEUE + 'watch = "1h"\n'
RECORD = ("_mta-sts.d.test", "TXT")


async def host_in_need(world: World, name: str = "mx.d.test") -> MxHost:
    return await world.mx_host(name, certificate=world.ca.issue([name], expired=True))


async def stuck(relay: RunningRelay, *recipients: str, reason: str = "policy") -> None:
    """Send a message to each; all are kept back."""
    for count, recipient in enumerate(recipients, 1):
        await relay.send(recipient)
        event = (await relay.events("deferred", count=count))[-1]
        assert (event["to"], event["reason"]) == (recipient, reason)


async def released(relay: RunningRelay) -> str:
    """What the log says of the one release."""
    (event,) = await relay.events("released")
    return str(event["message"])


async def test_a_certificate_is_repaired(world: World, run: Run) -> None:
    mx = await host_in_need(world)
    world.domain("d.test", mx=[(10, mx.name)], policy="enforce")
    async with run(extra=WATCHED) as relay:
        await stuck(relay, "u@d.test", "v@d.test", "w@d.test")
        await mx.endings.reach(4, PATIENCE)  # three attempts, and a look in vain
        mx.certificate = world.ca.issue([mx.name])
        await mx.received(3, PATIENCE)
        text = await released(relay)
        events = await relay.events("delivered", count=3)
    assert text == "mx.d.test verifies again: 3 messages for d.test leave now"
    # a release is an attempt like others: what was made before is not forgotten
    assert [one["attempt"] for one in events] == [2, 2, 2]


async def test_a_new_policy_lists_the_host(world: World, run: Run) -> None:
    """DNS may be remembered for five minutes, but not by the watch."""
    mx = await world.mx_host("mx.d.test")
    world.domain("d.test", mx=[(10, mx.name)], policy="enforce", patterns=["old.d.test"])
    async with run(extra=WATCHED) as relay:
        await stuck(relay, "u@d.test")
        world.policy_host("d.test", policy_text("enforce", [mx.name]), id="2")
        await mx.received(1, PATIENCE)
        await relay.events("delivered")
        assert (await released(relay)).endswith(": 1 message for d.test leaves now")


async def test_other_mx_hosts(world: World, run: Run) -> None:
    bad = await host_in_need(world)
    good = await world.mx_host("new.d.test")
    world.domain("d.test", mx=[(10, bad.name)], policy="enforce", patterns=["*.d.test"])
    async with run(extra=WATCHED) as relay:
        await stuck(relay, "u@d.test")
        await bad.endings.reach(2, PATIENCE)
        world.dns.replace("d.test", "MX", "10 new.d.test.")
        await good.received(1, PATIENCE)
        text = await released(relay)
    assert text == "d.test has other MX hosts (new.d.test): 1 message for d.test leaves now"


async def test_what_a_command_finds_is_noticed(world: World, run: Run, tmp_path: Path) -> None:
    """The watch itself would look only in an hour."""
    mx = await world.mx_host("mx.d.test")
    world.domain("d.test", mx=[(10, mx.name)], policy="enforce", patterns=["old.d.test"])
    async with run(extra=SLOWLY) as relay:
        await stuck(relay, "u@d.test")
        world.policy_host("d.test", policy_text("enforce", [mx.name]), id="2")
        words = ("policy", "d.test", "--refresh", "-c", tmp_path / "config.toml")
        assert (await asyncio.to_thread(command, *words)).returncode == 0
        await mx.received(1, PATIENCE)
        await relay.events("delivered")


WAIVER = "[[waiver]]\ndomain = 'd.test'\nallow = 'bad-certificate'\nuntil = 2999-01-01\n"
CHANGES = {
    "a waiver": ("enforce", "", WAIVER + "reason = 'they renew it'\n"),
    "a lower least level": (None, "[tls]\nno_policy = 'verify'\n", ""),
    "a partner asked for less": (
        None,
        "[[require]]\ndomain = 'd.test'\ntls = 'verify'\n",
        "[[require]]\ndomain = 'd.test'\ntls = 'encrypt'\n",
    ),
}


@pytest.mark.parametrize("restarted", [False, True], ids=["reload", "restart"])
@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_of_our_own(world: World, run: Run, change: str, *, restarted: bool) -> None:
    policy, before, after = CHANGES[change]
    mx = await host_in_need(world)
    world.domain("d.test", mx=[(10, mx.name)], policy="enforce" if policy else None)
    async with run(extra=WATCHED + before) as relay:
        await stuck(relay, "u@d.test", reason="policy" if policy else "tls-floor")
        if not restarted:
            await relay.reload(WATCHED + after)
            await mx.received(1, PATIENCE)
            await relay.events("delivered")
    if restarted:
        async with run(extra=WATCHED + after) as relay:
            await mx.received(1, PATIENCE)
            await relay.events("delivered")


async def test_with_a_route_it_is_the_next_hop_that_is_watched(world: World, run: Run) -> None:
    """Mail for two domains waits for one policy (RFC 8461 §3.4)."""
    mx = await host_in_need(world, "mx.hub.test")
    world.domain("hub.test", mx=[(10, mx.name)], policy="enforce")
    route = "[[route]]\ndomain = '*'\nnext_hop = 'hub.test'\n"
    async with run(extra=WATCHED + route) as relay:
        await stuck(relay, "u@d.test", "u@e.test")
        mx.certificate = world.ca.issue([mx.name])
        await mx.received(2, PATIENCE)
        text = await released(relay)
    assert text == "mx.hub.test verifies again: 2 messages for hub.test leave now"


async def test_held_mail_is_left_alone(world: World, run: Run) -> None:
    mx = await host_in_need(world)
    world.domain("d.test", mx=[(10, mx.name)], policy="enforce")
    async with run(extra=WATCHED) as relay:
        await stuck(relay, "u@d.test", "v@d.test")
        (first, _) = relay.desk.jobs()
        assert relay.desk.hold([first.id]) == 1
        mx.certificate = world.ca.issue([mx.name])
        await mx.received(1, PATIENCE)
        await relay.events("delivered")
        assert (await released(relay)).endswith("1 message for d.test leaves now")
        assert [(one.id, one.state) for one in relay.desk.jobs()] == [(first.id, "held")]


async def test_what_flows_is_not_watched(world: World, run: Run) -> None:
    """Nor is mail that is put off for another reason."""
    mx = await world.mx_host("mx.d.test", replies={"RCPT:later@d.test": "450 4.2.0 later"})
    world.domain("d.test", mx=[(10, mx.name)], policy="enforce")
    async with run(extra=WATCHED) as relay:
        await relay.send("u@d.test")
        await relay.events("delivered")
        await relay.send("later@d.test")
        await relay.events("deferred")
        (job,) = relay.desk.jobs()
    assert job.reason == "answered"
    assert world.dns.queries.count(RECORD) == 1
