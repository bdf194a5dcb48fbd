"""An operator finds out why mail to a partner sticks, lets it go, and it goes by itself at the end.

As docs/operating.md tells it. The next retry is twelve hours away.
"""

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

from relay.clock import SystemClock
from relay.lab.world import World
from tests.cli.process import relay as command
from tests.flow.conftest import PATIENCE, MovedClock, Run, violations

HOUR = 3600.0
QUEUE = (
    '[queue]\nretry = ["12h"]\nwarn_after = "never"\nwarn_after_policy = "never"\nwatch = "1s"\n'
)
FAULT = "the certificate of mx.d.test has expired"


def waiver() -> str:
    """One for an hour, as it stands in the configuration."""
    end = datetime.fromtimestamp(int(SystemClock().now() + HOUR), UTC)
    return (
        f"[[waiver]]\ndomain = 'd.test'\nallow = 'bad-certificate'\nuntil = {end.isoformat()}\n"
        "reason = 'they renew it, ticket 4711'\n"
    )


async def told(tmp_path: Path, *words: str, status: int = 0) -> str:
    """What a command says beside the running relay."""
    run = await asyncio.to_thread(command, *words, "-c", tmp_path / "config.toml")
    assert (run.returncode, run.stderr) == (status, "")
    return run.stdout


async def first_violation(tmp_path: Path) -> str:
    """What `relay violations --follow` says first."""
    words = (sys.executable, "-m", "relay", "violations", "--follow")
    child = await asyncio.create_subprocess_exec(
        *words, "-c", tmp_path / "config.toml", stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    try:
        return (await asyncio.wait_for(child.stdout.readline(), PATIENCE)).decode()
    finally:
        child.terminate()
        await child.wait()


async def find_out_why(stuck: str, tmp_path: Path) -> None:
    """Queue, violations and explanation all tell the cause."""
    (row,) = (await told(tmp_path, "queue", "list", "--reason", "policy")).splitlines()[2:]
    assert row.startswith(stuck)
    assert FAULT in row
    seen = await first_violation(tmp_path)
    assert "certificate expired  refused" in seen
    shown = await told(tmp_path, "explain", "joe@d.test", "--probe", status=3)
    assert shown.startswith(f"joe@d.test would be deferred (policy): 451 4.7.5 {FAULT}")


async def test_from_mail_that_sticks_to_mail_that_leaves_by_itself(
    world: World, run: Run, clock: MovedClock, tmp_path: Path
) -> None:
    mx = await world.mx_host("mx.d.test", certificate=world.ca.issue(["mx.d.test"], expired=True))
    world.domain("d.test", mx=[(10, mx.name)], policy="enforce")
    async with run(extra=QUEUE) as relay:
        stuck = await relay.send("joe@d.test")
        await relay.events("deferred")
        await find_out_why(stuck, tmp_path)

        # it cannot wait: a waiver for an hour
        await relay.reload(QUEUE + waiver())
        await mx.received(1, PATIENCE)
        assert (await relay.events("delivered"))[0]["queue_id"] == stuck
        shown = await told(tmp_path, "explain", "joe@d.test", "--probe")
        assert shown.startswith("joe@d.test would be delivered to mx.d.test over TLSv1.3 with any")
        assert "they renew it, ticket 4711" in shown

        # the hour is over
        clock.ahead = 2 * HOUR
        late = await relay.send("joe@d.test")
        event = (await relay.events("deferred", count=2))[-1]
        assert (event["queue_id"], event["reason"]) == (late, "policy")
        assert "has ended" in event["reply"]

        # the partner has renewed it
        mx.certificate = world.ca.issue([mx.name])
        await mx.received(2, PATIENCE)
        assert (await relay.events("delivered", count=2))[-1]["queue_id"] == late
        released = (await relay.events("released"))[-1]["message"]
        assert released == "mx.d.test verifies again: 1 message for d.test leaves now"
        assert await told(tmp_path, "queue", "list") == "the queue is empty\n"
    actions = [one["action"] for one in violations(relay.settings)]
    assert set(actions) == {"refused", "waived"}
    assert actions.count("waived") == 1
