"""`relay queue`: what waits, why, and what to do about it; works beside a running relay."""

import sys

import click

from relay.cli.options import DomainName, config_option, json_option, settings_from
from relay.cli.output import print_json, print_table, printable
from relay.clock import SystemClock
from relay.db.desk import Desk
from relay.queue.job import QueueRecord
from relay.timestamp import rfc3339

_COLUMNS = ("id", "from", "to", "size", "tries", "next attempt", "state", "why", "last answer")

_domain_option = click.option(
    "--domain", type=DomainName(), help="Only mail for this recipient domain."
)


@click.group("queue")
def command() -> None:
    """Show, retry or drop queued mail."""


@command.command("list")
@config_option
@json_option
@_domain_option
def list_jobs(config_path: str | None, as_json: bool, domain: str | None) -> None:
    """List what is queued, the oldest first."""
    records = _desk(config_path).jobs(domain)
    if as_json:
        for record in records:
            print_json(record.as_dict())
        return
    print_table(_COLUMNS, map(_row, records), empty="the queue is empty")


@command.command("show")
@config_option
@json_option
@click.argument("name", metavar="ID")
def show(config_path: str | None, as_json: bool, name: str) -> None:
    """Show one job, or all those of a message, with the message's header."""
    desk = _desk(config_path)
    records = desk.find(name) or _nothing(name)
    for record in records:
        if as_json:
            print_json(record.as_dict())
            continue
        for field, value in record.as_dict().items():
            click.echo(f"{field:>12}: {_shown(value)}")
        click.echo()
    if not as_json:
        for line in desk.header(records[0].message_id).split("\r\n"):
            click.echo(printable(line.replace("\t", " ")))


@command.command("retry")
@config_option
@_domain_option
@click.argument("names", metavar="[ID]...", nargs=-1)
def retry(config_path: str | None, domain: str | None, names: tuple[str, ...]) -> None:
    """Try now what waits: these jobs or messages, those of a domain, or everything."""
    desk = _desk(config_path)
    count = desk.retry(_chosen(desk, names, domain), SystemClock().now())
    click.echo(f"{count} to be tried now")


@command.command("drop")
@config_option
@_domain_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.argument("names", metavar="[ID]...", nargs=-1)
def drop(config_path: str | None, domain: str | None, yes: bool, names: tuple[str, ...]) -> None:
    """Drop mail without telling its sender: these jobs or messages, or those of a domain."""
    if not names and not domain:
        raise click.UsageError("name what to drop: IDs or --domain")
    desk = _desk(config_path)
    chosen = _chosen(desk, names, domain)
    if not names and not yes:
        if not sys.stdin.isatty():
            raise click.UsageError(f"dropping by --domain needs --yes ({len(chosen)} jobs)")
        click.confirm(f"Drop {len(chosen)} jobs for {domain}?", abort=True)
    click.echo(f"{desk.drop(chosen)} dropped")


def _desk(config_path: str | None) -> Desk:
    return Desk(settings_from(config_path).storage_directory)


def _chosen(desk: Desk, names: tuple[str, ...], domain: str | None) -> list[str]:
    if not names:
        return [record.id for record in desk.jobs(domain)]
    found = [record for name in names for record in desk.find(name) or _nothing(name)]
    return [record.id for record in found if domain in (None, record.domain)]


def _nothing(name: str) -> list[QueueRecord]:
    click.echo(f"relay: there is no job and no message {name!r} in the queue", err=True)
    sys.exit(1)


def _row(record: QueueRecord) -> tuple[str, ...]:
    due = "-" if record.next_attempt is None else rfc3339(record.next_attempt)[:19]
    return (
        record.id,
        record.sender or "<>",
        ", ".join(record.recipients),
        str(record.size),
        str(record.attempts),
        due.replace("T", " "),
        record.state,
        record.reason or "-",
        record.last.reply if record.last else "-",
    )


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return printable(", ".join(f"{name} {_shown(one)}" for name, one in value.items()))
    if isinstance(value, (list, tuple)):
        return printable(", ".join(map(str, value)))
    return "-" if value is None else printable(str(value))
