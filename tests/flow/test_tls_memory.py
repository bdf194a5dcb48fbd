"""A domain without a policy that suddenly offers less TLS: noticed, or kept back."""

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest

from relay.lab.world import World
from tests.cli.process import relay as command
from tests.flow.conftest import Run, RunningRelay, violations

TRUE = '[queue]\nretry = ["1s"]\n[tls]\nremember = true\n'
ENFORCE = TRUE.replace("true", '"enforce"')


async def deliver(relay: RunningRelay, count: int) -> dict[str, Any]:
    await relay.send("u@d.test")
    return (await relay.events("delivered", count=count))[-1]


def drops(relay: RunningRelay) -> list[tuple[Any, ...]]:
    keys = ("mx", "reason", "result_type", "action", "mode", "policy")
    return [tuple(one[key] for key in keys) for one in violations(relay.settings)]


async def test_a_drop_is_recorded_and_the_mail_goes(world: World, run: Run, tmp_path: Path) -> None:
    mx = await world.mx_host("mx.d.test")
    world.domain("d.test", mx=[(10, mx.name)])
    async with run(extra=TRUE) as relay:
        assert (await deliver(relay, 1))["tls"].startswith("verified")
    mx.starttls = False
    async with run(extra=TRUE) as relay:  # a restart keeps the memory
        assert (await deliver(relay, 1))["tls"] == "clear"
    drop = ("mx.d.test", "tls-downgrade", "starttls-not-supported", "delivered", None, None)
    assert drops(relay) == [drop]
    words = ("-c", tmp_path / "config.toml")
    told = await asyncio.to_thread(command, "tls", "list", "--json", *words)
    one = orjson.loads(told.stdout)
    assert (one["domain"], one["level"]) == ("d.test", "verified")
    shown = await asyncio.to_thread(command, "explain", "u@d.test", *words)
    assert "verified TLS was seen before" in " ".join(shown.stdout.split())
    shown = await asyncio.to_thread(command, "explain", "u@d.test", "--json", *words)
    assert orjson.loads(shown.stdout)["tls"]["remembered"] == "verified"


@pytest.mark.parametrize("end", ["repaired", "forgotten"])
async def test_enforce_keeps_mail_back_until_the_host_is_back_or_forgotten(
    world: World, run: Run, tmp_path: Path, end: str
) -> None:
    mx = await world.mx_host("mx.d.test")
    world.domain("d.test", mx=[(10, mx.name)])
    async with run(extra=ENFORCE) as relay:
        assert (await deliver(relay, 1))["tls"].startswith("verified")
    mx.starttls = False
    words = ("-c", tmp_path / "config.toml")
    async with run(extra=ENFORCE) as relay:
        sent = await relay.send("u@d.test")
        (event,) = await relay.events("deferred")
        assert (event["queue_id"], event["reason"]) == (sent, "tls-floor")
        assert "(tls.remember)" in event["reply"]
        shown = await asyncio.to_thread(command, "explain", "u@d.test", "--probe", *words)
        assert shown.returncode == 3
        assert "(tls.remember)" in " ".join(shown.stdout.split())
        if end == "repaired":
            mx.starttls = True
        else:
            told = await asyncio.to_thread(command, "tls", "forget", "D.test", *words)
            assert (told.returncode, told.stdout) == (0, "d.test: forgotten\n")
        (event,) = await relay.events("delivered")
        assert event["tls"].startswith("verified" if end == "repaired" else "clear")
    assert {one[:4] for one in drops(relay)} == {
        ("mx.d.test", "tls-downgrade", "starttls-not-supported", "refused")
    }


@pytest.mark.parametrize(("extra", "action"), [(TRUE, "delivered"), (ENFORCE, "refused")])
async def test_a_forged_mx_record_is_noticed(
    world: World, run: Run, extra: str, action: str
) -> None:
    mx = await world.mx_host("mx.d.test")
    forged = await world.mx_host("mx.evil.test", starttls=False)
    world.domain("d.test", mx=[(10, mx.name)])
    async with run(extra=extra) as relay:
        await deliver(relay, 1)
    world.domain("d.test", mx=[(10, forged.name)])
    async with run(extra=extra) as relay:
        await relay.send("u@d.test")
        await relay.events("delivered" if action == "delivered" else "deferred")
    assert bool(forged.messages) is (action == "delivered")
    assert drops(relay)[0][:4] == (
        *("mx.evil.test", "tls-downgrade", "starttls-not-supported"),
        action,
    )


async def test_a_waiver_stands_above_it(world: World, run: Run) -> None:
    mx = await world.mx_host("mx.d.test")
    world.domain("d.test", mx=[(10, mx.name)])
    async with run(extra=ENFORCE) as relay:
        await deliver(relay, 1)
    mx.starttls = False
    waiver = "[[waiver]]\ndomain = 'd.test'\nallow = 'no-tls'\nuntil = 2099-01-01\nreason = 'old'\n"
    async with run(extra=ENFORCE + waiver) as relay:
        assert (await deliver(relay, 1))["tls"] == "clear"
    assert [one[3] for one in drops(relay)] == ["waived"]


async def test_without_the_key_nothing_is_remembered(
    world: World, run: Run, tmp_path: Path
) -> None:
    mx = await world.mx_host("mx.d.test")
    world.domain("d.test", mx=[(10, mx.name)])
    async with run() as relay:
        await deliver(relay, 1)
    words = ("-c", tmp_path / "config.toml")
    told = await asyncio.to_thread(command, "tls", "list", *words)
    assert told.stdout == "nothing is remembered\n"
    told = await asyncio.to_thread(command, "tls", "forget", "d.test", *words)
    assert (told.returncode, told.stderr) == (
        1,
        "relay: no TLS level is remembered of d.test\n",
    )
