"""A message's way through trouble: retries, notices, restarts, the operator's hand."""

import asyncio

import pytest

from relay.errors import StorageLockedError
from relay.lab.world import World
from tests.flow.conftest import Run

QUICK = '[queue]\nretry = ["1s"]\n'


async def test_content_arrives_byte_for_byte_below_one_trace_line(world: World, run: Run) -> None:
    mx = await world.mx_host("mx.d.test")
    world.domain("d.test", mx=[(10, mx.name)])
    content = b"Subject: x\r\n\r\n.\r\n..\r\n.dot\r\n \r\n" + bytes(range(128, 256)) + b"\r\n"
    content += b"long " * 2000 + b"\r\n\r\n"
    async with run() as relay:
        queue_id = await relay.send("U.Ser@d.test", content=content)
        (message,) = await mx.received(1)
    trace, _, rest = message.content.partition(b"Subject: x")
    assert b"Subject: x" + rest == content
    assert trace.startswith(b"Received: from client.test ([127.0.0.1])\r\n")
    assert queue_id.encode() in trace
    assert b"for <U.Ser@d.test>" in trace
    assert message.rcpt_tos == ("U.Ser@d.test",)
    assert "BODY=8BITMIME" in message.mail_options


async def test_snd_17_each_recipient_by_its_own_reply(world: World, run: Run) -> None:
    mx = await world.mx_host(
        "mx.d.test",
        replies={"RCPT:no@d.test": "550 5.1.1 unknown", "RCPT:later@d.test": ["450 4.2.0 later"]},
    )
    back = await world.mx_host("mx.a.test")
    world.domain("d.test", mx=[(10, mx.name)])
    world.domain("a.test", mx=[(10, back.name)])
    async with run(extra=QUICK) as relay:
        await relay.send("yes@d.test", "no@d.test", "later@d.test")
        await relay.events("delivered", count=3)
        (notice,) = await back.received(1)
    assert [message.rcpt_tos for message in mx.messages] == [("yes@d.test",), ("later@d.test",)]
    assert notice.mail_from == ""
    assert b"Final-Recipient: rfc822; no@d.test" in notice.content
    assert b"later@d.test" not in notice.content


@pytest.mark.parametrize(
    ("records", "status"),
    [([(0, "")], "5.1.10"), (None, "5.1.2")],
    ids=["EXT-27: null MX", "SND-01: NXDOMAIN"],
)
async def test_a_domain_that_takes_no_mail_bounces_at_once(
    world: World, run: Run, records: list[tuple[int, str]] | None, status: str
) -> None:
    back = await world.mx_host("mx.a.test")
    world.domain("a.test", mx=[(10, back.name)])
    if records:
        world.domain("d.test", mx=records)
    async with run() as relay:
        await relay.send("u@d.test")
        (notice,) = await back.received(1)
        (event,) = await relay.events("bounced")
    assert status in event["reply"]
    assert f"Status: {status}".encode() in notice.content


async def test_snd_02_without_mx_the_domain_itself_is_the_host(world: World, run: Run) -> None:
    mx = await world.mx_host("d.test")
    async with run() as relay:
        await relay.send("u@d.test")
        await mx.received(1)
        await relay.events("delivered")
    assert mx.snis == ["d.test"]


async def test_temporary_dns_trouble_defers(world: World, run: Run) -> None:
    world.domain("d.test", mx=[(10, "mx.d.test")])
    world.dns.fail("d.test", "MX", "SERVFAIL")
    async with run() as relay:
        await relay.send("u@d.test")
        (event,) = await relay.events("deferred")
    assert event["reason"] == "dns"
    assert event["reply"].startswith("451 4.4.3")


async def test_the_relay_itself_among_the_hosts_is_a_loop(world: World, run: Run) -> None:
    world.domain("d.test", mx=[(10, "relay.lab.test")])
    world.dns.add("relay.lab.test", "A", "127.0.0.1")
    async with run() as relay:
        await relay.send("u@d.test", sender="")
        (event,) = await relay.events("bounced")
    assert "5.4.6" in event["reply"]


