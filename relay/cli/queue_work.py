"""`relay queue retry`, `hold`, `release` and `drop`: by id or by filter, one or many."""

import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from relay.cli.completion_values import Seen, stored
from relay.cli.options import config_option, examples, json_option, settings_from
from relay.cli.output import print_json
from relay.cli.queue_filter import filter_options, nothing
from relay.clock import SystemClock
from relay.db import glance
from relay.db.desk import Desk
from relay.queue.selection import EVERYTHING, Selection

Names = tuple[str, ...]
Find = Callable[[Path, str], Iterable[Seen]]


def _names_option(find: Find) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.argument("names", metavar="[ID]...", nargs=-1, shell_complete=stored(find))


def _holdable(directory: Path, begin: str) -> Iterable[Seen]:
    return glance.job_ids(directory, begin, "waiting active")


def _held(directory: Path, begin: str) -> Iterable[Seen]:
    return glance.job_ids(directory, begin, "held")


@click.command(
    "retry",
    short_help="Try now what waits.",
    epilog=examples(
        "relay queue retry ID                       this job, or all of a message",
        "relay queue retry --domain example.org     when it has been repaired",
    ),
)
@config_option
@json_option
@filter_options
@_names_option(glance.job_ids)
def retry(config_path: str | None, as_json: bool, selection: Selection, names: Names) -> None:
    """Try now what waits: these jobs or messages, what fits, or everything.

    What is held stays so, but for jobs that are named and with --state held.
    """
    desk = _desk(config_path, names)
    if not names and selection.state is None:
        selection = replace(selection, state="waiting")
    count = desk.retry(names or None, SystemClock().now(), selection)
    _tell(count, "to be tried now", as_json=as_json)


@click.command("hold", short_help="Let mail rest until it is released or retried.")
@config_option
@json_option
@filter_options
@_names_option(_holdable)
def hold(config_path: str | None, as_json: bool, selection: Selection, names: Names) -> None:
    """Let mail rest until it is released or retried; the time it has left runs on."""
    _require(names, selection, "hold")
    count = _desk(config_path, names).hold(names or None, selection)
    _tell(count, "held", as_json=as_json)


@click.command("release", short_help="Let held mail go on as it was scheduled.")
@config_option
@json_option
@filter_options
@_names_option(_held)
def release(config_path: str | None, as_json: bool, selection: Selection, names: Names) -> None:
    """Let held mail go on as it was scheduled."""
    _require(names, selection, "release")
    count = _desk(config_path, names).release(names or None, selection)
    _tell(count, "released", as_json=as_json)


@click.command("drop", short_help="Drop mail without telling its sender.")
@config_option
@json_option
@filter_options
@click.option("--yes", is_flag=True, help="Do not ask.")
@_names_option(glance.job_ids)
def drop(
    config_path: str | None, as_json: bool, selection: Selection, yes: bool, names: Names
) -> None:
    """Drop mail without telling its sender: these jobs or messages, or what fits."""
    _require(names, selection, "drop")
    desk = _desk(config_path, names)
    if not names and not yes:
        # what comes in while somebody thinks is not what was asked about
        now = SystemClock().now()
        before = min(selection.created_before or now, now)
        selection = replace(selection, created_before=before)
        count = sum(one.jobs for one in desk.tally("reason", selection))
        if not sys.stdin.isatty():
            raise click.UsageError(f"dropping by a filter needs --yes ({count} jobs)")
        click.confirm(f"Drop {count} jobs?", abort=True)
    _tell(desk.drop(names or None, selection), "dropped", as_json=as_json)


def _tell(count: int, what: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"jobs": count})
    else:
        click.echo(f"{count} {what}")


def _desk(config_path: str | None, names: Names) -> Desk:
    desk = Desk(settings_from(config_path).storage_directory)
    for name in names:
        if not desk.find(name):
            nothing(name)
    return desk


def _require(names: Names, selection: Selection, verb: str) -> None:
    if not names and selection == EVERYTHING:
        raise click.UsageError(f"name what to {verb}: IDs, or a filter such as --domain")
