"""The view of `relay queue list`: what waits, and why."""

import sys
from collections.abc import Sequence

from relay.cli.moments import moment, short_moment
from relay.cli.output import Line, print_stacked, print_table
from relay.clock import SystemClock
from relay.queue.job import QueueRecord

_EMPTY = "the queue is empty"
_WIDE = ("id", "from", "to", "size", "tries", "next attempt", "state", "why", "last answer")
_STACKED = ("id, next try", "to, from", "why, last answer", "tries")
_RECIPIENTS = 3  # told in a narrow view
_ANSWER = 300  # characters of it there
_STYLES = {"policy": "red", "tls-floor": "red"}


def print_jobs(records: Sequence[QueueRecord], *, wide: bool) -> None:
    """Print jobs as a table; `wide` is for programs in any case."""
    if wide or not sys.stdout.isatty():
        print_table(_WIDE, map(_row, records), empty=_EMPTY, folded=False)
    else:
        now = SystemClock().now()
        print_stacked(_STACKED, (_stacked(record, now) for record in records), empty=_EMPTY)


def _row(record: QueueRecord) -> tuple[str, ...]:
    return (
        record.id,
        record.sender or "<>",
        ", ".join(record.recipients),
        str(record.size),
        str(record.attempts),
        "-" if record.next_attempt is None else moment(record.next_attempt),
        record.state,
        record.reason or "-",
        _answer(record),
    )


def _stacked(record: QueueRecord, now: float) -> Sequence[Sequence[Line]]:
    due = record.next_attempt
    waits = record.state == "waiting" and due is not None
    to = record.recipients[:_RECIPIENTS]
    more = len(record.recipients) - len(to)
    answer = _answer(record)
    return (
        ((record.id, ""), (short_moment(due, now) if waits and due else record.state, "dim")),
        (
            *((one, "bold") for one in to),
            *([(f"and {more} more", "")] if more else []),
            (f"from {record.sender or '<>'}", "dim"),
        ),
        (
            (record.reason or "-", _STYLES.get(record.reason or "", "")),
            (answer if len(answer) <= _ANSWER else f"{answer[:_ANSWER]}...", ""),
        ),
        ((str(record.attempts), ""),),
    )


def _answer(record: QueueRecord) -> str:
    return record.last.reply if record.last else "-"
