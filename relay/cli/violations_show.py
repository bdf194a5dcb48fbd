"""`relay violations show`: everything about one violation."""

import re
import sys
from collections.abc import Iterable, Iterator

import click

from relay.cli.completion_values import stored
from relay.cli.moments import moment
from relay.cli.options import WrongUse, config_option, json_option, settings_from
from relay.cli.output import print_json, print_text, printable
from relay.cli.violations_ledger import ledger_in
from relay.cli.violations_text import words_for
from relay.db import glance
from relay.reporting.store import Repeat
from relay.reporting.violations import Record

_ID = re.compile(r"[0-9a-f]{4,12}", re.ASCII)  # or its beginning
_ALIKE = 10  # records whose queue ids are told
_DONE = {
    "refused": "refused: this host was not given the mail",
    "delivered": "delivered: the mail went to this host all the same",
    "waived": "waived: the mail went to this host, as a waiver of ours let it pass",
    "noted": "noted: no delivery was concerned",
}
_Field = tuple[str, object]


@click.command("show", short_help="Show everything about one violation.")
@config_option
@json_option
@click.argument("name", metavar="ID", shell_complete=stored(glance.violation_ids))
def show(config_path: str | None, as_json: bool, name: str) -> None:
    """Show everything about the violation ID, of which a beginning will do.

    --json prints the very object of the log.
    """
    if not _ID.fullmatch(name.lower()):
        raise WrongUse(f"{name!r} is no id: give at least 4 of its 12 digits (0-9, a-f)")
    path = ledger_in(settings_from(config_path))
    from relay.db.ledger_counts import repeat_of
    from relay.db.ledger_reader import find_records, records_alike

    found = find_records(path, name.lower(), _ALIKE)
    if not found:
        click.echo(f"relay: there is no violation {name!r}", err=True)
        sys.exit(1)
    if len({record_id for _, record_id, _ in found}) > 1:
        raise WrongUse(f"{name!r} is the beginning of several ids: give more of it")
    for number, record_id, record in found:
        if as_json:
            print_json(record)
            continue
        _print([("id", record_id), *_fields(record)])
        repeat, alike = repeat_of(path, number), records_alike(path, number, _ALIKE)
        if repeat:
            _print([("seen", _how_often(repeat)), ("queue ids", _queue_ids(alike))])


def _fields(record: Record) -> Iterator[_Field]:
    yield "time", record["time"]
    yield "what", f"{words_for(record['reason'])} ({record['reason']})"
    yield "done", _DONE.get(record["action"], record["action"])
    yield "detail", record["detail"]
    yield "domain", record["domain"]
    yield "host", record["mx"]
    yield "addresses", record.get("addresses")
    yield from _policy(record)
    yield "TLS", record.get("tls_version")
    yield "TLS error", record.get("tls_error")
    yield from _certificate(record.get("certificate"))
    yield "TLS report", record["result_type"]
    yield "queue id", record["queue_id"]
    yield "recipients", record["recipients"]


def _policy(record: Record) -> Iterator[_Field]:
    yield "mode", record["mode"]
    if policy := record["policy"]:
        yield "policy", policy["id"]
        yield "lists", policy["mx"]
        yield "max_age", f"{policy['max_age']} seconds"
        yield "holds until", policy["expires"]


def _certificate(shown: Record | None) -> Iterator[_Field]:
    if not shown:
        return
    yield "subject", shown["subject"]
    yield "names", shown["san"]
    if shown["san_count"] > len(shown["san"]):
        yield "", f"and {shown['san_count'] - len(shown['san'])} more"
    yield "issuer", shown["issuer"]
    yield "valid from", shown["not_before"]
    yield "valid until", shown["not_after"]
    yield "SHA-256", shown["sha256"]


def _how_often(repeat: Repeat) -> str:
    if repeat.count == 1:
        return "once"
    return f"{repeat.count} times, {moment(repeat.first)} to {moment(repeat.last)}"


def _queue_ids(records: Iterable[Record]) -> list[str]:
    return list(dict.fromkeys(one["queue_id"] for one in records if one["queue_id"]))


def _print(fields: Iterable[_Field]) -> None:
    print_text(_lines(fields))


def _lines(fields: Iterable[_Field]) -> Iterator[str]:
    for label, value in fields:
        values = value if isinstance(value, list) else [value]
        for number, one in enumerate(values or [None]):
            text = "-" if one is None else printable(str(one))
            yield f"{'' if number else label:>12}{':' if label and not number else ' '} {text}"
