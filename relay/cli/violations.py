"""`relay violations`: what was wrong with hosts and policies, and what was done about it."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click

from relay.cli import (
    violations_export,
    violations_shadow,
    violations_show,
    violations_summary,
)
from relay.cli.family import Family
from relay.cli.options import config_option, examples, json_option, settings_from, wide_option
from relay.cli.output import print_lines
from relay.cli.violations_filter import filter_options
from relay.cli.violations_ledger import ledger_in
from relay.cli.violations_table import print_repeats
from relay.cli.violations_text import record_row
from relay.reporting.store import Filter

_FOLLOW = 1.0  # seconds between looks


@click.group(
    "violations",
    cls=Family,
    default="list",
    no_args_is_help=False,
    subcommand_metavar="[COMMAND] [ARGS]...",
)
def command() -> None:
    """Read what was wrong with hosts and policies, and what was done about it.

    refused: this host was not given the mail; delivered: it was, all the same; waived: it was, by a
    waiver of ours; noted: no mail was concerned. `relay violations` alone is
    `relay violations list`, whose --help tells the filters.
    """


for _other in (
    violations_summary.summary,
    violations_show.show,
    violations_shadow.shadow,
    violations_export.export,
):
    command.add_command(_other)


@command.command(
    "list",
    short_help="List violations, the newest first, repeats as one (default).",
    epilog=examples(
        "relay violations --since 24h",
        "relay violations --domain example.org --action refused",
        "relay violations --follow",
    ),
)
@config_option
@json_option
@filter_options
@wide_option
@click.option(
    "--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many rows."
)
@click.option("--follow", is_flag=True, help="Print all, in the order written, and go on.")
def list_violations(
    config_path: str | None,
    as_json: bool,
    wanted: Filter,
    wide: bool,
    limit: int,
    follow: bool,
) -> None:
    """List violations, the newest first, repeats as one.

    Times are in UTC. --json prints the very objects of the log, in the order written, and all of
    them.
    """
    path = ledger_in(settings_from(config_path))
    if follow:
        _follow(path, wanted, as_json=as_json)
    elif as_json:
        from relay.db.ledger_reader import read_lines

        print_lines(line for _, line in read_lines(path, wanted))
    else:
        print_repeats(path, wanted, limit, wide=wide)


def _follow(path: Path, wanted: Filter, *, as_json: bool) -> None:
    try:
        for lines in _growing(path, wanted, as_json=as_json):
            print_lines(lines)
            time.sleep(_FOLLOW)
    except KeyboardInterrupt:
        return


# What was there when it was looked is read up to that number, whatever the filter leaves of it
def _growing(path: Path, wanted: Filter, *, as_json: bool) -> Iterator[Iterator[str]]:
    from relay.db.ledger_reader import newest_number, read_ledger, read_lines

    while True:
        newest = newest_number(path)
        # a ledger that was damaged has been begun anew
        after = wanted.after if wanted.after <= newest else 0
        piece = replace(wanted, after=after, up_to=newest)
        if newest == after:
            yield iter(())
        elif as_json:
            yield (line for _, line in read_lines(path, piece))
        else:
            yield ("  ".join(record_row(record)) for _, record in read_ledger(path, piece))
        wanted = replace(wanted, after=newest)
