"""Text of any origin, made fit for any mail host."""

import email
import quopri

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.queue.mime import as_eight_bit, as_seven_bit, as_token


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (b"plain\r\nlines\r\n", "7bit"),
        (b"gr\xc3\xbc\xc3\x9fe\r\n", "quoted-printable"),
        (b"x" * 998, "7bit"),
        (b"x" * 999, "quoted-printable"),
        (b"bare\nLF", "quoted-printable"),
        (b"bare\rCR", "quoted-printable"),
        (b"nul\0", "quoted-printable"),
    ],
)
def test_encoding_is_chosen_by_need(content: bytes, encoding: str) -> None:
    part = email.message_from_bytes(as_seven_bit("text/plain", content))
    assert part["Content-Transfer-Encoding"] == encoding


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (b"plain\r\n", "7bit"),
        (b"gr\xc3\xbc\xc3\x9fe\r\n", "8bit"),
        (b"\xff" * 999, "quoted-printable"),
        (b"bare\nLF", "quoted-printable"),
    ],
)
def test_eight_bits_where_they_may_go(content: bytes, encoding: str) -> None:
    part = email.message_from_bytes(as_eight_bit("message/global-headers", content))
    assert part["Content-Transfer-Encoding"] == encoding


@given(st.binary(max_size=3000))
def test_what_comes_out_is_seven_bit_and_reads_back(content: bytes) -> None:
    head, _, body = as_seven_bit("text/plain", content).partition(b"\r\n\r\n")
    assert body.isascii()
    assert b"\n" not in body.replace(b"\r\n", b"")
    assert b"\r" not in body.replace(b"\r\n", b"")
    assert max(map(len, body.split(b"\r\n"))) <= 998
    decoded = quopri.decodestring(body) if b"quoted" in head else body
    assert decoded == content


@given(st.text())
def test_a_token_stays_on_one_line_of_ascii(text: str) -> None:
    token = as_token(text)
    assert token.isascii()
    assert token.isprintable()
