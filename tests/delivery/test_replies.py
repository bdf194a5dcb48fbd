"""Replies out of octets, however these come, and an end to what has none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.delivery.replies import NoReply, ReplyReader


def taken(*pieces: bytes) -> list[tuple[int, str]]:
    """The replies read when the octets come in these pieces."""
    buffer = bytearray()
    reader = ReplyReader(buffer)
    replies = []
    for piece in pieces:
        buffer += piece
        while reply := reader.take():
            replies.append(reply)
    return replies


@pytest.mark.parametrize(
    ("octets", "replies"),
    [
        pytest.param(b"250 ok\r\n", [(250, "ok")], id="SND-10"),
        pytest.param(b"250\r\n", [(250, "")], id="SND-10 no text"),
        pytest.param(b"250-a\r\n250-b c\r\n250 d\r\n", [(250, "a\nb c\nd")], id="SND-10 lines"),
        pytest.param(b"250-a\r\n250\r\n", [(250, "a\n")], id="an empty last line"),
        pytest.param(b"250 a\n", [(250, "a")], id="a bare LF"),
        pytest.param(b"250 a\r\n550 b\r\n", [(250, "a"), (550, "b")], id="EXT-02 two"),
        pytest.param(b"250 a\r\n55", [(250, "a")], id="a part of another"),
        pytest.param(b"250 \xc3\xbc\xff\r\n", [(250, "ü\udcff")], id="any octets"),
        pytest.param(b"250\tok\r\n", [(250, "ok")], id="another separator"),
    ],
)
def test_good(octets: bytes, replies: list[tuple[int, str]]) -> None:
    assert taken(octets) == replies
    assert taken(*(bytes([octet]) for octet in octets)) == replies


@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(b"\r\n", id="SND-11 an empty line"),
        pytest.param(b"abc\r\n", id="SND-11 no code"),
        pytest.param(b"199 x\r\n", id="SND-11 first digit 1"),
        pytest.param(b"650 x\r\n", id="SND-11 first digit 6"),
        pytest.param(b"2501 x\r\n", id="four digits"),
        pytest.param(b"+25 x\r\n", id="what int() would take"),
        pytest.param("٢٥٠ x\r\n".encode(), id="digits that are not ASCII"),
        pytest.param(b"250-a\r\nb\r\n", id="a line without a code"),
        pytest.param(b"250 " + b"x" * 8200, id="a line without end"),
        pytest.param(b"250 " + b"x" * 8200 + b"\r\n", id="a long line"),
        pytest.param(b"250-x\r\n" * 20_000, id="lines without end"),
    ],
)
def test_bad(octets: bytes) -> None:
    with pytest.raises(NoReply):
        taken(octets)


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_the_pieces_do_not_matter(pieces: list[bytes]) -> None:
    def outcome(*given: bytes) -> object:
        try:
            return taken(*given)
        except NoReply as error:
            return str(error)

    whole = b"".join(pieces)
    assert outcome(*pieces) == outcome(*(bytes([one]) for one in whole))
