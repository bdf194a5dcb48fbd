"""Other people's mail servers, each in a root directory of its own (chroot) with its own spool.

Knows how to start and stop one; what to write into its configuration is in servers.py.
"""

import asyncio
import contextlib
import logging
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL

import pytest

from relay.lab.ca import Certificate

STORE = Path(__file__).parents[2] / ".interop"
ADDRESS = "127.8.0.1"  # the lab's own hosts are at 127.0.x.x
CERTIFICATE = "/etc/tls.pem"  # in the root of each
ROOTS = "/etc/ssl/certs/ca-certificates.crt"
_PATIENCE = 20.0
_PAUSE = 0.05  # seconds: a server tells nobody when it is ready

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class NextHop:
    """The host a server hands all its mail on to, in clear or over TLS that is `verified`."""

    name: str
    address: str
    port: int
    verified: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server stands: its name, its listener, and what is behind it.

    `certificate` is what it shows, `roots` (PEM) what it trusts.
    """

    host: str
    address: str
    port: int
    onward: NextHop
    certificate: Certificate
    roots: Path


@dataclass(frozen=True, slots=True)
class Server:
    """A program and its configuration; paths are as it sees them, from its own root.

    `files` gives the configuration for a place; `log` is the file it logs to, None: to stderr.
    `user` is the id, in its own root, of who reads the private key.
    """

    name: str
    command: tuple[str, ...]
    files: Callable[[Place], Mapping[str, str]]
    log: str | None = None
    user: int = 0


def root_of(name: str) -> Path:
    """The unpacked files of a peer; skips the test where there are none."""
    root = STORE / name
    if not root.is_dir():
        pytest.skip(f"{name} is not there: tests/interop/prepare, as root, gets it")
    return root


@contextlib.asynccontextmanager
async def running(server: Server, place: Place) -> AsyncIterator[None]:
    """The server in its place, with an empty spool; its log is shown where the test fails."""
    root = root_of(server.name)
    _clear(root / "var/spool", root / "var/log")
    _write(root, server, place)
    with (root / "stderr").open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            "chroot", root, *server.command, stdin=DEVNULL, stdout=stderr, stderr=stderr,
            start_new_session=True,  # Postfix ends its whole process group with itself
        )  # fmt: skip
    try:
        await _greeted(place, process)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
        log.warning("%s", (root / (server.log or "stderr")).read_text("utf-8", "replace"))


def _clear(*directories: Path) -> None:
    for directory in directories:
        for left_over in directory.rglob("*"):
            if not left_over.is_dir():
                left_over.unlink()


def _write(root: Path, server: Server, place: Place) -> None:
    hosts = f"{place.onward.address} {place.onward.name}\n"
    roots = place.roots.read_text()
    files = {**server.files(place), "etc/hosts": hosts, ROOTS[1:]: roots}
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    # a private key that others may read is refused
    key = root / CERTIFICATE[1:]
    shutil.copyfile(place.certificate.path, key)
    key.chmod(0o600)
    shutil.chown(key, server.user)


async def _greeted(place: Place, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(_PATIENCE):
        while process.returncode is None:
            with contextlib.suppress(ConnectionRefusedError):
                reader, writer = await asyncio.open_connection(place.address, place.port)
                assert (await reader.readline()).startswith(b"220 ")
                writer.close()
                return
            await asyncio.sleep(_PAUSE)
    raise AssertionError(f"{place.host} ended with status {process.returncode}")
