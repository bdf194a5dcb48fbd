"""What commands print: plain where nobody looks or NO_COLOR is set, within 80 columns, or wide."""

from pathlib import Path

import pytest

from tests.cli.process import relay
from tests.cli.stores import furnish
from tests.cli.terminal import on_terminal

ESCAPE = "\x1b"
COMMANDS = [
    "queue list",
    "queue list --wide",
    "queue list --count reason",
    "queue show QA",
    "queue show none",
    "policy list",
    "policy list --wide",
    "policy history p.test",
    "policy p.test --offline",
    "policy warm none",
    "explain u@p.test --offline",
    "violations",
    "violations --wide",
    "violations summary",
    "violations shadow",
    "violations shadow --wide",
    "violations show none",
    "violations export",
    "check",
    "user list",
]
TABLES = ["queue list", "policy list", "violations", "violations summary", "violations shadow"]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return furnish(tmp_path_factory.mktemp("stores"))


@pytest.mark.parametrize("words", COMMANDS)
def test_nothing_is_coloured_where_that_is_not_wanted(
    config: Path, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    command = [*words.split(" "), "-c", str(config)]
    assert ESCAPE not in on_terminal(command, NO_COLOR="1")
    for name in ("FORCE_COLOR", "CLICOLOR_FORCE"):
        monkeypatch.setenv(name, "1")
    run = relay(*command)
    assert ESCAPE not in run.stdout + run.stderr


@pytest.mark.parametrize("words", [["--help"], ["queue", "-h"], ["queue", "lst"], ["demo"]])
def test_without_a_configuration_too(words: list[str]) -> None:
    assert ESCAPE not in on_terminal(words, NO_COLOR="1")


@pytest.mark.parametrize("environment", [{}, {"NO_COLOR": ""}])
def test_on_a_terminal_there_are_colours(config: Path, environment: dict[str, str]) -> None:
    assert ESCAPE in on_terminal(["violations", "-c", str(config)], **environment)


@pytest.mark.parametrize("words", TABLES)
def test_tables_fit_80_columns(config: Path, words: str) -> None:
    shown = on_terminal([*words.split(" "), "-c", str(config)], NO_COLOR="1")
    assert shown
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("queue show QA", "              policy long long long"),
        ("policy history past.test", "  fetched 2026-09-21 14:13:20"),
    ],
)
def test_long_lines_go_on_below_their_words(config: Path, words: str, line: str) -> None:
    shown = on_terminal([*words.split(" "), "-c", str(config)]).splitlines()
    assert max(map(len, shown)) <= 80
    assert any(one.startswith(line) for one in shown), shown


def test_a_job_at_80_columns(config: Path) -> None:
    lines = on_terminal(["queue", "list", "-c", str(config)], NO_COLOR="1").splitlines()
    assert len(lines) < 45
    text = "\n".join(lines)
    for part in ("QA.1", "u@qa.test", "from me@a.test", "policy", "451 4.4.0", "held", "..."):
        assert part in text


@pytest.mark.parametrize(
    ("words", "whole"),
    [
        ("queue list", ["451 4.4.0 policy" + " long" * 70, "2026-09-21 14:13:20"]),
        ("policy list", ["failed 3 times since"]),
        ("violations", ["2026-09-21 14:13:20  2026-09-21 14:13:20"]),
        ("violations shadow", ["long-name.customer.test", "certificate expired 2"]),
    ],
)
def test_wide_is_whole_on_a_terminal_as_in_a_pipe(
    config: Path, words: str, whole: list[str]
) -> None:
    command = [*words.split(" "), "-c", str(config)]
    shown = on_terminal([*command, "--wide"])
    assert all(part in shown for part in whole)
    if words != "policy list":  # which tells ages
        assert shown == relay(*command).stdout
