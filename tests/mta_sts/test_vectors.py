"""The vectors of tests/data/mta_sts.json that need no network; each row has its own id."""

import json
from pathlib import Path
from typing import Any

import pytest

from relay.mta_sts import MtaStsError, Policy, parse_policy, parse_txt, validate_mx

ROWS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "data" / "mta_sts.json").read_text("utf-8")
)


def rows(kind: str) -> list[Any]:
    return [pytest.param(row, id=row["id"]) for row in ROWS if row["kind"] == kind]


def expected(row: dict[str, Any]) -> list[Any]:
    return [row["expect"], *row.get("alt", [])]


@pytest.mark.parametrize("row", [one for one in rows("txt") if "dns" not in one.values[0]])
def test_txt(row: dict[str, Any]) -> None:
    records = [[text.encode("latin-1") for text in strings] for strings in row["rdata"]]
    try:
        got: dict[str, Any] = {"id": parse_txt(records), "code": None}
    except MtaStsError as error:
        got = {"id": None, "code": error.code}
    assert got in expected(row), row["why"]


@pytest.mark.parametrize("row", rows("policy"))
def test_policy(row: dict[str, Any]) -> None:
    got: dict[str, Any]
    try:
        policy = parse_policy(row["body"].encode())
    except MtaStsError as error:
        got = {"error": error.code}
    else:
        got = {
            "version": policy.version,
            "mode": policy.mode,
            "max_age": policy.max_age,
            "mx": list(policy.mx),
        }
    assert got in expected(row), row["why"]


@pytest.mark.parametrize("row", rows("mx"))
@pytest.mark.parametrize("mode", ["enforce", "testing"])
def test_mx(row: dict[str, Any], mode: str) -> None:
    verdict = validate_mx(row["host"], Policy(mode=mode, mx=tuple(row["patterns"])))
    assert verdict.valid in expected(row), row["why"]
    assert (verdict.mode, verdict.testing) == (mode, mode == "testing")
    assert (verdict.match is not None) is verdict.valid
