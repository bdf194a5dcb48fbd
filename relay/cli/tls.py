"""`relay tls`: the TLS levels that are remembered of domains without a policy."""

import sys
from itertools import islice
from pathlib import Path
from typing import Any

import click

from relay.cli.completion_values import stored
from relay.cli.options import DomainName, config_option, json_option, settings_from
from relay.cli.output import print_json, print_table
from relay.db import glance
from relay.timestamp import rfc3339

_TABLE = 1000  # rows of a table without --limit: it is laid out as a whole
_COLUMNS = ("domain", "level", "since", "last seen")


@click.group("tls")
def command() -> None:
    """Look at what tls.remember knows of domains without a policy (docs/tls-memory.md)."""


@command.command("list")
@config_option
@json_option
@click.option("--limit", type=click.IntRange(1), help="At most so many; a table has 1000 rows.")
@click.option(
    "--after",
    metavar="DOMAIN",
    type=DomainName(),
    shell_complete=stored(glance.tls_domains),
    help="Go on behind this domain.",
)
def list_levels(
    config_path: str | None, as_json: bool, limit: int | None, after: str | None
) -> None:
    """List the best TLS level seen of each domain, by name."""
    from relay.db.tls_level_reader import Remembered, read_levels

    def row(one: Remembered) -> dict[str, Any]:
        since, seen = rfc3339(one.since), rfc3339(one.seen)
        return {"domain": one.domain, "level": one.level.name.lower(), "since": since, "seen": seen}

    rows = map(row, read_levels(_path(config_path), after or ""))
    if as_json:
        for one in islice(rows, limit):
            print_json(one)
        return
    shown = [list(one.values()) for one in islice(rows, limit or _TABLE)]
    print_table(_COLUMNS, shown, empty="nothing is remembered")
    if next(rows, None):
        click.echo(f"there are more: --after {shown[-1][0]}, or --limit", err=True)


@command.command("forget", short_help="Forget what was seen of a domain.")
@config_option
@click.argument("domain", type=DomainName(), shell_complete=stored(glance.tls_domains))
def forget(config_path: str | None, domain: str) -> None:
    """Forget what was seen of DOMAIN; a running relay does so within a second.

    Exit status 1 where nothing was remembered.
    """
    from relay.db.tls_level_reader import forget_level

    if not forget_level(_path(config_path), domain):
        click.echo(f"relay: no TLS level is remembered of {domain}", err=True)
        sys.exit(1)
    click.echo(f"{domain}: forgotten")


def _path(config_path: str | None) -> Path:
    return settings_from(config_path).storage_directory / "policies.db"
