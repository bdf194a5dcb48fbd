"""Before mail that a policy keeps back is given up, DNS is asked anew (RFC 8461 §5.1)."""

from relay.lab.world import World, policy_text
from tests.flow.conftest import MovedClock, Run, RunningRelay

RECORD, MX = ("_mta-sts.d.test", "TXT"), ("d.test", "MX")
LIFETIME, DAY = 7200.0, 86_400
SHORT = (
    '[queue]\nretry = ["1h"]\nlifetime = "2h"\nwarn_after = "never"\nwarn_after_policy = "never"\n'
)


def remember(world: World, id: str, host: str) -> None:
    """What DNS says now, for the relay to remember longer than mail may wait."""
    world.dns.replace(*RECORD, f"v=STSv1; id={id};", ttl=DAY)
    world.dns.replace(*MX, f"10 {host}.", ttl=DAY)


async def try_again(relay: RunningRelay, clock: MovedClock, count: int) -> None:
    """The attempt of this number, in vain."""
    relay.desk.retry(None, clock.now())
    await relay.events("deferred", count=count)


async def test_sts_64_the_last_attempt_asks_though_dns_is_remembered(
    world: World, run: Run, clock: MovedClock
) -> None:
    back = await world.mx_host("mx.a.test")
    world.domain("a.test", mx=[(10, back.name)])
    mx = await world.mx_host("mx.d.test", certificate=world.foreign_ca.issue(["mx.d.test"]))
    world.domain("d.test", mx=[(10, mx.name)], policy="enforce")
    remember(world, "20260101", mx.name)
    async with run(extra=SHORT) as relay:
        await relay.send("u@d.test")
        await relay.events("deferred")
        await try_again(relay, clock, 2)
        assert world.dns.queries.count(RECORD) == world.dns.queries.count(MX) == 1
        clock.ahead = LIFETIME
        (bounced,) = await relay.events("bounced")
    assert (bounced["to"], bounced["reason"], bounced["attempt"]) == ("u@d.test", "policy", 3)
    assert world.dns.queries.count(RECORD) == world.dns.queries.count(MX) == 2


async def test_sts_64_what_changed_meanwhile_saves_the_mail(
    world: World, run: Run, clock: MovedClock
) -> None:
    mx = await world.mx_host("new.d.test")
    world.domain("d.test", mx=[(10, "old.d.test")], policy="enforce", patterns=["none.d.test"])
    remember(world, "1", "old.d.test")
    async with run(extra=SHORT) as relay:
        await relay.send("u@d.test")
        await relay.events("deferred")
        world.domain("d.test", mx=[(10, mx.name)], policy="enforce")
        remember(world, "2", mx.name)
        await try_again(relay, clock, 2)
        clock.ahead = LIFETIME
        (event,) = await relay.events("delivered", "bounced")
    assert (event["event"], event["host"]) == ("delivered", mx.name)


async def test_sts_64_a_look_inside_the_back_off_of_a_failed_fetch(
    world: World, run: Run, clock: MovedClock
) -> None:
    """One new policy cannot be had; the last attempt finds the one after it."""
    mx = await world.mx_host("mx.d.test")
    site = world.domain("d.test", mx=[(10, mx.name)], policy="enforce", patterns=["none.d.test"])
    assert site
    world.dns.replace(*RECORD, "v=STSv1; id=1;", ttl=0)
    async with run(extra=SHORT) as relay:
        await relay.send("u@d.test")
        await relay.events("deferred")
        remember(world, "2", mx.name)
        site.status, clock.ahead = 503, LIFETIME - 100
        await try_again(relay, clock, 2)
        world.policy_host("d.test", policy_text("enforce", [mx.name]), id="3")
        site.status, clock.ahead = 200, LIFETIME
        (event,) = await relay.events("delivered", "bounced")
    assert (event["event"], event["host"]) == ("delivered", mx.name)
