"""Tables for people and JSON lines for programs."""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import click

_BATCH = 500  # rows whose widths are looked at together: a long table needs no memory
_GAP = "  "
_NARROWEST = 8  # a column is not made narrower, though the terminal be narrow


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, empty: str) -> None:
    """Print rows as a table, cells wrapped on a terminal only; `empty` where there are none."""
    room = os.get_terminal_size().columns if sys.stdout.isatty() else None
    # where nobody looks, nothing is cut: programs may read tables too
    widths = [_width(name) for name in columns]
    cells = ([printable(cell) for cell in row] for row in rows)
    head = [list(columns)]
    while batch := list(islice(cells, _BATCH)):
        widths = [max(pair) for pair in zip(widths, _widths(batch), strict=True)]
        shown = widths if room is None else _fit(widths, room)
        if head:
            head.append(["-" * width for width in shown])
        for row in [*head, *batch]:
            for line in _lines(row, shown):
                click.echo(line)
        head = []
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


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(_width, column)) for column in zip(*rows, strict=True)]


def _width(text: str) -> int:
    return len(text) if text.isascii() else sum(map(_columns, text))


# Unicode Standard Annex 11: what most terminals do with ideographs and accents
def _columns(char: str) -> int:
    import unicodedata

    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _fit(widths: Sequence[int], room: int) -> list[int]:
    narrow = list(widths)
    room -= len(_GAP) * (len(narrow) - 1)
    while sum(narrow) > room and max(narrow) > _NARROWEST:
        narrow[narrow.index(max(narrow))] -= 1
    return narrow


def _lines(row: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    columns = [list(_fold(cell, width)) for cell, width in zip(row, widths, strict=True)]
    for number in range(max(map(len, columns))):
        parts = [column[number] if number < len(column) else "" for column in columns]
        padded = (
            part + " " * (width - _width(part)) for part, width in zip(parts, widths, strict=True)
        )
        yield _GAP.join(padded).rstrip()


# At a blank where there is one, else within the word
def _fold(text: str, width: int) -> Iterator[str]:
    while _width(text) > width:
        end = next(
            end for end in range(min(width, len(text)), 0, -1) if _width(text[:end]) <= width
        )
        blank = text.rfind(" ", 1, end + 1)
        yield text[: blank if blank > 0 else end]
        text = text[blank + 1 if blank > 0 else end :]
    yield text
