"""The trace line, and what a message's content needs on its way."""

import re
from dataclasses import replace
from email import message_from_bytes
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.inbound.received import (
    Arrival,
    count_received,
    is_utf8,
    protocol_name,
    received_line,
)

NOON = 1788264000.0
ARRIVAL = Arrival("client.test", "192.0.2.1", "ESMTP", "relay.test", "QUEUEID", NOON)


def test_srv_25_the_whole_line() -> None:
    assert received_line(ARRIVAL, ["u@x.test"]) == (
        b"Received: from client.test ([192.0.2.1])\r\n"
        b"\tby relay.test with ESMTP id QUEUEID\r\n"
        b"\tfor <u@x.test>;\r\n"
        b"\tTue, 01 Sep 2026 12:00:00 +0000\r\n"
    )


def test_srv_27_no_recipient_learns_of_another() -> None:
    line = received_line(ARRIVAL, ["u@x.test", "v@x.test"])
    assert b"for" not in line
    assert b"id QUEUEID;\r\n\tTue" in line


@pytest.mark.parametrize(
    ("client", "address", "origin"),
    [
        ("[192.0.2.1]", "192.0.2.1", b"from [192.0.2.1] ([192.0.2.1])"),
        ("my_pc", "2001:db8::1", b"from my_pc ([IPv6:2001:db8::1])"),
        ("host.test", "fe80::1%eth0", b"from host.test ([IPv6:fe80::1])"),
        ("host.test", "", b"from host.test\r\n"),
        (None, "192.0.2.1", b"from unknown ([192.0.2.1])"),
        pytest.param("a b", "192.0.2.1", b"from unknown ([192.0.2.1])", id="SMG-08: two words"),
        pytest.param("x\r\nBcc:y", "192.0.2.1", b"from unknown ([192.0.2.1])", id="SMG-08: CRLF"),
        pytest.param("x;(y", "192.0.2.1", b"from unknown ([192.0.2.1])", id="SMG-08: syntax"),
        pytest.param("bücher.test", "192.0.2.1", b"from unknown ([192.0.2.1])", id="SMG-08: UTF-8"),
    ],
)
def test_origin(client: str | None, address: str, origin: bytes) -> None:
    line = received_line(replace(ARRIVAL, client=client, address=address), [])
    assert line.startswith(b"Received: " + origin)


@given(st.none() | st.text(), st.lists(st.sampled_from(["u@x.test", "ü@x.test"]), max_size=2))
def test_smg_08_one_field_whatever_the_client_says(client: str | None, to: list[str]) -> None:
    line = received_line(replace(ARRIVAL, client=client), to)
    parsed = message_from_bytes(line + b"\r\nbody\r\n")
    assert parsed.keys() == ["Received"]
    assert re.fullmatch(rb"[^\r\n\0]+(\r\n\t[^\r\n\0]+)*\r\n", line)
    date = str(parsed["Received"]).rpartition(";")[2]
    assert parsedate_to_datetime(date).timestamp() == NOON


def test_lines_are_folded() -> None:
    long = replace(ARRIVAL, client="c" * 60 + ".test", hostname="h" * 60 + ".test")
    assert max(map(len, received_line(long, ["u@x.test"]).splitlines())) <= 78


@pytest.mark.parametrize(
    ("extended", "utf8", "tls", "authenticated", "name"),
    [
        (False, False, False, False, "SMTP"),
        (True, False, False, False, "ESMTP"),
        (True, False, True, False, "ESMTPS"),
        (True, False, False, True, "ESMTPA"),
        (True, False, True, True, "ESMTPSA"),
        (True, True, False, False, "UTF8SMTP"),
        (True, True, True, True, "UTF8SMTPSA"),
    ],
)
def test_ext_16_protocol(
    extended: bool, utf8: bool, tls: bool, authenticated: bool, name: str
) -> None:
    got = protocol_name(extended=extended, utf8=utf8, tls=tls, authenticated=authenticated)
    assert got == name


@pytest.mark.parametrize(
    ("header", "count"),
    [
        (b"", 0),
        (b"Received: a\r\nReceived: b\r\n", 2),
        (b"RECEIVED : a\r\nX-Received: b\r\n x\r\n\treceived: folded\r\n\r\n", 1),
        (b"Received: no blank line\r\n", 1),
    ],
)
def test_srv_28_count(header: bytes, count: int) -> None:
    assert count_received(header) == count


@pytest.mark.parametrize(
    ("header", "utf8"),
    [
        (b"Subject: x\r\n", False),
        ("Subject: ü\r\n".encode(), True),
        (b"", False),
        (b"Subject: \xfc\r\n", False),
    ],
)
def test_ext_13_smtputf8(header: bytes, utf8: bool) -> None:
    assert is_utf8(header) is utf8
