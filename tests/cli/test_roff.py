"""Text for man pages: what roff would take for its own is escaped; marks become fonts."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.cli import roff

_BACK = {r"\e": "\\", r"\-": "-", r"\(aq": "'", r"\(ga": "`", r"\(ha": "^", r"\(ti": "~"}


def read(text: str) -> str:
    """What roff shows of an escaped text."""

    def meant(escape: re.Match[str]) -> str:
        return _BACK.get(escape[0]) or (chr(int(escape[1], 16)) if escape[1] else "")

    return re.sub(r"\\(?:\[u([0-9A-F]+)\]|\(..|.)", meant, text)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("--as-if", r"\-\-as\-if"),
        (".SH x", r"\&.SH x"),
        ("'x'", r"\(aqx\(aq"),
        (r"a\nb", r"a\enb"),
        ("~/x", r"\(ti/x"),
        ("RFC 5321 §4", r"RFC 5321 \[u00A7]4"),
        ("[a|b]", r"[a|\:b]"),
    ],
)
def test_plain_text(text: str, written: str) -> None:
    assert roff.plain(text) == written


@given(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"])))
def test_any_text_is_shown_as_it_is_and_commands_nothing(text: str) -> None:
    written = roff.plain(text)
    assert read(written) == text
    assert written.isascii()
    assert not written.startswith((".", "'"))


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("`relay check -c FILE` tells", r"\fBrelay check \-c FILE\fR tells"),
        ("see [waivers](waivers.md).", r"see waivers\&."),
        ("see [`a` b](x.md)", r"see \fBa\fR b"),
        ("*refused*: no", r"\fIrefused\fR: no"),
        ("`*.a.test` or `*`", r"\fB*.a.test\fR or \fB*\fR"),
        ("2 * 3 * 4", "2 * 3 * 4"),
        ("**held**", r"\fBheld\fR"),
        ("`[[route]]` (x)", r"\fB[[route]]\fR (x)"),
        ("a lone ` stays", r"a lone \(ga stays"),
    ],
)
def test_marked_text(text: str, written: str) -> None:
    assert roff.marked(text) == written


def test_paragraphs_of_a_help_text() -> None:
    assert list(roff.paragraphs("one\ntwo\n\n\b\nrelay  x\n.y\n\nend")) == [
        *(".PP", "one two"),
        *(".PP", ".RS 4", ".nf", "relay  x", r"\&.y", ".fi", ".RE"),
        *(".PP", "end"),
    ]


PAGE = """\
# Title

First.

## [a]

| key | default | meaning |
|---|---|---|
| `x` | `1` | A, or `a\\|b`. |
| `y` | | B. |

- one
  more
- two

    code *as is*

```
more
```
"""


def test_a_page_in_markdown() -> None:
    (_, first), (title, text) = roff.sections_of(PAGE)
    assert list(roff.from_markdown(first)) == [".PP", "First."]
    assert title == "[a]"
    assert list(roff.from_markdown(text)) == [
        *(".TP", r"\fBx\fR", r"A, or \fBa|\:b\fR\&. Default: \fB1\fR\&."),
        *(".TP", r"\fBy\fR", "B."),
        *(r".IP \(bu 2", "one more", r".IP \(bu 2", "two"),
        *(".PP", ".RS 4", ".nf", "code *as is*", ".fi", ".RE"),
        *(".PP", ".RS 4", ".nf", "more", ".fi", ".RE"),
    ]


@pytest.mark.parametrize(
    ("lines", "written"),
    [([], []), ([".PP", "x"], ['.SH "A"', "x"]), ([".TP", "x"], ['.SH "A"', ".TP", "x"])],
)
def test_a_section(lines: list[str], written: list[str]) -> None:
    assert list(roff.section("A", lines)) == written
