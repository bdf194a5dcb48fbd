"""The default view of `relay violations`: the newest first, repeats as one."""

import sys
from pathlib import Path

import click

from relay.cli.output import print_stacked, print_table
from relay.cli.violations_filter import NOW
from relay.cli.violations_text import STACKED, WIDE, stacked_row, wide_row
from relay.reporting.store import Filter


def print_repeats(path: Path, wanted: Filter, limit: int, *, wide: bool) -> None:
    """Print at most `limit` rows of the ledger; `wide` is for programs in any case."""
    from relay.db.ledger_counts import fold

    shown, repeats, records = fold(path, wanted, limit)
    if wide or not sys.stdout.isatty():
        print_table(WIDE, map(wide_row, shown), empty="no violations", folded=False)
    else:
        print_stacked(STACKED, (stacked_row(one, NOW) for one in shown), empty="no violations")
    if repeats > len(shown):
        click.echo(
            f"{len(shown)} of {repeats} rows, {records} violations in all: --limit, or filters",
            err=True,
        )
