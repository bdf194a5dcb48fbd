"""`relay tls`: what is remembered of domains, as an operator asks for it."""

from pathlib import Path

import orjson
import pytest

from relay.cli import tls
from tests.cli.process import relay
from tests.db.test_tls_level_reader import fill


@pytest.fixture
def stocked(path: Path) -> Path:
    fill(path.parent / "var" / "policies.db")
    return path


@pytest.mark.parametrize(
    ("words", "found", "more"),
    [
        ([], "abcde", ""),
        (["--limit", "2"], "ab", "b.test"),
        (["--limit", "5"], "abcde", ""),
        (["--after", "C.test", "--limit", "1"], "d", "d.test"),
        (["--after", "d.test"], "e", ""),
    ],
    ids=" ".join,
)
def test_a_list_goes_on_where_it_ended(
    stocked: Path, words: list[str], found: str, more: str
) -> None:
    told = relay("tls", "list", *words, "-c", stocked)
    assert [line[0] for line in told.stdout.splitlines()[2:]] == list(found)
    hint = f"there are more: --after {more}, or --limit\n" if more else ""
    assert (told.returncode, told.stderr) == (0, hint)
    told = relay("tls", "list", "--json", *words, "-c", stocked)
    assert [orjson.loads(line)["domain"][0] for line in told.stdout.splitlines()] == list(found)
    assert told.stderr == ""


def test_a_table_is_no_longer_than_can_be_laid_out_at_once(
    stocked: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tls, "_TABLE", 3)
    tls.command(["list", "-c", str(stocked)], standalone_mode=False)
    told = capsys.readouterr()
    assert told.err == "there are more: --after c.test, or --limit\n"
    assert [line[0] for line in told.out.splitlines()[2:]] == list("abc")


@pytest.mark.parametrize(("domain", "code"), [("C.test.", 0), ("f.test", 1), ("[192.0.2.1]", 1)])
def test_forget(stocked: Path, domain: str, code: int) -> None:
    told = relay("tls", "forget", domain, "-c", stocked)
    assert told.returncode == code
    left = relay("tls", "list", "--json", "-c", stocked).stdout.splitlines()
    assert len(left) == 4 + code
