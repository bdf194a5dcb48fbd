"""Tables for people and JSON lines for programs."""

import sys
from collections.abc import Iterable, Sequence
from itertools import islice
from shutil import get_terminal_size
from typing import Any

import click

_Rows = Sequence[Sequence[str]]

_BATCH = 500  # rows that are set together: a long table needs no memory


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, empty: str) -> None:
    """Print rows as a table, cells folded on a terminal only; `empty` where there are none."""
    show = _show_people if sys.stdout.isatty() else _show_programs
    cells = ([printable(cell) for cell in row] for row in rows)
    head: Sequence[str] | None = columns
    while batch := list(islice(cells, _BATCH)):
        show(columns, batch, is_first=head is not None)
        head = None
    if head:
        click.echo(empty)


def print_json(row: Any) -> None:
    """Print one JSON object on one line."""
    import orjson

    click.echo(orjson.dumps(row))


def printable(text: str) -> str:
    """The text without control characters: what came from the network never drives a terminal."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def _show_people(columns: Sequence[str], rows: _Rows, *, is_first: bool) -> None:
    from rich import box  # 30 ms, and only where somebody looks
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_header=is_first)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    width, height = get_terminal_size()
    Console(width=width, height=height).print(table)


# Where nobody looks nothing is folded or cut: programs may read tables too
def _show_programs(columns: Sequence[str], rows: _Rows, *, is_first: bool) -> None:
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    head = [columns, ["-" * width for width in widths]] if is_first else []
    for row in (*head, *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())
