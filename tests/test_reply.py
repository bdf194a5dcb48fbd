"""Replies: severity, enhanced codes, and texts that try to be more than text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.reply import Reply, Severity, parse_reply


@pytest.mark.parametrize(
    ("code", "severity"),
    [
        pytest.param(250, Severity.SUCCESS, id="SND-10: 250"),
        pytest.param(251, Severity.SUCCESS, id="SND-38: 251"),
        pytest.param(259, Severity.SUCCESS, id="SND-10: unknown 2yz"),
        pytest.param(354, Severity.TRANSIENT, id="354 is no end"),
        pytest.param(450, Severity.TRANSIENT, id="SND-12: 450"),
        pytest.param(550, Severity.PERMANENT, id="SND-12: 550"),
        pytest.param(556, Severity.PERMANENT, id="SND-39: 556"),
        pytest.param(199, Severity.TRANSIENT, id="SND-11: 199"),
        pytest.param(-1, Severity.TRANSIENT, id="SND-11: no code"),
        pytest.param(650, Severity.TRANSIENT, id="SND-11: 650"),
    ],
)
def test_severity(code: int, severity: Severity) -> None:
    assert Reply(code, None, "").severity is severity


@pytest.mark.parametrize(
    ("code", "text", "enhanced", "rest"),
    [
        (250, "2.0.0 ok", "2.0.0", "ok"),
        (250, "2.0.0", "2.0.0", ""),
        (550, "5.1.1 no such user", "5.1.1", "no such user"),
        (550, "4.1.1 other class", None, "4.1.1 other class"),
        (550, "5.01.1 leading zero", None, "5.01.1 leading zero"),
        (550, "5.1.1000 too long", None, "5.1.1000 too long"),
        (250, "", None, ""),
        (250, "ok\n2.0.0 second line", None, "ok 2.0.0 second line"),
        (550, "no\r\nX-Injected: yes\x00\x1b[31m", None, "no  X-Injected: yes  [31m"),
    ],
)
def test_parse_reply(code: int, text: str, enhanced: str | None, rest: str) -> None:
    assert parse_reply(code, text) == Reply(code, enhanced, rest)


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (Reply(250, None, "ok"), "2.0.0"),
        (Reply(451, "4.7.1", "x"), "4.7.1"),
        (Reply(550, None, "x"), "5.0.0"),
        (Reply(354, None, "x"), "4.0.0"),
    ],
)
def test_status(reply: Reply, status: str) -> None:
    assert reply.status == status


def test_a_reply_reads_as_on_the_wire() -> None:
    assert str(Reply(550, "5.1.1", "no such user")) == "550 5.1.1 no such user"
    assert str(Reply(250, None, "")) == "250"


@given(st.integers(-1, 999), st.text())
def test_any_text_becomes_one_bounded_printable_line(code: int, text: str) -> None:
    reply = parse_reply(code, text)
    assert reply.text.isprintable()
    assert len(reply.text) <= 1000


def test_what_is_kept_of_long_texts_is_short() -> None:
    assert parse_reply(550, "x" * 1000 + "y") is parse_reply(550, "x" * 1000 + "z")
