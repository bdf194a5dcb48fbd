"""The man pages: every command, option and key has its place, and formatters find no fault."""

import dataclasses
import re
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from relay.cli import relay as root
from relay.cli import roff
from relay.cli.man_page import contexts
from relay.config import Settings
from tests.cli.process import relay

CONTEXTS = list(contexts(root, "relay"))
HEADINGS = ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "FILES", "ENVIRONMENT"]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("man")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", "1790000000")
        run = relay("man", directory)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith(f"{len(CONTEXTS) + 1} pages are in {directory}")
    return directory


@pytest.mark.parametrize("ctx", CONTEXTS, ids=lambda ctx: ctx.command_path)
def test_every_command_has_a_page_with_all_its_options(pages: Path, ctx: click.Context) -> None:
    name = ctx.command_path.replace(" ", "-")
    text = (pages / "man1" / f"{name}.1").read_text("utf-8")
    assert '1 "2026-09-21" "relay 0.1.0"' in text.partition("\n")[0]
    headings = re.findall(r'^\.SH "(.*)"$', text, re.MULTILINE)
    assert [one for one in headings if one in HEADINGS] == HEADINGS
    assert headings[-1] == "SEE ALSO"
    for option in ctx.command.get_params(ctx):
        if isinstance(option, click.Option):
            assert all(roff.plain(word) in text for word in option.opts)
            assert roff.marked(option.help or "").rstrip(".") in text
    if isinstance(ctx.command, click.Group):
        for below in ctx.command.list_commands(ctx):
            assert roff.bold(f"{name}-{below}(1)") in text


def test_every_section_and_key_of_the_configuration_has_its_place(pages: Path) -> None:
    text = (pages / "man5" / "relay.toml.5").read_text("utf-8")
    for section in dataclasses.fields(Settings):
        kind = section.metadata.get("kind")
        if section.name == "directory":
            continue
        title = f"[[{section.name}]]" if kind else f"[{section.name}]"
        _, found, inner = text.partition(f'.SH "{roff.plain(title)}"')
        assert found, title
        for key in dataclasses.fields(kind or type(getattr(Settings(), section.name))):
            assert f".TP\n{roff.bold(key.name)}\n" in inner.partition(".SH")[0]


def test_an_exit_status_of_its_own_is_told_instead_of_the_general_ones(pages: Path) -> None:
    text = (pages / "man1" / "relay-explain.1").read_text("utf-8")
    assert text.count("Exit status") == 1
    assert text.index('.SH "EXIT STATUS"') < text.index("Exit status: 0 it would be delivered")


def test_the_same_source_makes_the_same_pages(pages: Path, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SOURCE_DATE_EPOCH", raising=False)
        relay("man", tmp_path)
    for page in pages.rglob("*.*"):
        same = tmp_path / page.relative_to(pages)
        assert same.read_text("utf-8") == page.read_text("utf-8").replace("2026-09-21", "")


def test_a_directory_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "man1").touch()
    run = relay("man", tmp_path)
    assert run.returncode == 1
    assert "man1" in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize(
    "formatter",
    [
        ["mandoc", "-Tlint", "-Wwarning"],
        ["groff", "-man", "-Tutf8", "-wall", "-z"],
        ["man", "--warnings", "--local-file"],
    ],
    ids=lambda words: str(words[0]),
)
def test_formatters_find_no_fault(pages: Path, formatter: list[str]) -> None:
    if not shutil.which(formatter[0]):
        pytest.skip(f"{formatter[0]} is not installed")
    files = sorted(pages.rglob("*.*"))
    run = subprocess.run([*formatter, *files], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    assert formatter[0] == "man" or run.stdout == ""
