"""The relay's own log on stderr: text for a terminal, one JSON object a line for programs."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import get_ident
from typing import Any, BinaryIO

import orjson

from relay.clock import Clock
from relay.timestamp import rfc3339

Soon = Callable[[Callable[[], None]], object]
"""Has something called when there is nothing more urgent."""


class Journal:
    """Writes events: a word for what happened and fields that tell the rest.

    A line that cannot be written is lost and counted: the log never stops mail.
    """

    def __init__(self, stream: BinaryIO, clock: Clock, *, human: bool) -> None:
        """Write to `stream`, which the caller keeps open; `human` chooses text over JSON."""
        self._stream = stream
        self._clock = clock
        self._human = human
        self._line = _text_line if human else _json_line
        self._soon: Soon | None = None
        self._thread = 0
        self._is_due = False
        self._waiting = 0  # lines
        self.lost = 0

    @contextmanager
    def together(self, soon: Soon) -> Iterator[None]:
        """Within, lines of this thread leave together when `soon` calls back; text at once.

        `soon` is such as a loop's call_soon. Lines of other threads never wait.
        """
        self._soon, self._thread, self._is_due = soon, get_ident(), False
        try:
            yield
        finally:
            self._soon = None
            self._flush()

    def write(self, event: str, **fields: object) -> None:
        """Write one event; fields that are None are left out."""
        shown = {name: value for name, value in fields.items() if value is not None}
        try:
            self._stream.write(self._line(rfc3339(self._clock.now()), event, shown))
        except OSError:
            self.lost += 1
            return
        self._waiting += 1
        if not self._soon or self._human or get_ident() != self._thread:
            self._flush()
        elif not self._is_due:
            self._is_due = True
            self._soon(self._leave)

    def _leave(self) -> None:
        self._is_due = False
        self._flush()

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, 0
        try:
            self._stream.flush()
        except OSError:
            self.lost += waiting


class JournalHandler(logging.Handler):
    """Brings what libraries and our own modules log through `logging` into the journal."""

    def __init__(self, journal: Journal) -> None:
        """Write to `journal`."""
        super().__init__()
        self._journal = journal

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record's message, and its traceback if it has one."""
        formatter = self.formatter or _PLAIN
        trace = formatter.formatException(record.exc_info) if record.exc_info else None
        self._journal.write(
            record.levelname.lower(),
            message=record.getMessage(),
            logger=record.name,
            traceback=trace,
        )


_PLAIN = logging.Formatter()


def _json_line(time: str, event: str, fields: Mapping[str, Any]) -> bytes:
    row = {"time": time, "event": event, **fields}
    try:
        return orjson.dumps(row, default=str, option=orjson.OPT_APPEND_NEWLINE)
    except orjson.JSONEncodeError:  # text that is no Unicode: a strange line beats none
        plain = {name: ascii(value) for name, value in row.items()}
        return orjson.dumps(plain, option=orjson.OPT_APPEND_NEWLINE)


def _text_line(time: str, event: str, fields: Mapping[str, Any]) -> bytes:
    shown = dict(fields)
    trace = shown.pop("traceback", None)
    message = shown.pop("message", None)
    words = [time[11:19], event, *([str(message)] if message else [])]
    words += [f"{name}={_word(value)}" for name, value in shown.items()]
    line = " ".join(words) + "\n" + (f"{trace}\n" if trace else "")
    return line.encode("utf-8", "backslashreplace")


# A value with blanks, quotes or control characters is quoted, so that a line stays one line
def _word(value: object) -> str:
    text = ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    if text and text.isprintable() and not any(char in text for char in ' "='):
        return text
    return orjson.dumps(text.encode("utf-8", "replace").decode()).decode()
