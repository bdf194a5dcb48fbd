"""`relay policy list`: how each kept policy does, for people and for programs."""

import asyncio
import json
from pathlib import Path

import pytest

from relay.address import Domain
from relay.cli.policy_list import state_of
from relay.lab.world import World
from relay.mta_sts import Policy
from relay.mta_sts.policy import CachedPolicy, FetchFailure
from tests.cli.process import Run, relay

NOW = 1_800_000_000.0
DAY = 86_400.0


def kept(age: float, *, fails: bool = False, policy: bool = True) -> CachedPolicy:
    """A policy of ten days, fetched `age` days ago."""
    failure = FetchFailure("dns_error", "no answer", None, NOW, NOW + 300, 3, NOW - DAY)
    week = Policy(version="STSv1", mode="enforce", mx=("a",), max_age=int(10 * DAY))
    at = NOW - age * DAY
    found = week if policy else None
    return CachedPolicy(Domain("d.test"), "1", found, "", at, failure if fails else None)


@pytest.mark.parametrize(
    ("cached", "state"),
    [
        (kept(1), "live"),
        (kept(7), "live"),
        (kept(8), "ending"),
        (kept(1, fails=True), "failing"),
        (kept(8, fails=True), "ending"),
        (kept(10), "expired"),
        (kept(11, fails=True), "expired"),
        (kept(1, fails=True, policy=False), "no-policy"),
    ],
)
def test_sts_67_one_word_for_how_it_does(cached: CachedPolicy, state: str) -> None:
    assert state_of(cached, NOW) == state


async def call(path: Path, *words: str) -> Run:
    return await asyncio.to_thread(relay, "policy", *words, "-c", path)


async def test_sts_67_a_refresh_that_fails_is_plain_to_see(world: World, path: Path) -> None:
    world.domain("a.test", mx=[(10, "mx.a.test")], policy="testing")
    site = world.domain("d.test", mx=[(10, "mx.d.test")], policy="enforce")
    world.policy_host("void.test", "nonsense")
    assert site is not None
    for domain in ("a.test", "d.test", "void.test"):
        await call(path, domain, "--json")
    site.status = 503
    for _ in range(2):
        await call(path, "d.test", "--json", "--refresh")
    run = await call(path, "list")
    assert (run.returncode, run.stderr) == (0, "")
    rows = [line.split() for line in run.stdout.splitlines() if ".test" in line]
    assert [(row[0], row[1]) for row in rows] == [
        ("a.test", "testing"),
        ("d.test", "enforce"),
        ("void.test", "-"),
    ]
    assert "failing" in rows[1]
    assert "(http_status_503)," in rows[1]
    assert "failed 2 times since" in run.stdout
    assert run.stdout.splitlines()[-1] == "1 failing, 1 live, 1 no-policy"
    some = await call(path, "list", "--trouble")
    assert "a.test" not in some.stdout
    assert "d.test" in some.stdout


async def test_one_object_a_line_for_programs(world: World, path: Path) -> None:
    world.domain("d.test", mx=[(10, "mx.d.test")], policy="enforce", max_age=86400)
    world.policy_host("void.test", "nonsense")
    for domain in ("d.test", "void.test"):
        await call(path, domain, "--json")
    run = await call(path, "list", "--json")
    good, void = map(json.loads, run.stdout.splitlines())
    assert list(good) == list(void)
    assert good["fetched"] < good["expires"]
    assert {key: good[key] for key in ("domain", "state", "id", "mode", "mx", "max_age")} == {
        "domain": "d.test",
        "state": "live",
        "id": "20260101",
        "mode": "enforce",
        "mx": ["mx.d.test"],
        "max_age": 86400,
    }
    assert good["failure"] is None
    assert (void["state"], void["mode"], void["expires"]) == ("no-policy", None, None)
    assert void["failure"]["code"] == "invalid_sts_version"
    assert void["failure"]["count"] == 1
    some = await call(path, "list", "--json", "--trouble")
    assert [json.loads(line)["domain"] for line in some.stdout.splitlines()] == ["void.test"]


def test_before_the_first_serve(path: Path) -> None:
    run = relay("policy", "-c", path, "list")
    assert (run.returncode, run.stdout, run.stderr) == (0, "no policy is cached\n", "")
    assert relay("policy", "list", "--json", "-c", path).stdout == ""
