"""`relay violations summary`: how many, by domain, by reason and by day."""

import sys
from collections import Counter
from collections.abc import Callable, Sequence

import click

from relay.cli.options import config_option, json_option, settings_from
from relay.cli.output import print_json, print_table
from relay.cli.violations_filter import filter_options
from relay.cli.violations_ledger import ledger_in
from relay.cli.violations_text import moment, words_for
from relay.reporting.store import Filter, Repeat
from relay.timestamp import rfc3339

_BAR = 20  # characters of the longest
_Counts = Sequence[tuple[str, int]]


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
    from relay.db.ledger_counts import count_days, count_kinds

    kinds = count_kinds(path, wanted)
    days = [(rfc3339(day)[:10], count) for day, count in count_days(path, wanted)]
    parts = {
        "domain": _by(kinds, lambda one: one.domain),
        "reason": _by(kinds, lambda one: one.reason),
        "day": days,
    }
    if as_json:
        _print_object(kinds, parts)
    elif not kinds:
        click.echo("no violations")
    else:
        _print_people(kinds, parts, limit)


def _by(kinds: Sequence[Repeat], key: Callable[[Repeat], str]) -> _Counts:
    counts: Counter[str] = Counter()
    for one in kinds:
        counts[key(one)] += one.count
    return counts.most_common()


def _print_object(kinds: Sequence[Repeat], parts: dict[str, _Counts]) -> None:
    print_json(
        {
            "violations": sum(one.count for one in kinds),
            "first": rfc3339(min(one.first for one in kinds)) if kinds else None,
            "last": rfc3339(max(one.last for one in kinds)) if kinds else None,
            **{f"by_{name}": dict(counts) for name, counts in parts.items()},
        }
    )


def _print_people(kinds: Sequence[Repeat], parts: dict[str, _Counts], limit: int) -> None:
    total = sum(one.count for one in kinds)
    refused = sum(one.count for one in kinds if one.action == "refused")
    first, last = min(one.first for one in kinds), max(one.last for one in kinds)
    click.echo(f"{total} violations, {refused} of them refused, {moment(first)} to {moment(last)}")
    for name, counts in parts.items():
        click.echo()
        most = max(count for _, count in counts)
        rows = [
            (words_for(value) if name == "reason" else value, str(count), _bar(count, most))
            for value, count in counts[:limit]
        ]
        print_table((name, "times", ""), rows, empty="")
        if len(counts) > limit:
            click.echo(f"and {len(counts) - limit} more: --limit")


def _bar(count: int, most: int) -> str:
    block = "\N{FULL BLOCK}" if "utf" in (sys.stdout.encoding or "").lower() else "#"
    return block * max(1, round(_BAR * count / most))
