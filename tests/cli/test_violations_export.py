"""CSV for spreadsheets: whatever the network has put into a record, it is a row of plain cells."""

import csv
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from relay.cli.violations_export import COLUMNS, _csv

ODD = [
    "=1+1",
    '"',
    "a,b",
    "\r\n",
    "\x1b[2J",
    "-",
    "@x",
    "x;=1+1;",
    "; +1",
    "\N{FULLWIDTH EQUALS SIGN}1",
]
TEXTS = st.text(max_size=12) | st.sampled_from(ODD)
VALUES = st.none() | TEXTS | st.integers() | st.lists(TEXTS, max_size=3)
FORMULA = tuple(
    "=+-@\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}"
    "\N{FULLWIDTH HYPHEN-MINUS}\N{FULLWIDTH COMMERCIAL AT}"
)
FLAT = {name: VALUES for name in COLUMNS if "." not in name}


def part(name: str) -> st.SearchStrategy[Any]:
    """Strategies for the keys below `name`."""
    keys = [column.partition(".")[2] for column in COLUMNS if column.startswith(f"{name}.")]
    return st.none() | st.fixed_dictionaries({}, optional=dict.fromkeys(keys, VALUES))


RECORDS = st.fixed_dictionaries(
    {"policy": part("policy")}, optional={**FLAT, "certificate": part("certificate")}
)


@given(st.lists(RECORDS, max_size=3))
def test_a_record_is_one_row_of_plain_cells(records: list[dict[str, Any]]) -> None:
    lines = list(_csv(iter(records)))
    assert all(line.isprintable() for line in lines)
    head, *rows = csv.reader(lines)
    assert head == list(COLUMNS)
    assert [len(row) for row in rows] == [len(COLUMNS)] * len(records)
    # some spreadsheets part cells by semicolons, and then know no quotes amid a cell
    cells = [cell for line in lines[1:] for cell in line.split(";")[1:]]
    cells += [cell for row in rows for cell in row]
    assert not any(cell.lstrip().startswith(FORMULA) for cell in cells)
