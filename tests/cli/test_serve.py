"""`relay serve` as a process: what it needs of the system."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .process import READY


@pytest.mark.parametrize(
    ("limit", "warnings"),
    [
        pytest.param("ulimit -S -n 256", 0, id="a soft limit is raised"),
        pytest.param("ulimit -n 1100", 1, id="a hard limit is told"),
    ],
)
def test_room_for_open_files(path: Path, limit: str, warnings: int) -> None:
    words = ["sh", "-c", f'{limit}; exec "$@"', "sh", sys.executable, "-m", "relay", "serve"]
    with subprocess.Popen([*words, "-c", path], stderr=subprocess.PIPE) as child:
        assert child.stderr
        lines = []
        while READY not in (line := child.stderr.readline()):
            assert line, "the relay has ended"
            lines.append(json.loads(line))
        child.terminate()
        child.stderr.read()
    told = [line["message"] for line in lines if "server.max_connections" in line["message"]]
    assert len(told) == warnings
    assert all("leaves room for 100 clients, not 2000" in text for text in told)
