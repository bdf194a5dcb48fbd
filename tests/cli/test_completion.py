"""Shell completion: every command, option and choice, and what the stores have."""

import os
import shlex
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.shell_completion import get_completion_class

from relay.cli import COMPLETE
from relay.cli import relay as root
from relay.evidence import Failure
from relay.inbound.passwords import hash_password
from tests.cli.process import relay
from tests.cli.stores import furnish


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return furnish(tmp_path_factory.mktemp("stores"))


def completions(*words: str) -> list[str]:
    """What may stand for the last of these words."""
    kind = get_completion_class("bash")
    assert kind is not None
    found = kind(root, {}, "relay", COMPLETE).get_completions(list(words[:-1]), words[-1])
    return [item.type if item.type != "plain" else item.value for item in found]


def tree(group: click.Group, *above: str) -> Iterator[tuple[list[str], click.Command]]:
    """Every command with the words that lead to it."""
    ctx = click.Context(group)
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        assert command is not None
        yield [*above, name], command
        if isinstance(command, click.Group):
            yield from tree(command, *above, name)


COMMANDS = list(tree(root))


def test_the_commands_are_those_of_the_help() -> None:
    names = [" ".join(words) for words, _ in COMMANDS if len(words) == 1]
    assert completions("") == names
    assert completions("po") == ["policy"]
    assert set(completions("-")) == {"--version", "-h", "--help"}


@pytest.mark.parametrize(("words", "command"), COMMANDS, ids=lambda value: str(value))
def test_every_option_is_completed(words: list[str], command: click.Command) -> None:
    options = [one for one in command.params if isinstance(one, click.Option)]
    assert set(completions(*words, "-")) >= {name for one in options for name in one.opts}


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("completion ", ["bash", "zsh", "fish"]),
        ("queue show ", ["QA.1", "QB.1", "XC.1"]),
        ("queue show Q", ["QA.1", "QB.1"]),
        ("queue show QB.1", ["QB.1"]),
        ("queue show N", []),
        ("queue retry QA.1 ", ["QB.1", "XC.1"]),
        ("queue drop X", ["XC.1"]),
        ("queue hold ", ["QA.1", "XC.1"]),
        ("queue release ", ["QB.1"]),
        ("queue list --after Q", ["QA.1", "QB.1"]),
        ("queue list --domain ", ["qa.test", "qb.test", "xc.test"]),
        ("queue list --domain=q", ["qa.test", "qb.test"]),
        ("queue retry --mx mx.q", ["mx.qa.test", "mx.qb.test"]),
        ("queue list --state w", ["waiting"]),
        ("queue list --older ", ["1h", "24h", "7d", "30d"]),
        ("policy p", ["p.test"]),
        ("policy show p", ["p.test"]),
        ("policy --offline p", ["p.test"]),
        ("policy li", ["list"]),
        ("policy --json li", ["list"]),
        ("policy --off", ["--offline"]),
        ("policy p.test --off", ["--offline"]),
        ("policy list --tr", ["--trouble"]),
        ("policy history ", ["p.test", "past.test"]),
        ("policy forget ", ["p.test"]),
        ("policy warm ", ["file"]),
        ("tls forget ", ["lax.test", "tls.test"]),
        ("tls forget t", ["tls.test"]),
        ("tls list --after l", ["lax.test"]),
        ("violations su", ["summary"]),
        ("violations --json su", ["summary"]),
        ("violations --since 24h su", ["summary"]),
        ("violations --fol", ["--follow"]),
        ("violations --mode t", ["testing"]),
        ("violations --domain ", ["v0.test", "v1.test"]),
        ("violations summary --mx mx1", ["mx1.v.test"]),
        ("violations shadow --domain a", ["a-rather-long-name.customer.test"]),
        ("violations shadow --domain v", []),
        ("violations --reason ", list(map(str, Failure))),
        ("violations --action ref", ["refused"]),
        ("violations --since 7", ["7d"]),
        ("violations -c ", ["file"]),
        ("serve --config ", ["file"]),
    ],
)
def test_a_word_is_completed(
    config: Path, monkeypatch: pytest.MonkeyPatch, line: str, found: list[str]
) -> None:
    monkeypatch.setenv("RELAY_CONFIG", str(config))
    assert completions(*line.split(" ")) == found


def test_ids_of_violations_are_told_apart(config: Path) -> None:
    kind = get_completion_class("zsh")
    assert kind is not None
    words = ["violations", "show", "-c", str(config)]
    found = kind(root, {}, "relay", COMPLETE).get_completions(words, "")
    assert [item.help for item in found] == ["v1.test, certificate-expired", "v0.test, mx-mismatch"]
    (only,) = completions(*words, found[0].value[:6])
    assert only == found[0].value


