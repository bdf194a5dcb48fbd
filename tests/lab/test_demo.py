"""The demo's domains are there, and show all that can become of mail."""

import dns.asyncresolver

from relay.lab.demo import furnish
from relay.lab.world import World


async def test_each_scene_has_a_domain_whose_hosts_have_addresses(world: World) -> None:
    scenes = await furnish(world)
    assert len({scene.domain for scene in scenes}) == len(scenes) >= 10
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = [world.dns.address[0]], world.dns.address[1]
    for scene in scenes:
        for mx in await resolver.resolve(f"{scene.domain}.", "MX"):
            assert await resolver.resolve(mx.exchange, "A")


async def test_the_scenes_show_every_mode_and_both_ends(world: World) -> None:
    scenes = await furnish(world)
    assert {scene.expected for scene in scenes} == {"delivered", "deferred"}
    modes = {site.body.split(b"\r\n")[1] for site in world.web.sites.values()}
    assert modes == {b"mode: enforce", b"mode: testing"}
    without = {scene.domain for scene in scenes} - {
        name.removeprefix("mta-sts.") for name in world.web.sites
    }
    assert without == {"no-policy.test", "no-policy-no-starttls.test"}
