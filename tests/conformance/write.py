"""Writes docs/conformance.md from the table: `python -m tests.conformance.write`."""

from collections.abc import Sequence
from pathlib import Path

from tests.conformance.table import Row, Section, load

PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"
_INTRODUCTION = """\
# Conformance

What the relay holds itself to, rule by rule, and the tests that prove each. Made from
`tests/conformance/rows/` by `python -m tests.conformance.write`; a test fails when it is stale.

Levels in capitals are the RFC's own key words. In small letters: `must`, `should`, `may` and
`recommended` where the RFC says so in plain prose, `prose` where it only explains, `local` where it
is silent and the choice is this project's. A row that is `planned` has no test yet, and says why.
"""


def page(sections: Sequence[Section]) -> str:
    """The whole page."""
    return "\n".join([_INTRODUCTION, *(_part(section) for section in sections)])


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


if __name__ == "__main__":
    PAGE.write_text(page(load()), "utf-8")
