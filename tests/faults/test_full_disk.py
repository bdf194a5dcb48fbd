"""A disk that is full: new mail is put off, nothing is lost, all goes on when there is room."""

import asyncio
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from relay.lab.mx_host import MxHost
from tests.faults.conftest import all_arrived, send, serving

SIZE = 50_000  # octets a message


async def fill(port: int, mx: MxHost) -> tuple[set[str], int]:
    """Send to a host that takes nothing until the relay takes nothing more either."""
    mx.greeting = "421 4.3.2 closed"
    accepted: set[str] = set()
    for number in range(500):
        code = await asyncio.to_thread(send, port, f"fill-{number}", SIZE)
        if code != 250:
            return accepted, code
        accepted.add(f"fill-{number}")
    raise AssertionError("the disk is never full")


async def recover(port: int, mx: MxHost, accepted: set[str]) -> None:
    """With room again, everything goes on without a restart."""
    mx.greeting = None
    assert await asyncio.to_thread(send, port, "after", SIZE) == 250
    await all_arrived(mx, accepted | {"after"})


@contextmanager
def small_files(pid: int, directory: Path) -> Iterator[None]:
    """No file of the process may grow beyond a megabyte more than the largest has now."""
    most = max(one.stat().st_size for one in directory.iterdir()) + 2**20
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


@pytest.mark.skipif(sys.platform != "linux", reason="sets the limits of another process")
async def test_files_that_may_not_grow(path: Path, mx: MxHost) -> None:
    async with serving(path) as child:
        with small_files(child.pid, path.parent / "var"):
            accepted, code = await fill(child.port, mx)
        assert 400 <= code < 500
        assert accepted
        assert any("a message was put off" in line for line in child.log)
        await recover(child.port, mx, accepted)


@pytest.fixture
def small_disk(path: Path) -> Iterator[Path]:
    """The storage on a file system of 6 MB of its own, if this may be mounted."""
    directory = path.parent / "var"
    directory.mkdir(0o700)
    mount = ["mount", "-t", "tmpfs", "-o", "size=6m,mode=700", "tmpfs", str(directory)]
    if os.geteuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("needs to mount a file system")
    yield directory
    subprocess.run(["umount", "-l", str(directory)], check=True)


async def test_a_file_system_without_room(path: Path, mx: MxHost, small_disk: Path) -> None:
    async with serving(path) as child:
        ballast = small_disk / "ballast"
        ballast.write_bytes(bytes(3 * 2**20))
        accepted, code = await fill(child.port, mx)
        assert 400 <= code < 500
        ballast.unlink()
        await recover(child.port, mx, accepted)


async def test_after_a_crash_on_a_full_disk_nothing_is_lost(
    path: Path, mx: MxHost, small_disk: Path
) -> None:
    ballast = small_disk / "ballast"
    async with serving(path) as child:
        ballast.write_bytes(bytes(3 * 2**20))
        accepted, _ = await fill(child.port, mx)
    ballast.unlink()
    async with serving(path) as child:
        await recover(child.port, mx, accepted)
