"""Text for man pages: roff's escapes, the marks of help texts, and a little Markdown. Pure."""

import re
from collections.abc import Iterable, Iterator

_ESCAPES = {
    **{"\\": r"\e", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti"},
    "|": r"|\:",  # long choices may be broken there
}
_MARK = re.compile(
    r"`(?P<code>[^`]+)`|\*\*(?P<bold>[^*]+)\*\*|(?<![\w*])\*(?P<em>[^*\s][^*]*)\*"
    r"|\[(?P<link>[^\]]+)\]\([^()]+\)"
)
_RULE = re.compile(r"\|[-|]+\|", re.ASCII)


def plain(text: str) -> str:
    """The text as it is, with nothing in it that roff would take for its own."""
    escaped = "".join(_ESCAPES.get(char) or _character(char) for char in text)
    return rf"\&{escaped}" if escaped.startswith(".") else escaped


def bold(text: str) -> str:
    """The text in bold."""
    return rf"\fB{plain(text)}\fR"


def marked(text: str) -> str:
    """The text, what is marked as code in it in bold; of links only their text."""
    found, end = [], 0
    for mark in _MARK.finditer(text):
        found.append(plain(text[end : mark.start()]))
        found.append(_styled(mark))
        end = mark.end()
    found.append(plain(text[end:]))
    return "".join(found)


def verbatim(lines: Iterable[str]) -> Iterator[str]:
    """Lines that stay as they are."""
    yield from (".PP", ".RS 4", ".nf", *map(plain, lines), ".fi", ".RE")


def item(tag: str, text: str) -> Iterator[str]:
    """A term, in bold, and what it means."""
    yield from (".TP", bold(tag), marked(text) or r"\&")


def section(title: str, lines: Iterable[str]) -> Iterator[str]:
    """A section; nothing where it would have no lines."""
    inner = list(lines)
    if inner:
        # the title has made room already
        yield from (f'.SH "{plain(title)}"', *inner[inner[0] == ".PP" :])


def paragraphs(text: str) -> Iterator[str]:
    r"""The paragraphs of a help text; those that begin with \b stay as they are."""
    for block in filter(None, text.strip().split("\n\n")):
        lines = block.strip("\n").split("\n")
        if lines[0] == "\b":
            yield from verbatim(lines[1:])
        else:
            yield from (".PP", marked(" ".join(line.strip() for line in lines)))


def sections_of(markdown: str) -> Iterator[tuple[str, str]]:
    """The title and the text of each section, the first of them under the page's own title."""
    for part in re.split(r"^##? ", markdown, flags=re.MULTILINE)[1:]:
        title, _, text = part.partition("\n")
        yield title, text


def from_markdown(text: str) -> Iterator[str]:
    """Paragraphs, tables, lists and code of a section."""
    for block in filter(None, (block.strip("\n") for block in text.split("\n\n"))):
        lines = block.split("\n")
        if lines[0].startswith("|"):
            yield from _table(lines)
        elif lines[0].startswith("    "):
            yield from verbatim(line[4:] for line in lines)
        elif lines[0].startswith("```"):
            yield from verbatim(lines[1:-1])
        elif lines[0].startswith("- "):
            for entry in re.split(r"^- ", block, flags=re.MULTILINE)[1:]:
                yield from (r".IP \(bu 2", marked(" ".join(entry.split())))
        else:
            yield from (".PP", marked(" ".join(lines)))


# The first cell of a row is a term; what comes between it and the last is told behind that
def _table(lines: list[str]) -> Iterator[str]:
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines if not _RULE.fullmatch(line)]
    names, *rows = [[cell.strip().replace(r"\|", "|") for cell in row] for row in rows]
    for first, *between, last in rows:
        more = "".join(
            f" {name.capitalize()}: {cell}."
            for name, cell in zip(names[1:-1], between, strict=True)
            if cell
        )
        yield from item(first.replace("`", ""), last + more)


def _styled(mark: re.Match[str]) -> str:
    kind = mark.lastgroup or ""
    if kind == "em":
        return rf"\fI{plain(mark[kind])}\fR"
    return marked(mark[kind]) if kind == "link" else bold(mark[kind])


# Any other formatter than that of man may take octets for Latin-1
def _character(char: str) -> str:
    return char if char.isascii() else rf"\[u{ord(char):04X}]"
