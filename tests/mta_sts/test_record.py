"""The TXT record, rule by rule: what gives an id, what gives none, what is one too many."""

from typing import Any

import pytest

from relay.mta_sts import MtaStsError, parse_txt
from relay.mta_sts.record import _parse_id

MANY = "multi_sts_records"
LONG = "a" * 31 + "9"

# records (each a str or a tuple of its character-strings), the id (None: no valid record)
TABLE: list[Any] = [
    pytest.param([("v=STSv1; id=2024", "0602;")], "20240602", id="STS-02: strings are joined"),
    pytest.param([("v=STSv1; id=a", " b;")], None, id="STS-02: with nothing taken away"),
    pytest.param([("v=STS", "v1; i", "", "d=a")], "a", id="STS-02: anywhere"),
    pytest.param(["x", "v=STSv1; id=a"], "a", id="STS-03: others are dropped"),
    pytest.param(["v=STSv1; id=a", "V=STSv1; id=b"], "a", id="STS-03: the prefix has case"),
    pytest.param(["v=STSv1; id=a", " v=STSv1; id=b"], "a", id="STS-03: the prefix comes first"),
    pytest.param(["v=STSv1; id=a", "v=STSv10; id=b"], "a", id="STS-03: the prefix is whole"),
    pytest.param(["v=STSv1;", "x"], None, id="STS-04: one left, of bad syntax"),
    pytest.param(["v=STSv1; id=a; v=STSv1; id=b"], "a", id="STS-10: one record twice over"),
    pytest.param(["x", "y"], None, id="STS-04: none left"),
    pytest.param([], None, id="STS-04: none at all"),
    pytest.param([()], None, id="STS-04: an empty one"),
    pytest.param(["id=a; v=STSv1"], None, id="STS-05: v first"),
    pytest.param(["v=stsv1; id=a"], None, id="STS-05: v has case"),
    pytest.param(["V=STSv1; id=a"], None, id="STS-05: its name too"),
    pytest.param(["v=STSv1; x=1; id=a; y=2"], "a", id="STS-05: the others in any order"),
    pytest.param(["v=STSv1 id=a"], None, id="STS-05: v alone"),
    pytest.param(["v = STSv1; id=a"], None, id="STS-05: no blanks in it"),
    pytest.param([f"v=STSv1; id={LONG}"], LONG, id="STS-06: 32 characters"),
    pytest.param([f"v=STSv1; id={LONG}a"], None, id="STS-06: 33 characters"),
    pytest.param(["v=STSv1; id="], None, id="STS-06: none"),
    pytest.param(["v=STSv1; id=a-b"], None, id="STS-06: a hyphen"),
    pytest.param(["v=STSv1; id=a_b"], None, id="STS-06: an underscore"),
    pytest.param(["v=STSv1; id=aB"], "aB", id="STS-06: case is kept"),
    pytest.param(["v=STSv1; ID=a"], None, id="STS-06: its name has case"),
    pytest.param(["v=STSv1; id =a"], None, id="STS-06: no blank in the field"),
    pytest.param(["v=STSv1;id=a;"], "a", id="STS-07: a delimiter at the end"),
    pytest.param(["v=STSv1\t ;\t \tid=a \t;\t "], "a", id="STS-07: blanks around it"),
    pytest.param(["v=STSv1;id=a;;"], None, id="STS-07: two at the end"),
    pytest.param(["v=STSv1;;id=a"], None, id="STS-07: an empty field"),
    pytest.param(["v=STSv1; id=a "], None, id="STS-07: a blank without one"),
    pytest.param(["v=STSv1;\r\nid=a"], None, id="STS-07: a line end is no blank"),
    pytest.param(["v=STSv1 ; id=a"], "a", id="STS-08: alone"),
    pytest.param(["v=STSv1 ; id=a", "x"], None, id="STS-08: among several"),
    pytest.param(["v=STSv1 ; id=a", "v=STSv1; id=b"], "b", id="STS-08: beside a strict one"),
    pytest.param(["v=STSv1; x.y-z_1=q:/?; id=a"], "a", id="STS-09: a strange but valid field"),
    pytest.param([f"v=STSv1; {LONG}=1; id=a"], "a", id="STS-09: a name of 32"),
    pytest.param([f"v=STSv1; {LONG}a=1; id=a"], None, id="STS-09: a name of 33"),
    pytest.param(["v=STSv1; _x=1; id=a"], None, id="STS-09: a name begins with letter or digit"),
    pytest.param(["v=STSv1; id=a; x=a=b"], None, id="STS-09: = in a value"),
    pytest.param(["v=STSv1; id=a; x="], None, id="STS-09: no value"),
    pytest.param(["v=STSv1; id=a; x"], None, id="STS-09: no ="),
    pytest.param(["v=STSv1; id=a; x=a b"], None, id="STS-09: a blank in a value"),
    pytest.param(["v=STSv1; id=a; id=b"], "a", id="STS-10"),
    pytest.param(["v=STSv1; id=a-; id=b"], None, id="STS-10: though it is wrong"),
    pytest.param(["v=STSv1; v=STSv2; id=a"], "a", id="STS-10: v"),
    pytest.param(["v=STSv1; id=a\n"], None, id="STS-12: LF at the end"),
    pytest.param(["v=STSv1; id=a;\n"], None, id="STS-12: LF after the delimiter"),
    pytest.param(["v=STSv1;\xa0id=a"], None, id="STS-12: NBSP"),
    pytest.param(["v=STSv1; id=a\xb2"], None, id="STS-12: a digit of Latin-1"),
    pytest.param(["v=STSv1; id=a; x=\xe9"], None, id="STS-12: elsewhere"),
    pytest.param(["v=STSv1; id=a; x=\x7f"], None, id="STS-12: a control"),
    pytest.param(["v=STSv1; id=a\0"], None, id="STS-12: NUL"),
]


def octets(records: list[str | tuple[str, ...]]) -> list[list[bytes]]:
    tuples = [(one,) if isinstance(one, str) else one for one in records]
    return [[string.encode("latin-1") for string in strings] for strings in tuples]


@pytest.mark.parametrize(("records", "found"), TABLE)
def test_record(records: list[str | tuple[str, ...]], found: str | None) -> None:
    assert parse_txt(octets(records)) == found


@pytest.mark.parametrize(
    "records",
    [
        pytest.param(["v=STSv1; id=a", "v=STSv1;"], id="one without an id"),
        pytest.param(["v=STSv1; id=a", "v=STSv1;garbage"], id="one of bad syntax"),
        pytest.param(["v=STSv1; id=a", "v=STSv1; id=a"], id="the same twice"),
        pytest.param(["v=STSv1; id=a", "x", "v=STSv1; id=b"], id="one between"),
        pytest.param([("v=STS", "v1; id=a"), "v=STSv1; id=b"], id="one in pieces"),
    ],
)
def test_sts_03_several_are_one_too_many(records: list[str | tuple[str, ...]]) -> None:
    with pytest.raises(MtaStsError) as caught:
        parse_txt(octets(records))
    assert caught.value.code == MANY


def test_a_long_record_is_read_and_not_remembered() -> None:
    """Whoever owns a zone may have a thousand of them, of 64 KB each."""
    held = _parse_id.cache_info().currsize
    assert parse_txt([(b"v=STSv1; id=1; x=", b"y" * 500)]) == "1"
    assert _parse_id.cache_info().currsize == held
