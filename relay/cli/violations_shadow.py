"""`relay violations shadow`: what stricter settings would have refused of the mail delivered."""

import sys
from collections.abc import Iterator, Sequence
from typing import Any

import click

from relay.cli.completion_values import stored
from relay.cli.moments import moment
from relay.cli.options import (
    DomainName,
    config_option,
    json_option,
    settings_from,
    wide_option,
)
from relay.cli.output import Line, print_json, print_lines, print_stacked, print_table, print_text
from relay.cli.violations_filter import since_option, until_option
from relay.cli.violations_ledger import ledger_in
from relay.cli.violations_text import words_for
from relay.db import glance
from relay.reporting.store import Exposure, Shadow
from relay.timestamp import rfc3339

_ALL = -1  # rows, for SQLite


@click.command("shadow", short_help="Tell what stricter settings would have refused.")
@config_option
@json_option
@since_option
@until_option
@click.option(
    "--domain",
    type=DomainName(),
    shell_complete=stored(glance.passed_domains),
    help="Only this policy domain.",
)
@wide_option
@click.option(
    "--limit", type=click.IntRange(1), default=30, show_default=True, help="Rows of each part."
)
def shadow(
    *,
    config_path: str | None,
    as_json: bool,
    since: float | None,
    until: float | None,
    domain: str | None,
    wide: bool,
    limit: int,
) -> None:
    """Tell what of the mail delivered so far stricter settings would have refused.

    First, had the domains whose policy is in mode testing been in mode enforce; then, for those
    without a policy, had tls.no_policy been "encrypt" or "verify".

    Counted are messages that a host took: with a flaw, the same host would have been refused, and
    the mail had gone to another host of the domain that complies, or waited. What the present
    settings refuse is in the queue, not here. Times count to the day, but for when it was last.
    """
    path = ledger_in(settings_from(config_path))
    from relay.db.ledger_traffic import shadow as read

    def part(mode: str) -> Shadow:
        return read(path, mode, domain, (since, until), _ALL if as_json else limit)

    testing, without = part("testing"), part("none")
    if as_json:
        print_json({"testing": _object(testing), "no_policy": _object(without, floors=True)})
        return
    narrow = sys.stdout.isatty() and not wide
    _print_testing(testing, narrow=narrow)
    click.echo()
    _print_without(without, narrow=narrow)


def _print_testing(found: Shadow, *, narrow: bool) -> None:
    if not found.domains:
        click.echo("no mail was delivered to a domain in mode testing")
        return
    (print_text if narrow else print_lines)(
        [f"Had the domains in mode testing been in mode enforce, {_span(found)}:"]
    )
    click.echo(
        f"{_of(found.flawed, found)} refused; {found.clean} of {found.domains} domains without any"
    )
    click.echo()
    rows = (
        (one.domain, *map(str, (one.messages, one.flawed)), _share_of(one), *_why(one))
        for one in found.exposures
    )
    _print_rows(("domain", "messages", "refused", "share", "last", "why"), rows, narrow=narrow)
    _tell_rest(found)


def _print_without(found: Shadow, *, narrow: bool) -> None:
    if not found.domains:
        click.echo("no mail was delivered to a domain without a policy")
        return
    click.echo(f"Had tls.no_policy been stricter, {_span(found)}:")
    click.echo(f'"encrypt": {_of(found.clear, found)} refused')
    click.echo(
        f'"verify": {_of(found.flawed, found)} refused; '
        f"{found.clean} of {found.domains} domains without any"
    )
    click.echo()
    rows = (
        (one.domain, *map(str, (one.messages, one.clear, one.flawed)), *_why(one))
        for one in found.exposures
    )
    _print_rows(("domain", "messages", "encrypt", "verify", "last", "why"), rows, narrow=narrow)
    _tell_rest(found)


def _print_rows(columns: Sequence[str], rows: Iterator[Sequence[str]], *, narrow: bool) -> None:
    if narrow:
        print_stacked(("domain, why", *columns[1:-1]), map(_stacked, rows), empty="")
    else:
        print_table(columns, rows, empty="", folded=False)


# Why stands below the domain
def _stacked(row: Sequence[str]) -> Sequence[Sequence[Line]]:
    domain, *cells, why = row
    return ((domain, "bold"), (why, "")), *(((cell, ""),) for cell in cells)


def _tell_rest(found: Shadow) -> None:
    if found.domains > len(found.exposures):
        click.echo(f"and {found.domains - len(found.exposures)} more: --limit")


def _why(one: Exposure) -> tuple[str, str]:
    last = "-" if one.last_flawed is None else moment(one.last_flawed)
    return last, ", ".join(f"{words_for(name)} {count}" for name, count in one.reasons) or "-"


def _of(part: int, found: Shadow) -> str:
    return f"{part} of {found.messages} messages ({_share(part, found.messages)})"


def _share_of(one: Exposure) -> str:
    return _share(one.flawed, one.messages)


# What is neither none nor all is never told as such
def _share(part: int, whole: int) -> str:
    if not 0 < part < whole:
        return f"{100 * part // max(whole, 1)} %"
    return f"{min(max(100 * part / whole, 0.1), 99.9):.1f} %"


def _span(found: Shadow) -> str:
    return f"{moment(found.first or 0)} to {moment(found.last or 0)}"


def _object(found: Shadow, *, floors: bool = False) -> dict[str, Any]:
    return {
        "domains": found.domains,
        "clean": found.clean,
        "messages": found.messages,
        **_refused(found.clear, found.flawed, floors=floors),
        "first": found.first and rfc3339(found.first),
        "last": found.last and rfc3339(found.last),
        "by_domain": list(_objects(found, floors=floors)),
    }


def _objects(found: Shadow, *, floors: bool) -> Iterator[dict[str, Any]]:
    for one in found.exposures:
        yield {
            "domain": one.domain,
            "messages": one.messages,
            "recipients": one.recipients,
            **_refused(one.clear, one.flawed, floors=floors),
            "reasons": dict(one.reasons),
            "first": rfc3339(one.first),
            "last": rfc3339(one.last),
            "last_refused": one.last_flawed and rfc3339(one.last_flawed),
        }


def _refused(clear: int, flawed: int, *, floors: bool) -> dict[str, Any]:
    return {"refused": {"encrypt": clear, "verify": flawed} if floors else flawed}