async def test_internal_addresses_are_refused_unless_allowed(world: World, run: Run) -> None:
    mx = await world.mx_host("mx.d.test")
    world.domain("d.test", mx=[(10, mx.name)])
    async with run(extra="[delivery]\nallow_internal = []\n") as relay:
        await relay.send("u@d.test")
        (event,) = await relay.events("deferred")
    assert "delivery.allow_internal" in event["reply"]
    assert mx.connections == 0


async def test_what_is_queued_leaves_after_a_restart(world: World, run: Run) -> None:
    mx = await world.mx_host("mx.d.test", greeting="421 4.3.2 closed")
    world.domain("d.test", mx=[(10, mx.name)])
    async with run(extra=QUICK) as relay:
        await relay.send("u@d.test")
        await relay.events("deferred")
    mx.greeting = None
    async with run(extra=QUICK) as relay:
        await mx.received(1)
        await relay.events("delivered")
        assert list(relay.desk.jobs()) == []


async def test_an_operator_retries_and_drops(world: World, run: Run) -> None:
    mx = await world.mx_host("mx.d.test", greeting="421 4.3.2 closed")
    world.domain("d.test", mx=[(10, mx.name)])
    async with run() as relay:
        first, second = [await relay.send("u@d.test") for _ in range(2)]
        await relay.events("deferred", count=2)
        mx.greeting = None
        jobs = {job.message_id: job.id for job in relay.desk.jobs()}
        assert relay.desk.drop([jobs[first]]) == 1
        assert relay.desk.retry([jobs[second]], 0.0) == 1
        (event,) = await relay.events("delivered")
        assert event["queue_id"] == second
        assert list(relay.desk.jobs()) == []
    assert len(mx.messages) == 1


async def test_a_second_relay_on_the_storage_refuses_to_start(world: World, run: Run) -> None:
    async with run() as relay:
        with pytest.raises(StorageLockedError, match="another relay"):
            async with run():
                pytest.fail("it started")
        assert relay.address


async def test_connections_are_reused_and_end_politely(world: World, run: Run) -> None:
    mx = await world.mx_host("mx.d.test")
    world.domain("d.test", mx=[(10, mx.name)], policy="enforce")
    async with run() as relay:
        for number in range(3):
            await relay.send("u@d.test")
            await mx.received(number + 1)
            await relay.events("delivered", count=number + 1)
    assert mx.connections == 1
    await asyncio.wait_for(mx.endings.reach(1, 5), 5)
    assert list(mx.endings) == ["QUIT"]


@pytest.mark.parametrize("step", ["CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "."])
async def test_snd_18_a_lost_connection_is_tried_again(world: World, run: Run, step: str) -> None:
    mx = await world.mx_host("mx.d.test", drop_at=step)
    world.domain("d.test", mx=[(10, mx.name)])
    async with run(extra=QUICK) as relay:
        await relay.send("u@d.test")
        (event,) = await relay.events("deferred")
        assert event["reason"] == "unreachable"
        mx.drop_at = None
        await relay.events("delivered")
        assert len(await mx.received(1)) == 1


async def test_srv_19_the_final_dot_waits_for_no_look_up(world: World, run: Run) -> None:
    mx = await world.mx_host("mx.d.test")
    world.domain("d.test", mx=[(10, mx.name)])
    world.dns.fail("d.test", "MX", "TIMEOUT")
    async with run() as relay:
        await relay.send("u@d.test")  # returns with the 250
        assert await relay.events("accepted")
        (job,) = relay.desk.jobs()
        assert (job.attempts, mx.connections) == (0, 0)


async def test_snd_23_a_refused_sender_is_no_other_ones_matter(world: World, run: Run) -> None:
    mx = await world.mx_host("mx.d.test", replies={"MAIL:spam@a.test": "550 5.7.1 not you"})
    world.domain("d.test", mx=[(10, mx.name)])
    world.domain("a.test", mx=[(0, "")])
    async with run() as relay:
        await relay.send("u@d.test", sender="spam@a.test")
        await relay.events("bounced")
        await relay.send("u@d.test", sender="me@a.test")
        await relay.events("delivered")
    assert [message.mail_from for message in mx.messages] == ["me@a.test"]
