"""Commands that only read start quickly: they load nothing of the network."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from relay.cli import COMPLETE

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


@pytest.mark.parametrize(
    ("words", "needless"),
    [
        ("", {"relay.config", "sqlite3"}),
        ("violations --domain ", {"relay.db.desk"}),
        *((words, set()) for words in ("queue show ", "policy ", "serve -", "explain --as-if ")),
    ],
)
def test_completing_a_word_loads_no_network(tmp_path: Path, words: str, needless: set[str]) -> None:
    path = tmp_path / "config.toml"
    path.touch()
    line = f"relay {words}"
    asked = {"COMP_WORDS": line, "COMP_CWORD": str(line.count(" ")), "RELAY_CONFIG": str(path)}
    run = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "relay"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | asked | {COMPLETE: "bash_complete"},
    )
    assert run.returncode == 0
    loaded = {line.rpartition("|")[2].strip() for line in run.stderr.splitlines()}
    assert loaded.isdisjoint(HEAVY | needless), loaded & (HEAVY | needless)
