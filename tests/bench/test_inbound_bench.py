"""What clients cost in memory: many that are idle, many that upload at once.

Small by default, and then only the counts are of interest; `BENCH=full pytest -s tests/bench` takes
some minutes and prints the figures of docs/performance.md.
"""

import asyncio
import os
import ssl
import sys
from pathlib import Path

import pytest

from relay.descriptors import make_room
from relay.lab.world import World
from tests.cli.process import serving
from tests.inbound.dialogue import Dialogue

FULL = os.environ.get("BENCH") == "full"
IDLE = 1000 if FULL else 20
UPLOADS = 100 if FULL else 5
SIZE = (10_000_000 if FULL else 600_000) // 1000 * 1000
PIECE = b"z" * 998 + b"\r\n"


def resident(pid: int) -> str:
    """What the process holds; the share of files that it maps is counted too."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text("utf-8").splitlines()
    found = {line.split()[0]: int(line.split()[1]) // 1024 for line in rollup[1:]}
    return f"{found['Pss:']} MiB PSS, {found['Rss:']} MiB RSS"


async def connected(port: int, context: ssl.SSLContext | None = None) -> Dialogue:
    client = Dialogue(*await asyncio.open_connection("127.0.0.1", port))
    assert (await client.reply()).startswith("220 ")
    assert (await client.say("EHLO client.test")).startswith("250")
    if context:
        await client.say("STARTTLS")
        await client.start_tls(context)
    return client


async def upload(port: int) -> Dialogue:
    """All of a message but its final dot."""
    client = await connected(port)
    await client.say("MAIL FROM:<>", "RCPT TO:<u@none.test>", "DATA")
    for _ in range(SIZE // 1000 // 100):
        await client.send(PIECE * 100)
    return client


async def finish(client: Dialogue) -> str:
    await client.send(b".\r\n")
    return (await client.reader.readline())[:3].decode()


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
async def test_memory(world: World, tmp_path: Path) -> None:
    make_room(IDLE * 2 + UPLOADS)
    path = tmp_path / "config.toml"
    (tmp_path / "relay.pem").write_bytes(world.ca.issue(["relay.test"]).path.read_bytes())
    extra = '[server]\ntls_cert = "relay.pem"\nmax_connections = 3000\n'
    path.write_text(world.config(tmp_path / "var", extra=extra), "utf-8")
    trusting = ssl.create_default_context(cafile=world.ca_file)
    async with serving(path) as (child, port):
        print(f"\nat the start: {resident(child.pid)}")
        idle = [await connected(port) for _ in range(IDLE)]
        print(f"{IDLE} idle clients: {resident(child.pid)}")
        secure = [await connected(port, trusting) for _ in range(IDLE)]
        print(f"as many in TLS: {resident(child.pid)}")
        uploading = await asyncio.gather(*(upload(port) for _ in range(UPLOADS)))
        print(f"{UPLOADS} uploads of {SIZE // 1000} kB, not ended: {resident(child.pid)}")
        codes = await asyncio.gather(*map(finish, uploading))
        print(f"all kept: {resident(child.pid)}")
        still = [(await client.say("NOOP"))[:3] for client in (*idle, *secure)]
        for client in (*idle, *secure, *uploading):
            client.writer.transport.abort()
    assert codes == ["250"] * UPLOADS
    assert still == ["250"] * IDLE * 2
