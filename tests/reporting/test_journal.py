"""The relay's own log: one event a line, in both forms, whatever the fields hold."""

import io
import logging

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.reporting.journal import Journal, JournalHandler


class Noon:
    """A clock that stands still."""

    def now(self) -> float:
        return 1788264000.0


def written(*, human: bool, **fields: object) -> bytes:
    stream = io.BytesIO()
    Journal(stream, Noon(), human=human).write("delivered", **fields)
    return stream.getvalue()


def test_json_for_programs() -> None:
    line = written(human=False, queue_id="Q1", attempts=2, host=None, to=["a@b.test"])
    assert orjson.loads(line) == {
        "time": "2026-09-01T12:00:00.000Z",
        "event": "delivered",
        "queue_id": "Q1",
        "attempts": 2,
        "to": ["a@b.test"],
    }


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"queue_id": "Q1", "host": None}, b"12:00:00 delivered queue_id=Q1\n"),
        ({"reply": "250 ok"}, b'12:00:00 delivered reply="250 ok"\n'),
        ({"to": ["a@b", "c@d"]}, b"12:00:00 delivered to=a@b,c@d\n"),
        ({"sender": ""}, b'12:00:00 delivered sender=""\n'),
        ({"reply": "a\nb\x1b[1m"}, b'12:00:00 delivered reply="a\\nb\\u001b[1m"\n'),
        ({"message": "going on", "n": 1}, b"12:00:00 delivered going on n=1\n"),
    ],
)
def test_text_for_people(fields: dict[str, object], line: bytes) -> None:
    assert written(human=True, **fields) == line


@given(st.booleans(), st.text())
def test_smg_08_an_event_is_one_line(human: bool, value: str) -> None:
    line = written(human=human, host=value)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert b"\x1b" not in line


def test_a_full_disk_loses_the_line_not_the_mail() -> None:
    class Full(io.BytesIO):
        def write(self, data: object) -> int:
            raise OSError(28, "No space left on device")

    journal = Journal(Full(), Noon(), human=False)
    journal.write("delivered")
    journal.write("delivered")
    assert journal.lost == 2


def test_library_messages_come_with_their_traceback() -> None:
    stream = io.BytesIO()
    handler = JournalHandler(Journal(stream, Noon(), human=False))
    error = KeyError("lost")
    info = (KeyError, error, None)
    handler.emit(logging.LogRecord("relay.test", logging.ERROR, "", 0, "it %s", ("failed",), info))
    row = orjson.loads(stream.getvalue())
    assert (row["event"], row["message"], row["logger"]) == ("error", "it failed", "relay.test")
    assert "KeyError: 'lost'" in row["traceback"]
