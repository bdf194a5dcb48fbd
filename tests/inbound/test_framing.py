"""Where the content ends, whatever the segments (SMG-01, SMG-06, SRV-15, SRV-16, SRV-33)."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.inbound.framing import Content

LIMIT = 10_000
CONTENTS = st.lists(
    st.sampled_from([b".", b"\r", b"\n", b"\r\n", b"..", b"\0", b"a", b"\xff", b"\r\n.", b"text"])
).map(b"".join)


def stuffed(content: bytes) -> bytes:
    """What a client sends after DATA: every dot that begins a line doubled, then the final dot."""
    lines = (b"\r\n" + content).replace(b"\r\n.", b"\r\n..")[2:]
    return lines + b".\r\n"


def read(pieces: list[bytes], limit: int = LIMIT) -> tuple[Content, bytes | None]:
    content = Content(limit)
    rest = None
    for piece in pieces:
        if rest is not None:
            rest += piece
            continue
        rest = content.feed(piece)
    return content, rest


def cut(octets: bytes, borders: list[int]) -> list[bytes]:
    at = sorted({0, len(octets), *(border % (len(octets) + 1) for border in borders)})
    return [octets[a:b] for a, b in pairwise(at)]


@given(CONTENTS, st.binary(max_size=20), st.lists(st.integers(min_value=0)))
def test_any_content_survives_any_segments(content: bytes, after: bytes, at: list[int]) -> None:
    content += b"\r\n"
    got, rest = read(cut(stuffed(content) + after, at))
    assert (got.content(), rest) == (content, after)


@given(CONTENTS, st.lists(st.integers(min_value=0)))
def test_segments_change_nothing(octets: bytes, at: list[int]) -> None:
    whole, rest = read([octets])
    single, rest_of_singles = read([octets[n : n + 1] for n in range(len(octets))])
    cut_up, rest_of_cut = read(cut(octets, at))
    assert rest == rest_of_cut == rest_of_singles
    if rest is not None:
        assert whole.content() == cut_up.content() == single.content()


@pytest.mark.parametrize(
    "octets",
    [
        b"\n.\n",
        b"\n.\r\n",
        b"\r.\r\n",
        b"\r\n.\n",
        b"\r\n.\r",
        b"\r.\r",
        b"\r\n\0.\r\n",
        b"\n\n.\r\n",
        b"\r\n..\r\n",
        b"\r\n. \r\n",
        b"\r\n.\r\r\n",
        b"\n.\n.\r\n",
    ],
)
def test_smg_01_no_end(octets: bytes) -> None:
    evil = b"Subject: x\r\n\r\ntext" + octets + b"MAIL FROM:<evil@x.test>\r\n"
    for pieces in ([evil], [evil[n : n + 1] for n in range(len(evil))]):
        assert read(pieces)[1] is None


@pytest.mark.parametrize(
    ("sent", "content"),
    [
        pytest.param(b".\r\n", b"", id="nothing at all"),
        pytest.param(b"\r\n.\r\n", b"\r\n", id="one empty line"),
        pytest.param(b"..x\r\n.\r\n", b".x\r\n", id="SRV-16: on the first line"),
        pytest.param(b"a\r\n.x\r\n.\r\n", b"a\r\nx\r\n", id="SRV-16: a single dot goes too"),
        pytest.param(b"a\r\n..\r\n.\r\n", b"a\r\n.\r\n", id="SRV-16: a line of one dot"),
        pytest.param(b"a\r\n...\r\n...b\r\n.\r\n", b"a\r\n..\r\n..b\r\n", id="SRV-16: more dots"),
        pytest.param(b"a.\r\nb.c\r\n.\r\n", b"a.\r\nb.c\r\n", id="dots elsewhere stay"),
        pytest.param(b"x" * 5000 + b"\r\n.\r\n", b"x" * 5000 + b"\r\n", id="a very long line"),
    ],
)
def test_contents(sent: bytes, content: bytes) -> None:
    got, rest = read([sent])
    assert (got.content(), rest) == (content, b"")


@pytest.mark.parametrize("pieces", [1, 7, 100])
def test_srv_33_limit_to_the_octet(pieces: int) -> None:
    body = b".line\r\n" * 100
    for limit, large in ((len(body), False), (len(body) - 1, True)):
        octets = stuffed(body) + b"NOOP\r\n"
        step = -(-len(octets) // pieces)
        content, rest = read([octets[n : n + step] for n in range(0, len(octets), step)], limit)
        assert content.too_large is large
        assert rest == b"NOOP\r\n"
        assert content.content() == (b"" if large else body)
