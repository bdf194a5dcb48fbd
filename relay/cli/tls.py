"""`relay tls`: the TLS levels that are remembered of domains without a policy."""

import sys
from pathlib import Path
from typing import Any

import click

from relay.cli.options import DomainName, config_option, json_option, settings_from
from relay.cli.output import print_json, print_table
from relay.timestamp import rfc3339

_COLUMNS = ("domain", "level", "since", "last seen")


@click.group("tls")
def command() -> None:
    """Look at what tls.remember knows of domains without a policy (docs/tls-memory.md)."""


@command.command("list")
@config_option
@json_option
def list_levels(config_path: str | None, as_json: bool) -> None:
    """List the best TLS level seen of each domain."""
    from relay.db.tls_levels import Remembered, read_levels

    def row(one: Remembered) -> dict[str, Any]:
        since, seen = rfc3339(one.since), rfc3339(one.seen)
        return {"domain": one.domain, "level": one.level.name.lower(), "since": since, "seen": seen}

    rows = map(row, read_levels(_path(config_path)))
    if as_json:
        for one in rows:
            print_json(one)
    else:
        print_table(_COLUMNS, (list(one.values()) for one in rows), empty="nothing is remembered")


@command.command("forget", short_help="Forget what was seen of a domain.")
@config_option
@click.argument("domain", type=DomainName())
def forget(config_path: str | None, domain: str) -> None:
    """Forget what was seen of DOMAIN; a running relay does so within a second.

    Exit status 1 where nothing was remembered.
    """
    from relay.db.tls_levels import forget_level

    if not forget_level(_path(config_path), domain):
        click.echo(f"relay: no TLS level is remembered of {domain}", err=True)
        sys.exit(1)
    click.echo(f"{domain}: forgotten")


def _path(config_path: str | None) -> Path:
    return settings_from(config_path).storage_directory / "policies.db"
