"""Commands on a terminal of their own."""

import os
import pty
import subprocess
import sys
import termios
from collections.abc import Sequence


def on_terminal(words: Sequence[str], **environment: str) -> str:
    """What `relay` with these words prints on a terminal of 80 columns."""
    leader, follower = pty.openpty()
    termios.tcsetwinsize(follower, (24, 80))
    kept = {key: one for key, one in os.environ.items() if key not in ("COLUMNS", "NO_COLOR")}
    with subprocess.Popen(
        [sys.executable, "-m", "relay", *words],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env=kept | {"TERM": "xterm-256color"} | environment,
    ):
        os.close(follower)
        shown = b"".join(iter(lambda: _read(leader), b""))
    os.close(leader)
    return shown.decode().replace("\r\n", "\n")


# Linux tells the end of a terminal as an error
def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:
        return b""
