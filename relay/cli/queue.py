"""`relay queue`: what waits, why, and what to do about it; works beside a running relay."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import click

from relay.cli import queue_work
from relay.cli.completion_values import stored
from relay.cli.moments import moment
from relay.cli.options import config_option, examples, json_option, settings_from, wide_option
from relay.cli.output import print_json, print_table, print_text, printable
from relay.cli.queue_filter import filter_options, nothing
from relay.cli.queue_table import print_jobs
from relay.db import glance
from relay.db.desk import Desk
from relay.queue.job import QueueRecord
from relay.queue.selection import Selection
from relay.timestamp import rfc3339

_TABLE = 1000  # rows of a table without --limit: it is laid out as a whole
_BODY_LIMIT = 1 << 30


@click.group("queue")
def command() -> None:
    """Show, retry, hold, release or drop queued mail.

    A running relay follows within a second; none is needed.
    """


for _work in (queue_work.retry, queue_work.hold, queue_work.release, queue_work.drop):
    command.add_command(_work)


@command.command(
    "list",
    epilog=examples(
        "relay queue list --reason policy --older 2h    kept back by a policy",
        "relay queue list --count domain                which domains mail waits for",
        "relay queue list --wide | less -S",
    ),
)
@config_option
@json_option
@filter_options
@click.option(
    "--count",
    "by",
    type=click.Choice(["reason", "domain", "mx"]),
    help="Only count jobs, by what they have in common.",
)
@wide_option
@click.option("--limit", type=click.IntRange(1), help="At most so many; a table has 1000 rows.")
@click.option(
    "--after", metavar="ID", shell_complete=stored(glance.job_ids), help="Go on behind this job."
)
def list_jobs(
    *,
    config_path: str | None,
    as_json: bool,
    selection: Selection,
    by: str | None,
    wide: bool,
    limit: int | None,
    after: str | None,
) -> None:
    """List what is queued, the oldest first."""
    desk = Desk(settings_from(config_path).storage_directory)
    if by:
        _print_tally(desk, by, selection, as_json=as_json)
        return
    records = desk.jobs(selection, after)
    if as_json:
        for record in islice(records, limit):
            print_json(record.as_dict())
        return
    shown = list(islice(records, limit or _TABLE))
    print_jobs(shown, wide=wide)
    if next(records, None):
        click.echo(f"there are more: --after {shown[-1].id}, or --limit", err=True)


@command.command("show", short_help="Show a job or message: its attempts, its header.")
@config_option
@json_option
@click.option("--body", is_flag=True, help="Show the content too, not only its header.")
@click.argument("name", metavar="ID", shell_complete=stored(glance.job_ids))
def show(config_path: str | None, as_json: bool, body: bool, name: str) -> None:
    """Show one job, or all those of a message: its attempts, and the message's header."""
    desk = Desk(settings_from(config_path).storage_directory)
    records = desk.find(name) or nothing(name)
    for record in records:
        attempts = [one.as_dict() for one in desk.history(record.id)]
        if as_json:
            shown = record.as_dict() | {"history": attempts}
            print_json(shown | _content(desk, record.message_id, body=body))
        else:
            _print_record(record, attempts)
    if not as_json:
        for text in _content(desk, records[0].message_id, body=body).values():
            _print_content(text)


def _content(desk: Desk, message_id: str, *, body: bool) -> dict[str, str]:
    if not body:
        return {"header": desk.header(message_id)}
    header, _, rest = desk.content(message_id, _BODY_LIMIT).partition(b"\r\n\r\n")
    return {"header": header.decode("utf-8", "replace"), "body": rest.decode("utf-8", "replace")}


def _print_tally(desk: Desk, by: str, selection: Selection, *, as_json: bool) -> None:
    counted = desk.tally(by, selection)
    if as_json:
        for one in counted:
            print_json(
                {
                    by: one.value or None,
                    "jobs": one.jobs,
                    "recipients": one.recipients,
                    "oldest": rfc3339(one.oldest),
                }
            )
        return
    rows = [
        (one.value or "-", str(one.jobs), str(one.recipients), moment(one.oldest))
        for one in counted
    ]
    print_table((by, "jobs", "recipients", "oldest"), rows, empty="the queue is empty")


def _print_record(record: QueueRecord, attempts: Iterable[dict[str, Any]]) -> None:
    print_text(_fields(record, attempts))
    click.echo()


def _fields(record: QueueRecord, attempts: Iterable[dict[str, Any]]) -> Iterator[str]:
    for field, value in record.as_dict().items():
        yield f"{field:>12}: {_shown(value)}"
    for number, attempt in enumerate(attempts):
        label = "history" if not number else ""
        words = (attempt["time"], attempt["reason"], attempt["host"] or "-", attempt["reply"])
        yield f"{label:>12}{' ' if number else ':'} {printable('  '.join(words))}"


def _print_content(text: str) -> None:
    for line in text.removesuffix("\r\n").split("\r\n"):
        click.echo(printable(line.replace("\t", " ")))
    click.echo()


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return printable(", ".join(f"{name} {_shown(one)}" for name, one in value.items()))
    if isinstance(value, (list, tuple)):
        return printable(", ".join(map(str, value)))
    return "-" if value is None else printable(str(value))
