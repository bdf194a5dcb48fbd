"""The table is whole: each rule has a test that names it, each name has a rule, the page is new."""

import re
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest

from tests.conformance.collection import ROOT, collect, named_in
from tests.conformance.table import Row, Section, load
from tests.conformance.write import PAGE, page, toml, with_tests

SECTIONS = load()
ROWS = {row.id: row for row in chain.from_iterable(section.rows for section in SECTIONS)}
LEVELS = {"MUST", "MUST NOT", "SHALL", "SHOULD", "SHOULD NOT", "MAY", "must", "must not"}
LEVELS |= {"should", "may", "recommended", "prose", "local"}
PLACE = re.compile(r"RFC [0-9]+( (§|App\. )[0-9A-Z.]+)?|erratum [0-9]+|CVE-[0-9-]+|[a-z]+")
CITED = re.compile(r"RFC 8461((?:,? (?:§|App\. )[0-9A-Z.]*[0-9A-Z])+)")


@pytest.fixture(scope="module")
def tests() -> dict[str, set[str]]:
    return collect()


def test_ids_are_unique_and_sorted() -> None:
    ids = [[row.id for row in section.rows] for section in SECTIONS]
    assert all(part == sorted(part) for part in ids)
    assert len(ROWS) == sum(map(len, ids))


def test_form() -> None:
    for row in ROWS.values():
        assert re.fullmatch(r"[A-Z]{3}-[0-9]{2}", row.id)
        assert row.level in LEVELS, row.id
        assert re.fullmatch(r"\S.*", row.rule), row.id
        assert [place for place in row.where if not PLACE.fullmatch(place)] == [], row.id
        assert [one for one in row.see if one not in ROWS] == [], row.id
        proofs = [proof for proof in (row.tests, row.see, row.planned) if proof]
        assert len(proofs) == 1, f"{row.id} has one of tests, see and planned"


def test_each_test_named_in_the_table_exists_and_names_the_row(tests: dict[str, set[str]]) -> None:
    pairs = [(row.id, node) for row in ROWS.values() for node in row.tests]
    assert [pair for pair in pairs if pair[1] not in tests] == []
    assert [(id, node) for id, node in pairs if id not in tests[node]] == []


def test_each_row_a_test_names_exists(tests: dict[str, set[str]]) -> None:
    kinds = {id[:3] for id in ROWS}
    named = {(node, id) for node, ids in tests.items() for id in ids if id[:3] in kinds}
    assert sorted((node, id) for node, id in named if id not in ROWS) == []


def test_each_section_of_rfc_8461_that_the_code_cites_has_a_row() -> None:
    texts = "".join(path.read_text("utf-8") for path in sorted((ROOT / "relay").rglob("*.py")))
    sections = {one for found in CITED.findall(texts) for one in re.split(r",? (?=§|App)", found)}
    places = [f"{place}." for row in ROWS.values() for place in row.where]

    def has_row(section: str) -> bool:
        return any(place.startswith(f"RFC 8461 {section}.") for place in places)

    assert sorted(one for one in sections if one and not has_row(one)) == []


def test_page_and_files_are_as_they_are_written() -> None:
    assert PAGE.read_text("utf-8") == page(SECTIONS), "run python -m tests.conformance.write"
    for section in SECTIONS:
        assert section.path.read_text("utf-8") == toml(section)


def test_a_row_that_is_proved_is_planned_no_more() -> None:
    row = Row("STS-01", (), "MUST", "Be.", ("gone",), (), None)
    rows = (row, replace(row, id="STS-02", planned="soon"), replace(row, id="LIB-01", see=("X",)))
    section = Section(Path(), "", "", rows)
    first, second, third = with_tests(section, {"b": {"STS-02"}, "a": {"STS-02", "LIB-01"}}).rows
    assert (first.tests, first.planned) == ((), None)
    assert (second.tests, second.planned) == (("a", "b"), None)
    assert third is rows[2]


def test_rows_named_by_name_and_by_text() -> None:
    assert named_in("test_sts_45_and_46_only_200_counts", []) == {"STS-45", "STS-46"}
    assert named_in("test_rfc_2308_negative", ["CNF-02 CNF-03", "SHA-256"]) == {"CNF-02", "CNF-03"}
