"""Where the content ends, whatever the segments (SMG-01, SMG-06, SRV-15, SRV-16, SRV-33)."""

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from relay.inbound.framing import Content, has_bare_line_end, normalised

LIMIT = 10_000
CONTENTS = st.lists(
    st.sampled_from([b".", b"\r", b"\n", b"\r\n", b"..", b"\0", b"a", b"\xff", b"\r\n.", b"text"])
).map(b"".join)


def stuffed(content: bytes) -> bytes:
    """What a client sends after DATA: every dot that begins a line doubled, then the final dot."""
    lines = (b"\r\n" + content).replace(b"\r\n.", b"\r\n..")[2:]
    return lines + b".\r\n"


def read(
    pieces: list[bytes], limit: int = LIMIT, *, normalise: bool = False
) -> tuple[Content, bytes, bytes | None]:
    """The content taken apart, what was kept of it, and what came after it."""
    content = Content(limit, normalise=normalise)
    kept, rest = b"", None
    for piece in pieces:
        if rest is not None:
            rest += piece
            continue
        rest = content.feed(piece)
        kept += content.drain()
    return content, kept, rest


def cut(octets: bytes, borders: list[int]) -> list[bytes]:
    at = sorted({0, len(octets), *(border % (len(octets) + 1) for border in borders)})
    return [octets[a:b] for a, b in pairwise(at)]


@given(CONTENTS, st.binary(max_size=20), st.lists(st.integers(min_value=0)))
def test_any_content_survives_any_segments(content: bytes, after: bytes, at: list[int]) -> None:
    content += b"\r\n"
    pieces = cut(stuffed(content) + after, at)
    got, kept, rest = read(pieces, normalise=True)
    assert (kept, rest) == (normalised(content), after)
    assert (got.size, got.eight_bit) == (len(kept), not content.isascii())
    assert got.bare is has_bare_line_end(content)
    strict, kept, rest = read(pieces)
    assert rest == after
    assert strict.bare is got.bare
    assert strict.bare or kept == content


@example(b".\r\n", [])
@example(b"..\r\n.\r\n", [1, 2])
@given(CONTENTS, st.lists(st.integers(min_value=0)))
def test_smg_06_segments_change_nothing(octets: bytes, at: list[int]) -> None:
    singly = [octets[n : n + 1] for n in range(len(octets))]
    ways = ([octets], singly, cut(octets, at))
    for normalise in (False, True):
        found = [read(pieces, normalise=normalise) for pieces in ways]
        ends = [rest for _, _, rest in found]
        assert ends == ends[:1] * 3
        if ends[0] is None:
            continue
        assert len({got.bare for got, _, _ in found}) == 1
        # what is to be refused is dropped as soon as that is known
        if normalise or not found[0][0].bare:
            assert len({(kept, got.size, got.eight_bit) for got, kept, _ in found}) == 1


@pytest.mark.parametrize(
    ("content", "kept"),
    [
        pytest.param(b"a\nb\r\n", b"a\r\nb\r\n", id="SMG-03: LF"),
        pytest.param(b"a\rb\r\n", b"a\r\nb\r\n", id="SMG-03: CR"),
        pytest.param(b"a\r\r\n", b"a\r\n\r\n", id="SMG-03: CR before CRLF"),
        pytest.param(b"a\n.\nb\r\n", b"a\r\n.\r\nb\r\n", id="SMG-04: dots are no line's first yet"),
        pytest.param(b"a\n..\r\n", b"a\r\n..\r\n", id="SMG-04: nor are two"),
        pytest.param(b"a\r\n\n\n\r\n", b"a\r\n\r\n\r\n\r\n", id="SMG-03: empty lines"),
    ],
)
def test_normalised(content: bytes, kept: bytes) -> None:
    got, found, rest = read([stuffed(content)], normalise=True)
    assert (found, rest, got.bare) == (kept, b"", True)


def test_srv_33_the_limit_counts_what_is_kept() -> None:
    got, kept, _ = read([b"\n" * 60 + b"\r\n.\r\n"], 100, normalise=True)
    assert got.too_large
    assert kept == b""


def test_a_whole_content() -> None:
    content = Content(100, normalise=False)
    content.take(b".x\r\n..\r\n\xff\r\n")
    assert (content.drain(), content.size, content.eight_bit) == (b".x\r\n..\r\n\xff\r\n", 11, True)


@pytest.mark.parametrize(
    ("content", "bare"),
    [
        (b"", False),
        (b"a\r\nb\r\n", False),
        (b"a\nb\r\n", True),
        (b"a\rb\r\n", True),
        (b"a\r\r\n", True),
        (b"a\n\r\n", True),
        (b"\n\r", True),
        (b"a\r\n\r", True),
    ],
)
def test_smg_03_bare(content: bytes, bare: bool) -> None:
    assert has_bare_line_end(content) is bare


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
def test_smg_01_smg_06_no_end(octets: bytes) -> None:
    evil = b"Subject: x\r\n\r\ntext" + octets + b"MAIL FROM:<evil@x.test>\r\n"
    singly = [evil[n : n + 1] for n in range(len(evil))]
    in_two = [[evil[:n], evil[n:]] for n in range(1, len(evil))]
    in_three = [[evil[:n], evil[n : n + 2], evil[n + 2 :]] for n in range(1, len(evil))]
    for pieces in ([evil], singly, *in_two, *in_three):
        assert read(pieces)[2] is None
        # and what ends it does so wherever the segments lie
        got, _, rest = read([*pieces, b"\r\n", b".", b"\r\nQUIT\r\n"])
        assert rest == b"QUIT\r\n"
        assert got.bare is has_bare_line_end(evil)


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
    _, kept, rest = read([sent])
    assert (kept, rest) == (content, b"")


@pytest.mark.parametrize("pieces", [1, 7, 100])
def test_srv_33_limit_to_the_octet(pieces: int) -> None:
    body = b".line\r\n" * 100
    for limit, large in ((len(body), False), (len(body) - 1, True)):
        octets = stuffed(body) + b"NOOP\r\n"
        step = -(-len(octets) // pieces)
        parts = [octets[n : n + step] for n in range(0, len(octets), step)]
        content, kept, rest = read(parts, limit)
        assert content.too_large is large
        assert rest == b"NOOP\r\n"
        assert large or kept == body