@pytest.mark.parametrize("words", [[], ["show"], ["--offline"]], ids=" ".join)
def test_the_configuration_on_the_line_counts(
    config: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.delenv("RELAY_CONFIG", raising=False)
    monkeypatch.setenv("HOME", str(config.parent.parent))
    monkeypatch.setenv("ABOVE", str(config.parent))
    assert completions("policy", *words, "p") == []
    for place in (str(config), f"~/{config.parent.name}/config.toml", "$ABOVE/config.toml"):
        assert completions("policy", "-c", place, *words, "p") == ["p.test"]


def test_users_are_completed(tmp_path: Path) -> None:
    hashed = hash_password(b"secret")
    (tmp_path / "users").write_text(f"joe:{hashed}\njane:{hashed}\n", "utf-8")
    path = tmp_path / "config.toml"
    path.write_text("[server]\nusers = 'users'\n", "utf-8")
    assert completions("user", "remove", "-c", str(path), "jo") == ["joe"]
    (tmp_path / "users").write_bytes(b"\xff")
    assert completions("user", "remove", "-c", str(path), "jo") == []


def test_no_more_than_a_hundred(config: Path, tmp_path: Path) -> None:
    shutil.copytree(config.parent, tmp_path, dirs_exist_ok=True)
    db = sqlite3.connect(tmp_path / "var" / "policies.db")
    rows = [(f"d{n}.test",) for n in range(500)]
    with db:
        columns = "(domain, policy, first_seen, fetched_at, seen_by, due_at)"
        db.executemany(f"INSERT INTO policy {columns} VALUES (?, '', 0, 0, '', 0)", rows)  # noqa: S608
    db.close()
    assert len(completions("policy", "show", "-c", str(tmp_path / "config.toml"), "d")) == 100


def test_what_a_shell_would_not_take_for_a_word_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "config.toml").touch()
    (tmp_path / "var").mkdir()
    db = sqlite3.connect(tmp_path / "var" / "policies.db")
    with db:
        db.execute("CREATE TABLE policy (domain)")
        words = ["a.test", "$(reboot)", "two words", "*", "\x1b[2J", 5, None, "a,b"]
        db.executemany("INSERT INTO policy VALUES (?)", [(word,) for word in words])
    db.close()
    assert completions("policy", "show", "-c", str(tmp_path / "config.toml"), "") == ["a.test"]


@pytest.mark.parametrize("trouble", ["none", "damaged", "no config", "wrong config", "a pipe"])
def test_trouble_is_silent_and_nothing_is_made(tmp_path: Path, trouble: str) -> None:
    path = tmp_path / "config.toml"
    if trouble == "damaged":
        (tmp_path / "var").mkdir()
        for name in ("spool-0.db", "ledger.db", "policies.db"):
            (tmp_path / "var" / name).write_bytes(b"SQLite format 3\0" + b"x" * 9000)
    if trouble == "a pipe":
        os.mkfifo(path)
    elif trouble != "no config":
        path.write_text("[nonsense]\n" if trouble == "wrong config" else "", "utf-8")
    before = sorted(tmp_path.rglob("*"))
    for words in ("queue show", "violations show", "policy show", "policy"):
        run = asked("bash", f"relay {words} -c {path} x")
        assert (run.returncode, run.stdout.strip(), run.stderr) == (0, "", "")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_database_in_use_is_read_and_left_alone(tmp_path: Path) -> None:
    path = furnish(tmp_path)
    db = sqlite3.connect(tmp_path / "var" / "policies.db", isolation_level=None)
    db.execute("BEGIN IMMEDIATE")
    before = sorted(tmp_path.rglob("*"))
    assert completions("policy", "show", "-c", str(path), "") == ["p.test"]
    assert sorted(tmp_path.rglob("*")) == before
    db.execute("ROLLBACK")
    db.close()


def asked(shell: str, line: str) -> "subprocess.CompletedProcess[str]":
    """What the shell's script hears for a line that ends where the word is completed."""
    words = shlex.split(line)
    count = len(words) if line.endswith(" ") else len(words) - 1
    place = {COMPLETE: f"{shell}_complete", "COMP_WORDS": line, "COMP_CWORD": str(count)}
    return subprocess.run(
        [sys.executable, "-m", "relay"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | place,
    )


def test_an_equals_sign_is_a_word_to_bash(config: Path) -> None:
    run = asked("bash", "relay violations --reason = certificate-e")
    assert run.stdout == "plain,certificate-expired\n"


def test_a_shell_without_a_script_is_wrong_use() -> None:
    run = relay("completion", "tcsh")
    assert run.returncode == 2
    assert "'bash', 'zsh', 'fish'" in run.stderr


@pytest.fixture
def command(config: Path, tmp_path: Path) -> dict[str, str]:
    """An environment in which `relay` is this one, and its stores are full."""
    program = tmp_path / "relay"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m relay "$@"\n', "utf-8")
    program.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    return os.environ | {"PATH": path, "RELAY_CONFIG": str(config), "HOME": str(tmp_path)}


def in_shell(script: str, *shell: str, env: dict[str, str]) -> list[str]:
    if not shutil.which(shell[0]):
        pytest.skip(f"{shell[0]} is not installed")
    run = subprocess.run(
        [*shell, script], capture_output=True, text=True, check=False, env=env, timeout=60
    )
    assert (run.returncode, run.stderr) == (0, "")
    return run.stdout.split()


BASH = """
source <(relay completion bash)
COMP_WORDS=(relay queue show Q) COMP_CWORD=3
_relay_completion relay
echo "${COMPREPLY[@]}"
"""
FISH = "relay completion fish | source; complete -C 'relay queue show Q'"
# zsh completes only in its line editor; Ctrl-A is the beginning of the line
ZSH = r"""
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell 'PS1=; autoload -Uz compinit; compinit -u; source <(relay completion zsh); bindkey -e'
zpty -w shell 'print REA""DY'
zpty -r shell seen '*READY*'
zpty -w -n shell $'relay queue show X\t\x01print -r -- DO""NE \n'
zpty -r shell seen '*DONE relay*show*1*'
print -r -- ${${seen##*DONE}//$'\r'}
zpty -d shell
"""


@pytest.mark.parametrize(
    ("shell", "script", "found"),
    [
        (["bash", "--norc", "-c"], BASH, ["QA.1", "QB.1"]),
        (["fish", "--no-config", "-c"], FISH, ["QA.1", "QB.1"]),
        (["zsh", "-f", "-c"], ZSH, ["XC.1"]),
    ],
    ids=["bash", "fish", "zsh"],
)
def test_the_shell_itself_completes(
    command: dict[str, str], shell: list[str], script: str, found: list[str]
) -> None:
    assert [word for word in in_shell(script, *shell, env=command) if ".1" in word] == found
