"""The commands as a user types them, each a process of its own."""

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest

from relay.lab.world import World
from tests.cli.process import relay, send, serving


@pytest.mark.parametrize("words", [["violations"], ["violations", "--json"], ["queue", "list"]])
def test_reading_works_before_the_first_serve(path: Path, words: list[str]) -> None:
    run = relay(*words, "-c", path)
    assert (run.returncode, run.stderr) == (0, "")


def test_check_says_every_fault_with_its_key(tmp_path: Path) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text(
        '[server]\nlisten = ["x"]\nworkers = -1\n[queue]\nretry = ["1m", "5x"]\n[tlss]\n', "utf-8"
    )
    run = relay("check", "-c", bad)
    assert run.returncode == 2
    for key in ("server.listen[0]", "server.workers", "queue.retry[1]", "tlss"):
        assert key in run.stderr
    assert "Traceback" not in run.stderr


def test_check_warns_of_a_waiver_that_has_ended(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    keys = "domain = 'd.test'\nallow = 'no-tls'\nuntil = 2026-01-31\nreason = 'they know'\n"
    path.write_text(f"[server]\nhostname = 'relay.a.test'\n[[waiver]]\n{keys}", "utf-8")
    run = relay("check", "-c", path)
    assert run.returncode == 0
    assert run.stderr == (
        "warning: waiver[0].until: the waiver for d.test has ended, 2026-02-01T00:00:00.000Z; "
        "take it out, or give it more time\n"
    )


def test_check_of_the_example(tmp_path: Path) -> None:
    example = Path(__file__).parents[2] / "config.example.toml"
    assert relay("check", "-c", example).returncode == 0


async def test_sigterm_ends_it_gracefully_and_a_second_one_is_refused(path: Path) -> None:
    async with serving(path) as (child, _):
        second = await asyncio.to_thread(relay, "serve", "-c", path)
        assert second.returncode == 3
        assert "another relay is running" in second.stderr
        child.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(child.wait(), 10) == 0


async def test_kill_9_loses_nothing_and_the_next_start_delivers(world: World, path: Path) -> None:
    """SND-34."""
    mx = await world.mx_host("mx.d.test", stall_at=".")
    world.domain("d.test", mx=[(10, mx.name)])
    async with serving(path) as (child, port):
        await asyncio.to_thread(send, port, "u@d.test")
        await asyncio.wait_for(mx.stalled.wait(), 10)
        os.kill(child.pid, signal.SIGKILL)
    mx.stall_at = None
    mx.resume.set()
    async with serving(path):
        assert (await mx.received(1, timeout=10))[0].rcpt_tos == ("u@d.test",)


async def test_sts_70_kill_9_keeps_the_policy(world: World, path: Path) -> None:
    mx = await world.mx_host("mx.d.test")
    world.domain("d.test", mx=[(10, mx.name)], policy="enforce")
    async with serving(path) as (child, port):
        await asyncio.to_thread(send, port, "u@d.test")
        await mx.received(1, timeout=10)
        os.kill(child.pid, signal.SIGKILL)
    mx.certificate = world.foreign_ca.issue([mx.name])
    world.dns.fail("_mta-sts.d.test", "TXT", "SERVFAIL")
    async with serving(path) as (child, port):
        assert child.stderr is not None
        await asyncio.to_thread(send, port, "u@d.test")
        while b"deferred" not in (line := await child.stderr.readline()):
            assert b"delivered" not in line
        assert b"mode enforce" in line


async def test_an_operator_looks_and_acts(world: World, path: Path) -> None:
    bad = world.ca.issue(["mx.d.test"], expired=True)
    mx = await world.mx_host("mx.d.test", certificate=bad)
    world.domain("d.test", mx=[(10, mx.name)], policy="enforce")
    async with serving(path) as (child, port):
        assert child.stderr is not None
        await asyncio.to_thread(send, port, "u@d.test")
        while b"deferred" not in await child.stderr.readline():
            pass
        listed = await asyncio.to_thread(relay, "queue", "list", "--json", "-c", path)
        (job,) = map(json.loads, listed.stdout.splitlines())
        assert (job["domain"], job["state"], job["reason"]) == ("d.test", "waiting", "policy")
        shown = await asyncio.to_thread(relay, "queue", "show", job["message_id"], "-c", path)
        assert "Subject: told" in shown.stdout
        table = await asyncio.to_thread(relay, "queue", "list", "-c", path)
        assert job["last"]["reply"] in table.stdout
        policy = await asyncio.to_thread(relay, "policy", "d.test", "--json", "-c", path)
        assert json.loads(policy.stdout)["status"] == "renewed"
        mx.certificate = world.ca.issue(["mx.d.test"])
        retried = await asyncio.to_thread(relay, "queue", "retry", job["id"], "-c", path)
        assert retried.returncode == 0
        assert len(await mx.received(1, timeout=10)) == 1
        child.send_signal(signal.SIGTERM)
        assert await child.wait() == 0
    run = relay("violations", "--json", "-c", path)
    (record,) = map(json.loads, run.stdout.splitlines())
    assert (record["reason"], record["action"]) == ("certificate-expired", "refused")
    log = (path.parent / "var" / "violations.jsonl").read_text("utf-8")
    assert log == run.stdout
    assert "certificate expired" in relay("violations", "-c", path).stdout


async def test_sighup_opens_the_log_anew(world: World, path: Path) -> None:
    mx = await world.mx_host("mx.d.test")
    world.domain("d.test", mx=[(10, mx.name)], policy="testing", patterns=["other.test"])
    log = path.parent / "var" / "violations.jsonl"
    async with serving(path) as (child, port):
        await asyncio.to_thread(send, port, "u@d.test")
        await mx.received(1, timeout=10)
        child.send_signal(signal.SIGHUP)
        await asyncio.to_thread(send, port, "u@d.test")
        await mx.received(2, timeout=10)
        child.send_signal(signal.SIGTERM)
        assert await child.wait() == 0
    assert log.read_bytes().count(b"\n") == 2


async def test_policy_of_a_domain_without_one(world: World, path: Path) -> None:
    run = await asyncio.to_thread(relay, "policy", "d.test", "--json", "-c", path)
    assert json.loads(run.stdout) == {
        "policy": {"id": False, "mode": "none"},
        "status": "not_found",
    }
    assert run.returncode == 0


async def test_a_failed_policy_look_up_is_recorded_once(world: World, path: Path) -> None:
    world.policy_host("d.test", "nonsense")
    runs = [
        await asyncio.to_thread(relay, "policy", "d.test", "--json", "-c", path) for _ in range(2)
    ]
    assert [run.returncode for run in runs] == [3, 3]
    assert runs[0].stdout == runs[1].stdout
    assert json.loads(runs[0].stdout)["policy"]["error"]["code"] == "invalid_sts_version"
    (record,) = map(json.loads, relay("violations", "--json", "-c", path).stdout.splitlines())
    assert (record["reason"], record["action"]) == ("sts-policy-invalid", "noted")
    assert (record["mx"], record["queue_id"], record["recipients"]) == (None, None, 0)


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["policy", "not a domain"], 2),
        (["queue", "show", "NONE"], 1),
        (["queue", "drop"], 2),
        (["queue", "drop", "--domain", "d.test"], 2),
        (["violations", "--since", "yesterday"], 2),
        (["nonsense"], 2),
    ],
)
def test_wrong_use_is_one_clear_line(path: Path, words: list[str], status: int) -> None:
    run = relay(*words, *([] if words == ["nonsense"] else ["-c", str(path)]))
    assert run.returncode == status
    assert run.stderr
    assert "Traceback" not in run.stderr


def test_no_configuration_at_all(tmp_path: Path) -> None:
    run = relay("check", "-c", tmp_path / "none.toml")
    assert run.returncode == 2
    assert "none.toml" in run.stderr
