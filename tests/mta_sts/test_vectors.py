"""The vectors of tests/data/mta_sts.json; each row has its own id."""

import json
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from relay.address import Domain
from relay.clock import SystemClock
from relay.lab.world import World
from relay.mta_sts import MtaStsError, Policy, parse_policy, parse_txt, validate_mx
from relay.mta_sts.discover import discover
from relay.mta_sts.fetch import FetchSettings, PolicyFetcher
from relay.resolver import DnsResolver

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


# STS-81
@pytest.mark.parametrize("row", rows("mx"))
@pytest.mark.parametrize("mode", ["enforce", "testing"])
def test_mx(row: dict[str, Any], mode: str) -> None:
    verdict = validate_mx(row["host"], Policy(mode=mode, mx=tuple(row["patterns"])))
    assert verdict.valid in expected(row), row["why"]
    assert (verdict.mode, verdict.testing) == (mode, mode == "testing")
    assert (verdict.match is not None) is verdict.valid


@pytest.mark.parametrize("row", [one for one in rows("txt") if "dns" in one.values[0]])
async def test_txt_that_is_not_there(world: World, row: dict[str, Any]) -> None:
    if row["dns"] == "NODATA":
        world.dns.add("_mta-sts.dest.example", "A", "192.0.2.1")
    found = await discover(_resolver(world), Domain("dest.example"))
    assert found.absence is not None
    assert {"id": found.id, "code": found.absence.code} in expected(row), row["why"]


@pytest.mark.parametrize("row", rows("fetch"))
async def test_fetch(world: World, row: dict[str, Any]) -> None:
    http = row.get("http", {})
    site = world.policy_host("dest.example", http.get("body", ""))
    site.status = http.get("status", 200)
    site.headers |= http.get("headers", {})
    site.hang = "body" if "hang_after" in http else None
    site.body = site.body or b"version: STSv1"
    if host_dns := row.get("host_dns"):
        for kind in ("A", "AAAA"):
            world.dns.fail("mta-sts.dest.example", kind, host_dns)
    settings = FetchSettings(
        1.0 if site.hang else 10.0, world.https_port, [ip_network("127.0.0.1")], world.ca_file
    )
    try:
        body = await PolicyFetcher(_resolver(world), settings).fetch(Domain("dest.example"))
    except MtaStsError as error:
        got: dict[str, Any] = {"error": error.code}
    else:
        policy = parse_policy(body)
        got = {key: getattr(policy, key) for key in ("version", "mode", "max_age")}
        got["mx"] = list(policy.mx)
    assert got in expected(row), row["why"]


def _resolver(world: World) -> DnsResolver:
    return DnsResolver([world.dns.address], 2.0, SystemClock())
