"""A notice that nobody can be given: the postmaster or the log has it, and it ends there."""

from relay.lab.world import World
from tests.flow.conftest import Run

POSTMASTER = '[queue]\npostmaster = "pm@ops.test"\n'


async def test_snd_27_a_failing_notice_goes_to_the_postmaster(world: World, run: Run) -> None:
    refusing = await world.mx_host("mx.d.test", replies={"RCPT": "550 5.1.1 unknown"})
    office = await world.mx_host("mx.ops.test")
    for domain, mx in (("d.test", refusing), ("a.test", refusing), ("ops.test", office)):
        world.domain(domain, mx=[(10, mx.name)])
    async with run(extra=POSTMASTER) as relay:
        await relay.send("u@d.test")
        (notice,) = await office.received(1)
        await relay.events("delivered")
    assert (notice.mail_from, notice.rcpt_tos) == ("", ("pm@ops.test",))
    assert b"Final-Recipient: rfc822; me@a.test" in notice.content
    assert b"Subject: Mail delivery failed" in notice.content


async def test_snd_27_without_a_postmaster_the_log_has_it(world: World, run: Run) -> None:
    refusing = await world.mx_host("mx.d.test", replies={"RCPT": "550 5.1.1 unknown"})
    for domain in ("d.test", "a.test"):
        world.domain(domain, mx=[(10, refusing.name)])
    async with run() as relay:
        await relay.send("u@d.test")
        (event,) = await relay.events("unnotified")
        assert list(relay.desk.jobs()) == []
    assert (event["to"], event["why"]) == (["me@a.test"], "no sender to tell")


async def test_snd_24_a_postmaster_who_cannot_be_told_makes_no_loop(world: World, run: Run) -> None:
    refusing = await world.mx_host("mx.d.test", replies={"RCPT": "550 5.1.1 unknown"})
    for domain in ("d.test", "a.test", "ops.test"):
        world.domain(domain, mx=[(10, refusing.name)])
    async with run(extra=POSTMASTER) as relay:
        await relay.send("u@d.test")
        (event,) = await relay.events("unnotified")
        assert list(relay.desk.jobs()) == []
        bounced = await relay.events("bounced", count=3)
    assert [one["to"] for one in bounced] == ["u@d.test", "me@a.test", "pm@ops.test"]
    assert event["to"] == ["pm@ops.test"]
