"""`python -m tests.conformance.write`: lists with each rule the tests that name it, in the table
itself and in docs/conformance.md."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from tests.conformance.collection import ROOT, collect
from tests.conformance.table import Row, Section, load

PAGE = ROOT / "docs" / "conformance.md"
_INTRODUCTION = """\
# Conformance

What the relay holds itself to, rule by rule, and the tests that prove each. Made from
`tests/conformance/rows/` by `python -m tests.conformance.write`; a test fails when it is stale.

Levels in capitals are the RFC's own key words. In small letters: `must`, `should`, `may` and
`recommended` where the RFC says so in plain prose, `prose` where it only explains, `local` where it
is silent and the choice is this project's. A row that is `planned` has no test yet, and says why.
"""


def page(sections: Sequence[Section]) -> str:
    """The page for readers."""
    return "\n".join([_INTRODUCTION, *(_part(section) for section in sections)])


def toml(section: Section) -> str:
    """The file of a section."""
    head = f"title = {_quoted(section.title)}\nabout = {_quoted(section.about)}\n"
    return "\n".join([head, *(_table(row) for row in section.rows)])


def with_tests(section: Section, found: Mapping[str, set[str]]) -> Section:
    """The section with the tests that name each row, `found` being the rows named by each test."""
    return replace(section, rows=tuple(_proved(row, found) for row in section.rows))


def _proved(row: Row, found: Mapping[str, set[str]]) -> Row:
    tests = tuple(sorted(test for test, named in found.items() if row.id in named))
    if row.see:
        return row
    return replace(row, tests=tests, planned=None if tests else row.planned)


def _part(section: Section) -> str:
    head = [f"## {section.title}", "", section.about, ""]
    table = ["| Row | Where | Level | Rule | Tests |", "|---|---|---|---|---|"]
    return "\n".join([*head, *table, *(_line(row) for row in section.rows), ""])


def _line(row: Row) -> str:
    cells = (row.id, ", ".join(row.where), row.level, row.rule, _proof(row))
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"


def _proof(row: Row) -> str:
    if row.planned:
        return f"planned: {row.planned}"
    return "<br>".join(map(_link, row.tests)) or f"see {', '.join(row.see)}"


def _link(test: str) -> str:
    path, _, name = test.partition("::")
    return f"[{name}](../{path})"


def _table(row: Row) -> str:
    lines = [f"[{row.id}]", f"where = {_quoted(row.where)}", f"level = {_quoted(row.level)}"]
    lines.append(f"rule = {_quoted(row.rule)}")
    if row.see:
        lines.append(f"see = {_quoted(row.see)}")
    if row.planned:
        lines.append(f"planned = {_quoted(row.planned)}")
    if row.tests:
        lines += ["tests = [", *(f"  {_quoted(test)}," for test in row.tests), "]"]
    return "\n".join([*lines, ""])


# A JSON string or list of strings is TOML as it stands
def _quoted(value: str | Sequence[str]) -> str:
    return json.dumps(value, ensure_ascii=False)


def _main() -> None:
    found = collect()
    sections = [with_tests(section, found) for section in load()]
    for section in sections:
        section.path.write_text(toml(section), "utf-8")
    PAGE.write_text(page(sections), "utf-8")


if __name__ == "__main__":
    _main()
