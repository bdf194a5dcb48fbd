"""A queue for hosts that are down: few connections, and nothing in the way of a retry."""

from relay.lab.world import World
from tests.flow.conftest import Run


async def test_snd_22_a_queue_for_a_dead_host_makes_few_connections(world: World, run: Run) -> None:
    mx = await world.mx_host("mx.d.test", drop_at="CONNECT")
    world.domain("d.test", mx=[(10, mx.name)])
    async with run('[queue]\nretry = ["1h"]\n') as relay:
        for _ in range(40):
            await relay.send("u@d.test")
        await relay.events("deferred", count=40)
        before = mx.connections
        assert relay.desk.retry(None, 0.0) == 40
        await relay.events("deferred", count=80)
        assert mx.connections - before <= 3
        mx.drop_at = None
        assert relay.desk.retry(None, 0.0) == 40
        await relay.events("delivered", count=40)
