"""CSV for spreadsheets: whatever the network has put into a record, it is a row of plain cells."""

import csv
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from relay.cli.violations_export import COLUMNS, _csv

TEXTS = st.text(max_size=12) | st.sampled_from(["=1+1", '"', "a,b", "\r\n", "\x1b[2J", "-", "@x"])
VALUES = st.none() | TEXTS | st.integers() | st.lists(TEXTS, max_size=3)
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
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row)
