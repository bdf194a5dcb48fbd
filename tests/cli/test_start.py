"""Commands that only read start quickly: they load nothing of the network."""

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    *("asyncio", "ssl", "importlib.resources", "idna"),
    *("aiosmtpd", "aiosmtplib", "cryptography", "dns", "httpx"),
}


@pytest.mark.parametrize(
    "words",
    [
        ["check"],
        ["violations"],
        ["violations", "summary"],
        ["violations", "show", "abcd"],
        ["violations", "export"],
        ["queue", "list"],
        ["policy", "list"],
        ["policy", "history", "d.test"],
        ["policy", "d.test", "--offline"],
        ["explain", "u@d.test", "--offline"],
    ],
    ids=" ".join,
)
def test_a_reading_command_loads_no_network(tmp_path: Path, words: list[str]) -> None:
    path = tmp_path / "config.toml"
    path.touch()
    run = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "relay", *words, "-c", path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode in (0, 1, 3)
    loaded = {line.rpartition("|")[2].strip() for line in run.stderr.splitlines()}
    assert "relay.cli" in loaded
    assert loaded.isdisjoint(HEAVY), loaded & HEAVY
