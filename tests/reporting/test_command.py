"""Alerts given to a program: what it gets, what is told of its failure, and that it ends."""

import asyncio
import os
import signal
from pathlib import Path

import orjson
import pytest

from relay import event_loop
from relay.reporting.command import Command

BIG = orjson.dumps({"text": "x" * 300_000})


def shell(script: str, directory: Path, longest: float = 20.0) -> Command:
    return Command(("/bin/sh", "-c", script), directory, longest)


async def test_it_has_the_object_on_its_standard_input(tmp_path: Path) -> None:
    assert await shell("cat > got", tmp_path).tell(BIG) is None
    assert (tmp_path / "got").read_bytes() == BIG


async def test_arguments_are_no_shell_s(tmp_path: Path) -> None:
    words = ("/usr/bin/env", "sh", "-c", 'printf %s "$1" > got', "sh", "$(id); `id`")
    assert await Command(words, tmp_path).tell(b"{}") is None
    assert (tmp_path / "got").read_text() == "$(id); `id`"


async def test_its_environment_is_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELAY_CONFIG", "secret")
    monkeypatch.setenv("LC_ALL", "C")
    assert await Command(("/usr/bin/env",), tmp_path).tell(b"{}") is None
    assert await shell("env > got", tmp_path).tell(b"{}") is None
    names = {line.partition("=")[0] for line in (tmp_path / "got").read_text().splitlines()}
    assert {"PATH", "LC_ALL"} <= names
    assert "RELAY_CONFIG" not in names


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("true", None),
        ("exec 0<&-; exit 0", None),
        ("echo chatter", None),
        ("exit 3", "failed with exit status 3"),
        ("echo no route; echo >&2 at all; exit 1", "failed with exit status 1: no route at all"),
        ("kill -9 $$", "failed with exit status -9"),
        ("printf 'a\\033[1mb'; exit 1", "failed with exit status 1: a [1mb"),
    ],
)
async def test_how_it_ends_is_told(tmp_path: Path, script: str, told: str | None) -> None:
    assert await shell(script, tmp_path).tell(BIG) == told


async def test_only_the_beginning_of_much_output_is_kept(tmp_path: Path) -> None:
    why = await shell("yes | head -c 3000000; exit 1", tmp_path).tell(b"{}")
    assert why is not None
    assert len(why) < 400


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_it_is_the_same_on_either_event_loop(tmp_path: Path, loop: str) -> None:
    async def tell() -> None:
        assert await shell("cat > told", tmp_path).tell(BIG) is None
        why = await shell("exec yes", tmp_path).tell(b"{}")
        assert (why or "").startswith("failed with exit status")
        why = await shell("sleep 3600", tmp_path, longest=0.2).tell(b"{}")
        assert (why or "").startswith("took longer")

    event_loop.run(tell(), loop)
    assert (tmp_path / "told").read_bytes() == BIG


async def test_who_says_very_much_is_not_heard_to_the_end(tmp_path: Path) -> None:
    why = await shell("exec yes", tmp_path).tell(b"{}")
    assert (why or "").startswith(f"failed with exit status {-signal.SIGPIPE}: y y y")


async def test_what_cannot_be_started_is_told(tmp_path: Path) -> None:
    why = await Command((str(tmp_path / "none"),), tmp_path).tell(b"{}")
    assert why == "cannot be started: No such file or directory"


async def test_what_takes_too_long_is_killed_with_its_children(tmp_path: Path) -> None:
    script = "sleep 600 & echo $! > child; wait"
    why = await shell(script, tmp_path, longest=1.0).tell(b"{}")
    assert why == "took longer than 1 seconds and was ended"
    await gone(int((tmp_path / "child").read_text()))


async def test_it_does_not_outlive_a_relay_that_stops(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "begun")
    task = asyncio.create_task(shell("echo $$ > begun; sleep 600", tmp_path).tell(b"{}"))
    pid = int(await asyncio.to_thread((tmp_path / "begun").read_text))
    task.cancel()
    await asyncio.wait([task])
    await gone(pid)


async def test_a_child_that_goes_on_is_not_waited_for(tmp_path: Path) -> None:
    """One that has left the group and still holds the output."""
    script = "setsid sleep 600 & echo $! > child; exit 0"
    assert await shell(script, tmp_path).tell(b"{}") is None
    os.kill(int((tmp_path / "child").read_text()), 9)


def test_its_name_holds_no_argument(tmp_path: Path) -> None:
    assert str(Command(("/bin/x", "--token", "secret"), tmp_path)) == "alert.command (/bin/x)"


async def gone(pid: int) -> None:
    """Wait until a process is gone, or a zombie that nobody here can wait for."""
    async with asyncio.timeout(20):
        while _is_running(pid):  # noqa: ASYNC110 - it is no child of ours
            await asyncio.sleep(0.01)


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
