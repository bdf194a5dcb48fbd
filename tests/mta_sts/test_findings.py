"""What is told when a policy protects less, and that it is told once."""

import asyncio

import pytest

from relay.db.policies import PolicyTable
from relay.lab.world import World
from tests.mta_sts.finding import GOOD, D, SetClock, finder_in


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        pytest.param(GOOD.replace("enforce", "testing"), ["policy-weakened"], id="weakened"),
        pytest.param(GOOD.replace("mx.d", "mx.e"), ["policy-replaced"], id="replaced"),
        pytest.param(GOOD.replace("864000", "3600"), ["policy-weakened"], id="shortened"),
        pytest.param(GOOD + "mx: mx.e.test\n", [], id="one more host"),
    ],
)
async def test_a_policy_that_protects_less_is_told_once(
    world: World,
    table: PolicyTable,
    clock: SetClock,
    caplog: pytest.LogCaptureFixture,
    text: str,
    reasons: list[str],
) -> None:
    world.policy_host(D, GOOD, id="1")
    await finder_in(world, table, clock).find(D)
    world.policy_host(D, text, id="2")
    # several processes see the change at the same time, and each again
    finders = [finder_in(world, table, clock) for _ in range(3)]
    found = [await asyncio.gather(*(one.find(D) for one in finders * 2)) for _ in range(2)]
    findings = [one for row in found for answer in row for one in answer.findings]
    assert [one.failure for one in findings] == reasons
    assert all(one.policy and one.policy.id == "1" for one in findings)
    assert all(one.action == "noted" for one in findings)
    assert [one.levelname for one in caplog.records] == ["WARNING"] * len(reasons)


async def test_a_record_that_goes_while_the_policy_lives_is_told_once(
    world: World, table: PolicyTable, clock: SetClock, caplog: pytest.LogCaptureFixture
) -> None:
    world.policy_host(D, GOOD)
    await finder_in(world, table, clock).find(D)
    txt = "_mta-sts.d.test", "TXT"
    told: list[str] = []
    for hour, state in enumerate(["gone", "gone", "SERVFAIL", "gone", "back", "gone"], 1):
        world.dns.restore(*txt)
        if state == "SERVFAIL":
            world.dns.fail(*txt, "SERVFAIL")
        elif state == "gone":
            world.dns.remove(*txt)
        else:
            world.dns.add(*txt, "v=STSv1; id=20260101;")
        clock.ahead = hour * 3600.0
        findings = [
            one
            for _ in range(2)
            for finder in (finder_in(world, table, clock), finder_in(world, table, clock))
            for one in (await finder.find(D)).findings
        ]
        told += [f"{hour} {one.failure}" for one in findings]
    assert told == ["1 policy-removed", "3 sts-policy-fetch-error", "6 policy-removed"]
    warned = [one.getMessage() for one in caplog.records if "does not exist" in one.getMessage()]
    assert any("while its policy of mode enforce holds until" in text for text in warned)


async def test_sts_68_mode_none_may_go_without_a_word(
    world: World, table: PolicyTable, clock: SetClock, caplog: pytest.LogCaptureFixture
) -> None:
    world.policy_host(D, "version: STSv1\nmode: none\nmax_age: 864000\n")
    await finder_in(world, table, clock).find(D)
    world.dns.remove("_mta-sts.d.test", "TXT")
    clock.ahead = 3600.0
    found = await finder_in(world, table, clock).find(D)
    assert (found.findings, caplog.records) == ((), [])
    assert found.policy.error is not None
    assert found.policy.error.code == "ENOTFOUND"
