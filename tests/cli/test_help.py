"""Help texts fit a terminal of 80 columns and tell all; wrong words are told what was meant."""

import re

import click
import pytest

from relay.cli import relay as root
from relay.cli.man_page import contexts
from tests.cli.process import relay

CONTEXTS = list(contexts(root, "relay"))


@pytest.mark.parametrize("ctx", CONTEXTS, ids=lambda ctx: ctx.command_path)
def test_help_fits_80_columns(ctx: click.Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = ctx.command.get_help(ctx).splitlines()
    assert [line for line in lines if len(line) > 80] == []
    # nothing is cut short
    assert [line for line in lines if re.match(r"  .*\w\.\.\.$", line)] == []


@pytest.mark.parametrize("ctx", CONTEXTS, ids=lambda ctx: ctx.command_path)
def test_everything_is_told_of(ctx: click.Context) -> None:
    command = ctx.command
    assert command.help
    assert command.get_short_help_str(1000).endswith((".", "(default)."))
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help
            assert option.help.endswith(".")


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["quue"], "'queue'"),
        (["queue", "lst"], "'list'"),
        (["violations", "sumary"], "'summary'"),
        (["violations", "--since", "24h", "sumary"], "'summary'"),
        (["user", "ad"], "'add'"),
        (["queue", "list", "--domian", "d.test"], "'--domain'"),
        (["policy", "d.test", "--ofline"], "'--offline'"),
        (["explain", "--prob"], "'--probe'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_what_is_mistyped_is_guessed(words: list[str], meant: str) -> None:
    run = relay(*words)
    assert run.returncode == 2
    assert f"Did you mean {meant}?" in run.stderr.replace("\n", " ")


def test_a_command_like_nothing_known() -> None:
    run = relay("zzz")
    assert run.returncode == 2
    assert "No such command 'zzz'.\n" in run.stderr
