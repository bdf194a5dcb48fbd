"""`relay violations`: what was wrong with hosts and policies, and what was done about it."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click

from relay.cli.options import DomainName, Moment, config_option, json_option, settings_from
from relay.cli.output import print_json, print_table
from relay.db.ledger_reader import read_ledger
from relay.reporting.store import Filter
from relay.reporting.violations import Record

_FOLLOW = 1.0  # seconds between looks
_WORDS = {
    "mx-mismatch": "host not in policy",
    "starttls-not-supported": "no STARTTLS",
    "certificate-expired": "certificate expired",
    "certificate-host-mismatch": "certificate for another name",
    "certificate-not-trusted": "certificate not trusted",
    "validation-failure": "TLS failed",
    "sts-policy-fetch-error": "policy not fetched",
    "sts-policy-invalid": "policy not valid",
    "sts-webpki-invalid": "policy host's certificate",
    "policy-removed": "policy record gone",
    "policy-weakened": "policy weakened",
    "policy-replaced": "policy's hosts replaced",
}
_NOW = time.time()  # noqa: TID251 - a command is a moment


@click.command("violations")
@config_option
@json_option
@click.option("--since", type=Moment(_NOW), help="Only from then on: an age (24h) or a time.")
@click.option("--domain", type=DomainName(), help="Only this policy domain.")
@click.option("--mode", type=click.Choice(["enforce", "testing"]), help="Only policies so.")
@click.option("--follow", is_flag=True, help="Go on printing as they come.")
def command(
    config_path: str | None,
    as_json: bool,
    since: float | None,
    domain: str | None,
    mode: str | None,
    follow: bool,
) -> None:
    """Show violations, oldest first: refused, delivered all the same, or only noted."""
    directory = settings_from(config_path).storage_directory
    _tell_lost(directory)
    path = directory / "ledger.db"
    wanted = Filter(since=since, domain=domain, mode=mode)
    if follow:
        _follow(_growing(path, wanted), as_json=as_json)
        return
    records = [record for _, record in read_ledger(path, wanted)]
    if as_json:
        for record in records:
            print_json(record)
        return
    print_records(records)


def _tell_lost(directory: Path) -> None:
    from relay.db.desk import Desk

    if lost := Desk(directory).findings_lost():
        click.echo(
            f"relay: {lost} violations are missing: ledger or log could not take them", err=True
        )


def print_records(records: list[Record]) -> None:
    """Print records as a table for people."""
    print_table(_COLUMNS, map(_row, records), empty="no violations")


_COLUMNS = ("time", "domain", "mode", "host", "what was wrong", "done", "detail")


def _row(record: Record) -> tuple[str, ...]:
    return (
        str(record["time"])[:19].replace("T", " "),
        str(record["domain"]),
        str(record["mode"] or "-"),
        str(record["mx"] or "-"),
        _WORDS.get(record["reason"], str(record["reason"])),
        str(record["action"]),
        str(record["detail"]),
    )


def _growing(path: Path, wanted: Filter) -> Iterator[Record]:
    while True:
        for number, record in read_ledger(path, wanted):
            wanted = replace(wanted, after=number)
            yield record
        time.sleep(_FOLLOW)


def _follow(records: Iterator[Record], *, as_json: bool) -> None:
    try:
        for record in records:
            if as_json:
                print_json(record)
            else:
                click.echo("  ".join(_row(record)))
    except KeyboardInterrupt:
        return
