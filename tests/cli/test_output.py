"""Tables: whole where programs read them, folded where people do."""

import os
import pty
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.cli.output import print_table, printable

SCRIPT = """
from relay.cli.output import print_table
print_table(("name", "what was said"), [("a.test", "one two three four five"), ("b", "x" * 30)],
            empty="none")
"""


def test_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("a", "long name"), [("x" * 5, "1"), ("y", "two words")], empty="none")
    assert capsys.readouterr().out.splitlines() == [
        "a      long name",
        "-----  ---------",
        "xxxxx  1",
        "y      two words",
    ]


def test_no_rows(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("a",), [], empty="none at all")
    assert capsys.readouterr().out == "none at all\n"


def test_no_cell_is_cut_where_programs_read(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("a", "b"), [("x" * 3000, "y y " * 1000 + "z")], empty="")
    assert "x" * 3000 + "  " + "y y " * 1000 + "z" in capsys.readouterr().out


def test_rows_are_read_as_they_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    seen = []

    def rows() -> Iterator[tuple[str]]:
        for number in range(1200):
            seen.append(capsys.readouterr().out.count("\n"))
            yield (str(number),)

    print_table(("a",), rows(), empty="")
    assert seen[0] == 0
    assert sum(seen) > 900


def test_nothing_drives_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("a",), [("\x1b[2J\r\n\u202e",)], empty="")
    assert printable(line := capsys.readouterr().out.splitlines()[2]) == line


def on_a_terminal(columns: int) -> list[str]:
    """What the script prints on a terminal of so many columns."""
    leader, follower = pty.openpty()
    try:
        termios.tcsetwinsize(follower, (24, columns))
        plain = {**os.environ, "NO_COLOR": "1", "TERM": "dumb"}
        plain.pop("COLUMNS", None)
        subprocess.run([sys.executable, "-c", SCRIPT], stdout=follower, check=True, env=plain)
    finally:
        os.close(follower)
    with os.fdopen(leader, "rb") as reader:
        return reader.read1(65536).decode().splitlines()


def test_on_a_terminal_cells_are_folded_at_blanks() -> None:
    shown = [line.rstrip() for line in on_a_terminal(24) if line.strip()]
    assert [line for line in shown if "\u2500" not in line] == [
        " name     what was said",
        " a.test   one two three",
        "          four five",
        " b        xxxxxxxxxxxxx",
        "          xxxxxxxxxxxxx",
        "          xxxx",
    ]


@pytest.mark.parametrize("columns", [20, 200])
def test_any_terminal_will_do(columns: int) -> None:
    text = "".join(on_a_terminal(columns)).replace(" ", "")
    assert text.count("x") == 30


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.touch()
    command = [sys.executable, "-m", "relay", "policy", "list", "-c", str(config)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.close()
        assert child.stderr is not None
        assert child.stderr.read() == b""
        assert child.wait() == 0


@pytest.mark.parametrize(
    "words", [["policy", "list"], ["queue", "list"], ["policy", "--help"], ["--help"]]
)
def test_output_that_cannot_be_written_is_told_in_a_sentence(
    tmp_path: Path, words: list[str]
) -> None:
    config = tmp_path / "config.toml"
    config.touch()
    where = [] if "--help" in words else ["-c", str(config)]
    command = [sys.executable, "-m", "relay", *words, *where]
    with Path("/dev/full").open("wb") as full:
        run = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert run.returncode == 3
    assert run.stderr == "relay: the output cannot be written: No space left on device\n"
