"""Who writes to a domain whose policy keeps the mail back hears why after an hour, and once."""

from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

import pytest

from relay.lab.mx_host import MxHost, Received
from relay.lab.world import World
from relay.timestamp import rfc5322
from tests.flow.conftest import MovedClock, Run

HOUR = 3600.0
SLOW = '[queue]\nretry = ["12h"]\n'


@pytest.fixture
async def back(world: World) -> MxHost:
    """Where notices to the sender arrive."""
    back = await world.mx_host("mx.a.test")
    world.domain("a.test", mx=[(10, back.name)])
    return back


async def bad_host(world: World) -> None:
    bad = world.ca.issue(["mx.d.test"], expired=True)
    mx = await world.mx_host("mx.d.test", certificate=bad)
    world.domain("d.test", mx=[(10, mx.name)], policy="enforce")


def text_of(received: Received) -> str:
    report = message_from_bytes(received.content, policy=default)
    assert isinstance(report, EmailMessage)
    assert report["Subject"] == "Mail delivery delayed"
    (text, _, _) = report.iter_parts()
    return " ".join(text.get_content().split())


async def test_dsn_21_the_sender_is_told_after_an_hour_though_the_next_retry_is_later(
    world: World, run: Run, clock: MovedClock, back: MxHost
) -> None:
    await bad_host(world)
    async with run(extra=SLOW) as relay:
        await relay.send("u@d.test")
        await relay.events("deferred")
        (job,) = relay.desk.jobs()
        assert job.next_attempt == job.created + HOUR
        clock.ahead = HOUR
        (notice,) = await back.received(1, timeout=20)
        clock.ahead = 5 * HOUR  # past warn_after: nothing more is told
        relay.desk.retry(None, clock.now())
        await relay.events("deferred", count=3)
    told = text_of(notice)
    assert "The MTA-STS policy of d.test: mode enforce, id 20260101, hosts mx.d.test." in told
    assert "d.test, host mx.d.test: certificate-expired: " in told
    assert "To repair: renew the certificate of this host." in told
    assert f"the relay goes on trying until {rfc5322(job.created + 5 * 24 * HOUR)}." in told
    assert len(back.messages) == 1


@pytest.mark.parametrize(
    "extra",
    [
        pytest.param(SLOW + 'warn_after_policy = "never"\n', id="turned off"),
        pytest.param(SLOW + 'warn_after_policy = "2h"\n', id="later"),
    ],
)
async def test_nobody_is_told_before_the_time(
    world: World, run: Run, clock: MovedClock, back: MxHost, extra: str
) -> None:
    await bad_host(world)
    async with run(extra=extra) as relay:
        await relay.send("u@d.test")
        await relay.events("deferred")
        clock.ahead = HOUR
        relay.desk.retry(None, clock.now())
        await relay.events("deferred", count=2)
        (job,) = relay.desk.jobs()
    assert back.messages == []
    assert job.next_attempt == job.created + (4 if "never" in extra else 2) * HOUR


async def test_other_trouble_is_told_when_it_always_was(
    world: World, run: Run, clock: MovedClock, back: MxHost
) -> None:
    mx = await world.mx_host("mx.d.test", replies={"RCPT": "450 4.2.0 later"})
    world.domain("d.test", mx=[(10, mx.name)], policy="enforce")
    async with run(extra=SLOW) as relay:
        await relay.send("u@d.test")
        await relay.events("deferred")
        (job,) = relay.desk.jobs()
        assert job.next_attempt == job.created + 4 * HOUR
        clock.ahead = 4 * HOUR
        (notice,) = await back.received(1, timeout=20)
    assert "450 4.2.0 later" in text_of(notice)
