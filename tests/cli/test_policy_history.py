"""`relay policy history` and `relay policy forget`: what a domain had, and that it goes."""

import asyncio
import json
from pathlib import Path

import pytest

from relay.cli.policy_history import describe_history, diff, words
from relay.lab.world import World
from relay.mta_sts import Policy
from relay.mta_sts.policy import PolicyVersion
from tests.cli.process import Run, relay, send, serving


def version(
    mode: str = "enforce",
    mx: tuple[str, ...] = ("a.test", "b.test"),
    max_age: int = 604_800,
    text: str = "",
    record_id: str = "1",
) -> PolicyVersion:
    policy = Policy(version="STSv1", mode=mode, mx=mx, max_age=max_age)
    return PolicyVersion(record_id, policy, text, 1.0, 2.0, 3.0, "refresh")


WEAKER = "protects less than the version before"


@pytest.mark.parametrize(
    ("after", "told", "fields"),
    [
        (version(record_id="2"), ["only the record's id changed"], ["id"]),
        (version(text="x"), ["only the file's wording changed"], []),
        (version("testing"), [WEAKER, "mode enforce became testing"], ["mode"]),
        (version(max_age=86_400), [WEAKER, "max_age went from 7 days to 24 h"], ["max_age"]),
        (version(max_age=864_000), ["max_age went from 7 days to 10 days"], ["max_age"]),
        (version(mx=("a.test", "c.test")), ["new: c.test", "gone: b.test"], ["mx"]),
        (version(mx=("c.test",)), [WEAKER, "new: c.test", "gone: a.test, b.test"], ["mx"]),
    ],
)
def test_what_changed(after: PolicyVersion, told: list[str], fields: list[str]) -> None:
    assert words(version(), after) == told
    assert list(diff(version(), after)) == fields


def test_only_the_fields_that_differ_are_shown_again() -> None:
    lines = list(describe_history([version(), version("none", mx=("a.test",), record_id="2")]))
    assert lines[0] == (
        "1970-01-01 00:00:01 to 1970-01-01 00:00:03, first seen by the daily refresh, "
        "last fetched 1970-01-01 00:00:02"
    )
    assert lines[1:6] == [
        "    id: 1",
        "    mode: enforce",
        "    max_age: 604800",
        "    mx: a.test",
        "    mx: b.test",
    ]
    assert lines[7:] == [
        f"  {WEAKER}",
        "  mode enforce became none",
        "  gone: b.test",
        "  - id: 1",
        "  - mode: enforce",
        "  - mx: b.test",
        "  + id: 2",
        "  + mode: none",
    ]


async def call(path: Path, *words: str) -> Run:
    return await asyncio.to_thread(relay, "policy", *words, "-c", path)


async def test_versions_of_a_domain(world: World, path: Path) -> None:
    site = world.domain("d.test", mx=[(10, "mx.d.test")], policy="enforce")
    assert site is not None
    await call(path, "d.test", "--json")
    world.policy_host("d.test", site.body.replace(b"enforce", b"testing"), id="2")
    await call(path, "d.test", "--json")
    run = await call(path, "history", "D.test.")
    assert (run.returncode, run.stderr) == (0, "")
    for line in ("  mode enforce became testing", "  - mode: enforce", "  + mode: testing"):
        assert line in run.stdout.splitlines()
    told = await call(path, "history", "d.test", "--json")
    first, second = map(json.loads, told.stdout.splitlines())
    assert list(first) == list(second)
    assert (first["id"], first["mode"], first["changes"]) == ("20260101", "enforce", [])
    assert second["diff"] == {
        "id": {"before": "20260101", "after": "2"},
        "mode": {"before": "enforce", "after": "testing"},
    }
    assert first["ended"] == second["first_seen"]
    assert (second["ended"], second["seen_by"]) == (None, "command")


async def test_forget_makes_the_next_look_up_the_first_and_keeps_history(
    world: World, path: Path
) -> None:
    site = world.domain("d.test", mx=[(10, "mx.d.test")], policy="enforce")
    assert site is not None
    await call(path, "d.test", "--json")
    run = await call(path, "forget", "d.test", "other.test")
    assert (run.returncode, run.stdout) == (1, "d.test is forgotten\n")
    assert run.stderr == "relay: nothing is cached of other.test\n"
    assert "nothing is cached" in (await call(path, "d.test", "--offline")).stdout
    assert (await call(path, "history", "d.test")).returncode == 0
    assert (await call(path, "forget", "d.test")).returncode == 1
    assert json.loads((await call(path, "d.test", "--json")).stdout)["status"] == "found"
    assert len(site.requests) == 2


async def test_forget_beside_a_running_relay(world: World, path: Path) -> None:
    mx = await world.mx_host("mx.d.test")
    site = world.domain("d.test", mx=[(10, mx.name)], policy="enforce")
    assert site is not None
    async with serving(path) as (_, port):
        for count in (1, 2):
            await asyncio.to_thread(send, port, "u@d.test")
            await mx.received(count, timeout=10)
            assert len(site.requests) == count
            assert (await call(path, "forget", "d.test")).returncode == 0


@pytest.mark.parametrize("command", ["history", "forget"])
def test_a_domain_of_which_nothing_is_known(path: Path, command: str) -> None:
    run = relay("policy", command, "d.test", "-c", path)
    assert (run.returncode, run.stdout, run.stderr.count("\n")) == (1, "", 1)
    assert "d.test" in run.stderr
