"""The relay's own log on stderr: text for a terminal, one JSON object a line for programs."""

import logging
from collections.abc import Mapping
from typing import Any, BinaryIO

import orjson

from relay.clock import Clock
from relay.timestamp import rfc3339


class Journal:
    """Writes events: a word for what happened and fields that tell the rest.

    A line that cannot be written is lost and counted: the log never stops mail.
    """

    def __init__(self, stream: BinaryIO, clock: Clock, *, human: bool) -> None:
        """Write to `stream`, which the caller keeps open; `human` chooses text over JSON."""
        self._stream = stream
        self._clock = clock
        self._line = _text_line if human else _json_line
        self.lost = 0

    def write(self, event: str, **fields: object) -> None:
        """Write one event; fields that are None are left out."""
        shown = {name: value for name, value in fields.items() if value is not None}
        try:
            self._stream.write(self._line(rfc3339(self._clock.now()), event, shown))
            self._stream.flush()
        except OSError:
            self.lost += 1


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
