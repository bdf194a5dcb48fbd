"""Tables for people and JSON lines for programs."""

import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click

_PIPE_WIDTH = 1_000_000  # where nobody looks, nothing is cut: programs may read tables too


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, empty: str) -> None:
    """Print rows as a table, cells wrapped on a terminal only; `empty` where there are none."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    terminal = sys.stdout.isatty()
    for column in columns:
        table.add_column(column, no_wrap=not terminal, overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    if not table.row_count:
        click.echo(empty)
        return
    Console(width=None if terminal else _PIPE_WIDTH).print(table)


def print_json(row: Any) -> None:
    """Print one JSON object on one line."""
    import orjson

    click.echo(orjson.dumps(row))


def printable(text: str) -> str:
    """The text without control characters: what came from the network never drives a terminal."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
