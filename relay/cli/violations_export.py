"""`relay violations export`: the records for other programs, as JSON Lines or CSV."""

import csv
import io
import re
from collections.abc import Iterator
from typing import Any

import click

from relay.cli.options import config_option, settings_from
from relay.cli.output import print_lines, printable
from relay.cli.violations_filter import filter_options
from relay.cli.violations_ledger import ledger_in
from relay.reporting.store import Filter
from relay.reporting.violations import Record

COLUMNS = (
    *("time", "domain", "mode", "mx", "reason", "result_type", "action", "detail"),
    *("policy.id", "policy.mx", "policy.max_age", "policy.expires"),
    *("queue_id", "recipients", "addresses", "tls_version", "tls_error"),
    *("certificate.subject", "certificate.issuer", "certificate.san", "certificate.san_count"),
    *("certificate.not_before", "certificate.not_after", "certificate.sha256"),
    *("id", "v"),
)
_FORMULA = re.compile(r"\s*[=+\-@＝＋－＠]")  # noqa: RUF001 - full width counts, too


@click.command("export", short_help="Write violations as JSON Lines or CSV.")
@config_option
@filter_options
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "csv"]),
    default="jsonl",
    show_default=True,
    help="jsonl: the very objects of the log; csv: a column for each key.",
)
def export(config_path: str | None, wanted: Filter, form: str) -> None:
    """Write violations to stdout, in the order written.

    In CSV a list is separated by blanks, null is empty, and a text that a spreadsheet would take
    for a formula has an apostrophe before it.
    """
    path = ledger_in(settings_from(config_path))
    from relay.db.ledger_reader import read_ledger, read_lines

    if form == "jsonl":
        print_lines(line for _, line in read_lines(path, wanted))
    else:
        print_lines(_csv(record for _, record in read_ledger(path, wanted)))


def _csv(records: Iterator[Record]) -> Iterator[str]:
    yield ",".join(COLUMNS)
    for record in records:
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow([_cell(record, name) for name in COLUMNS])
        yield line.getvalue()


def _cell(record: Record, name: str) -> str:
    value: Any = record
    for key in name.split("."):
        value = value.get(key) if value else None
    if value is None:
        return ""
    text = printable(" ".join(map(str, value)) if isinstance(value, list) else str(value))
    # a spreadsheet may part cells by semicolons
    return ";".join(f"'{part}" if _FORMULA.match(part) else part for part in text.split(";"))
