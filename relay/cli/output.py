"""Tables for people and JSON lines for programs."""

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.text import Text

_Rows = Sequence[Sequence[str]]
Line = tuple[str, str]
"""A line of a cell: its text, and its style in rich's words ("" for none)."""

_LABEL = re.compile(r" *(?:[A-Za-z_ -]{1,12}(?:: | {2,}))?")
_BATCH = 500  # rows that are set together: a long table needs no memory


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, empty: str, folded: bool = True
) -> None:
    """Print rows as a table, cells folded on a terminal only; `empty` where there are none.

    `folded` False: not even there.
    """
    show = _show_people if folded and sys.stdout.isatty() else _show_programs
    _print(columns, ([printable(cell) for cell in row] for row in rows), show, empty)


def print_stacked(
    columns: Sequence[str], rows: Iterable[Sequence[Sequence[Line]]], *, empty: str
) -> None:
    """Print rows on a terminal, the lines of each cell one below the other."""
    from rich.text import Text

    def cell(lines: Sequence[Line]) -> Text:
        return Text("\n").join(Text(printable(text), style) for text, style in lines)

    _print(columns, ([cell(lines) for lines in row] for row in rows), _show_table, empty)


def print_lines(lines: Iterable[str]) -> None:
    """Print lines as they are, many at a time."""
    left = iter(lines)
    while batch := list(islice(left, _BATCH)):
        click.echo("\n".join(batch))


def print_text(lines: Iterable[str]) -> None:
    """Print lines for people; on a terminal long ones go on below the words they belong to."""
    if not sys.stdout.isatty():
        print_lines(lines)
        return
    width = get_terminal_size().columns
    print_lines(piece for line in lines for piece in _wrapped(line, width))


def print_json(row: Any) -> None:
    """Print one JSON object on one line."""
    import orjson

    click.echo(orjson.dumps(row))


def printable(text: str) -> str:
    """The text without control characters: what came from the network never drives a terminal."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def _wrapped(line: str, width: int) -> Iterator[str]:
    if len(line) <= width:
        yield line
        return
    from textwrap import wrap  # 1 ms

    label = _LABEL.match(line)
    indent = " " * max(2, label.end() if label else 0)
    yield from wrap(
        line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _print(
    columns: Sequence[str], rows: Iterable[Any], show: Callable[..., None], empty: str
) -> None:
    left = iter(rows)
    head: Sequence[str] | None = columns
    while batch := list(islice(left, _BATCH)):
        show(columns, batch, is_first=head is not None)
        head = None
    if head:
        click.echo(empty)


def _show_people(columns: Sequence[str], rows: _Rows, *, is_first: bool) -> None:
    from rich.text import Text

    _show_table(columns, [list(map(Text, row)) for row in rows], is_first=is_first)


def _show_table(
    columns: Sequence[str], rows: "Sequence[Sequence[Text]]", *, is_first: bool
) -> None:
    from rich import box  # 30 ms, and only where somebody looks
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_header=is_first)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row)
    width, height = get_terminal_size()
    # https://no-color.org: rich alone would leave out colours, but not bold and dim
    console = (
        Console(width=width, height=height, color_system=None)
        if os.environ.get("NO_COLOR")
        else Console(width=width, height=height)
    )
    console.print(table)


# Where nobody looks nothing is folded or cut: programs may read tables too
def _show_programs(columns: Sequence[str], rows: _Rows, *, is_first: bool) -> None:
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    head = [columns, ["-" * width for width in widths]] if is_first else []
    for row in (*head, *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())
