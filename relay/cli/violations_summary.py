"""`relay violations summary`: how many, by domain, by reason and by day."""

import sys
from collections.abc import Sequence

import click

from relay.cli.moments import moment
from relay.cli.options import config_option, json_option, settings_from
from relay.cli.output import print_json, print_table
from relay.cli.violations_filter import filter_options
from relay.cli.violations_ledger import ledger_in
from relay.cli.violations_text import words_for
from relay.reporting.store import Filter, Summary
from relay.timestamp import rfc3339

_BAR = 20  # characters of the longest


@click.command("summary", short_help="Count violations by domain, by reason and by day.")
@config_option
@json_option
@filter_options
@click.option(
    "--limit", type=click.IntRange(1), default=14, show_default=True, help="Rows of each part."
)
def summary(config_path: str | None, as_json: bool, wanted: Filter, limit: int) -> None:
    """Count violations by domain, by reason and by day (UTC). --json prints all of it, uncut."""
    path = ledger_in(settings_from(config_path))
    from relay.db.ledger_counts import summarise

    found = summarise(path, wanted)
    if as_json:
        _print_object(found)
    elif not found.count:
        click.echo("no violations")
    else:
        _print_people(found, limit)


def _print_object(found: Summary) -> None:
    print_json(
        {
            "violations": found.count,
            "refused": found.refused,
            "first": rfc3339(found.first) if found.count else None,
            "last": rfc3339(found.last) if found.count else None,
            "by_domain": dict(found.by_domain),
            "by_reason": dict(found.by_reason),
            "by_day": {rfc3339(day)[:10]: count for day, count in found.by_day},
        }
    )


def _print_people(found: Summary, limit: int) -> None:
    span = f"{moment(found.first)} to {moment(found.last)}"
    click.echo(f"{found.count} violations, {found.refused} of them refused, {span}")
    reasons = [(words_for(reason), count) for reason, count in found.by_reason]
    days = [(rfc3339(day)[:10], count) for day, count in found.by_day]
    for name, counts in (("domain", found.by_domain), ("reason", reasons), ("day", days)):
        click.echo()
        most = max(count for _, count in counts)
        _print_part(name, counts[:limit], most)
        if len(counts) > limit:
            click.echo(f"and {len(counts) - limit} more: --limit")


def _print_part(name: str, counts: Sequence[tuple[str, int]], most: int) -> None:
    rows = [(value, str(count), _bar(count, most)) for value, count in counts]
    print_table((name, "times", ""), rows, empty="")


def _bar(count: int, most: int) -> str:
    block = "\N{FULL BLOCK}" if "utf" in (sys.stdout.encoding or "").lower() else "#"
    return block * max(1, round(_BAR * count / most))
