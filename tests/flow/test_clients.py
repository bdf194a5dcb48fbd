"""Mail of other people's programs arrives as they sent it, where they are installed."""

import asyncio
import shutil
import subprocess
from pathlib import Path

import pytest

from relay.lab.world import World
from tests.flow.conftest import Run

CONTENT = b"Subject: x\r\nTo: u@d.test\r\n\r\n.dot\r\n..\r\nlast \xc3\xbc\r\n"


def command(client: str, host: str, port: int, path: Path) -> list[str]:
    if client == "msmtp":
        options = [f"--host={host}", f"--port={port}", "--from=me@a.test", "--tls=off"]
        return ["msmtp", *options, "--auth=off", "u@d.test"]
    options = ["--server", host, "--port", str(port), "--from", "me@a.test", "--to", "u@d.test"]
    return ["swaks", *options, "--data", f"@{path}"]


@pytest.mark.parametrize("client", ["swaks", "msmtp"])
async def test_a_client_of_debian(world: World, run: Run, tmp_path: Path, client: str) -> None:
    if not shutil.which(client):
        pytest.skip(f"{client} is not installed")
    mx = await world.mx_host("mx.d.test")
    world.domain("d.test", mx=[(10, mx.name)], policy="enforce")
    # both take a message as programs on UNIX write it and send it with CRLF
    content = CONTENT.replace(b"\r\n", b"\n")
    path = tmp_path / "mail"
    path.write_bytes(content.removesuffix(b"\n"))  # swaks ends the last line itself
    async with run() as relay:
        words = command(client, *relay.address, path)
        done = await asyncio.to_thread(
            subprocess.run, words, input=content, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        (message,) = await mx.received(1)
    assert message.content.endswith(CONTENT)
    assert message.tls
