"""Commands as a user types them, each a process of its own."""

import asyncio
import json
import smtplib
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

Run = subprocess.CompletedProcess[str]

READY = b"listening on "


def relay(*words: str | bytes | Path, cwd: Path | None = None, stdin: str | None = None) -> Run:
    """The command with these words, run to its end."""
    command = [sys.executable, "-m", "relay", *words]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=cwd, input=stdin
    )


@asynccontextmanager
async def serving(path: Path, *under: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """A relay in a process of its own; its port. `under` is a command that runs it."""
    command = [*under, sys.executable, "-m", "relay", "serve", "-c", str(path)]
    child = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    assert child.stderr is not None
    try:
        while READY not in (line := await child.stderr.readline()):
            assert line, "the relay has ended"
        yield child, int(json.loads(line)["message"].rpartition(":")[2])
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()
        while await child.stderr.readline():
            pass


def send(port: int, *recipients: str) -> None:
    """Send a message by smtplib."""
    with smtplib.SMTP("127.0.0.1", port) as client:
        client.sendmail("me@a.test", list(recipients), b"Subject: told\r\n\r\nx\r\n")
