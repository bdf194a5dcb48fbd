"""Before a setting is made stricter the shadow report tells what that will refuse."""

import pytest

from relay.config import Settings
from relay.db.ledger_traffic import shadow
from relay.lab.world import World, policy_text
from relay.reporting.store import Shadow
from relay.storage import LEDGER
from tests.flow.conftest import MovedClock, Run, violations

DAY = 86_400.0
EVER = (None, None)


def told(settings: Settings, mode: str, since: float | None = None) -> Shadow:
    """The report as the ledger has it once the relay has stopped."""
    return shadow(settings.storage_directory / LEDGER, mode, None, (since, None), 9)


async def test_a_domain_moves_from_testing_to_enforce(
    world: World, run: Run, clock: MovedClock
) -> None:
    mx = await world.mx_host("mx.d.test", certificate=world.ca.issue(["old.test"]))
    world.domain("d.test", mx=[(10, mx.name)], policy="testing")
    async with run() as relay:
        await relay.send("u@d.test")
        await relay.send("u@d.test", "v@d.test")
        await relay.events("delivered", count=3)
    before = told(relay.settings, "testing")
    (one,) = before.exposures
    assert (before.domains, before.clean) == (1, 0)
    assert (one.messages, one.recipients, one.flawed) == (2, 3, 2)
    assert one.reasons == (("certificate-host-mismatch", 2),)

    # a day later the certificate is in order; what was before is told as before
    mx.certificate = world.ca.issue([mx.name])
    clock.ahead = DAY
    async with run() as relay:
        await relay.send("u@d.test")
        await relay.events("delivered")
    since = told(relay.settings, "testing", clock.now() - DAY / 2)
    assert (since.messages, since.flawed, since.clean) == (1, 0, 1)
    assert told(relay.settings, "testing").flawed == 2

    # so the domain may ask for it
    world.policy_host("d.test", policy_text("enforce", [mx.name]), id="2")
    world.dns.replace("_mta-sts.d.test", "TXT", "v=STSv1; id=2;", ttl=0)
    recorded = len(violations(relay.settings))
    async with run() as relay:
        await relay.send("u@d.test")
        (delivered,) = await relay.events("delivered")
    assert delivered["tls"].startswith("verified")
    assert told(relay.settings, "enforce").messages == 1
    assert len(violations(relay.settings)) == recorded


@pytest.mark.parametrize("floor", ["encrypt", "verify"])
async def test_a_floor_refuses_what_was_told(world: World, run: Run, floor: str) -> None:
    """CNF-08, CNF-10: by the report clear text falls under both, a bad certificate under one."""
    good = await world.mx_host("mx.good.test")
    clear = await world.mx_host("mx.clear.test", starttls=False)
    bad = await world.mx_host(
        "mx.bad.test", certificate=world.ca.issue(["mx.bad.test"], self_signed=True)
    )
    hosts = {"good.test": good, "clear.test": clear, "bad.test": bad}
    for domain, mx in hosts.items():
        world.domain(domain, mx=[(10, mx.name)])
    async with run() as relay:
        await relay.send(*[f"u@{domain}" for domain in hosts])
        await relay.events("delivered", count=3)
    exposures = {one.domain: one for one in told(relay.settings, "none").exposures}
    foreseen = {
        domain
        for domain, one in exposures.items()
        if (one.flawed if floor == "verify" else one.clear)
    }
    assert exposures["bad.test"].reasons == (("certificate-not-trusted", 1),)
    assert exposures["clear.test"].reasons == (("starttls-not-supported", 1),)

    async with run(extra=f'[tls]\nno_policy = "{floor}"\n') as relay:
        await relay.send(*[f"u@{domain}" for domain in hosts])
        deferred = await relay.events("deferred", count=len(foreseen))
        await relay.events("delivered", count=3 - len(foreseen))
    assert {one["to"].partition("@")[2] for one in deferred} == foreseen
    assert foreseen == ({"clear.test", "bad.test"} if floor == "verify" else {"clear.test"})


async def test_mail_by_a_route_is_not_under_the_floor_of_other_mail(world: World, run: Run) -> None:
    """What [tls] asks for changes nothing there, and the report foresees none."""
    out = await world.mx_host("out.isp.test", starttls=False)
    route = '[[route]]\ndomain = "d.test"\nnext_hop = "[out.isp.test]"\ntls = "opportunistic"\n'
    async with run(extra=route) as relay:
        await relay.send("u@d.test")
        await relay.events("delivered")
    assert told(relay.settings, "none").domains == 0
    async with run(extra=route + '[tls]\nno_policy = "verify"\n') as relay:
        await relay.send("u@d.test")
        await relay.events("delivered")
    assert len(out.messages) == 2
