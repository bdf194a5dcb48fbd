"""What the system is asked to do, in its order: the message is on disk before the 250 goes out."""

import asyncio
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from relay.lab.world import World
from tests.cli.process import send, serving

# strace tells of a call on one line, or on two where another thread's came between
_SYNC = re.compile(r"(?P<pid>\d+) +(?:<\.\.\. )?f(?:data)?sync(?:\(\d+<(?P<path>[^>]*)>| resumed>)")


def has_strace() -> bool:
    """Whether there is strace and a program of ours may be watched by it."""
    if not shutil.which("strace"):
        return False
    return subprocess.run(["strace", "-o", "/dev/null", "true"], check=False).returncode == 0


def synced(lines: list[str]) -> list[str]:
    """The files that had been synced by the last of these lines, in their order."""
    under_way: dict[str, str] = {}
    done = []
    for line in lines:
        if found := _SYNC.match(line):
            path = under_way[found["pid"]] = found["path"] or under_way.get(found["pid"], "")
            if line.endswith(" = 0"):
                done.append(path)
    return done


def test_a_sync_is_done_when_it_has_returned() -> None:
    lines = [
        "1  fdatasync(7</x/a-wal> <unfinished ...>",
        "2  sendto(5, ...",
        "1  <... fdatasync resumed>) = 0",
    ]
    assert synced(lines[:2]) == []
    assert synced(lines) == ["/x/a-wal"]
    assert synced(["1  fsync(7</x/a-wal>) = 0"]) == ["/x/a-wal"]
    assert synced(["1  fsync(7</x/a-wal>) = -1 EIO (Input/output error)"]) == []


@pytest.mark.skipif(not has_strace(), reason="strace is missing, or may watch nothing")
async def test_srv_17_the_250_goes_out_after_the_sync(world: World, tmp_path: Path) -> None:
    """RFC 5321 §6.1."""
    config, trace = tmp_path / "config.toml", tmp_path / "trace"
    config.write_text(world.config(tmp_path / "var"), "utf-8")
    calls = "trace=fsync,fdatasync,sendto,sendmsg,write,writev"
    # -D: the relay is our child and strace is not, so that it can be ended as always
    strace = ["strace", "-D", "-f", "-y", "-s", "80", "-e", calls, "-o", str(trace)]
    async with serving(config, *strace) as (child, port):
        await asyncio.to_thread(send, port, "u@d.test")
        child.terminate()
    lines = trace.read_text("utf-8").splitlines()
    go = next(at for at, line in enumerate(lines) if '"354 ' in line)
    word = next(at for at, line in enumerate(lines) if '"250 2.0.0 queued as ' in line)
    assert str(tmp_path / "var" / "spool-0.db-wal") in synced(lines[go:word]), lines[go:word]
