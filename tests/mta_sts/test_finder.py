"""Policies found over real DNS and real HTTPS, kept in a real database."""

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest

from relay.address import Domain
from relay.db.policies import PolicyTable
from relay.lab.policy_host import Site
from relay.lab.world import World
from relay.mta_sts.fetch import FetchSettings, PolicyFetcher
from relay.mta_sts.finder import PolicyFinder
from relay.resolver import DnsResolver
from tests.mta_sts.finding import GOOD, D, SetClock, finder_in


async def test_sts_61_found_then_renewed_without_a_request(
    finder: PolicyFinder, world: World
) -> None:
    site = world.policy_host(D, GOOD)
    first, second = await finder.find(D), await finder.find(D)
    assert (first.result.status, second.result.status) == ("found", "renewed")
    assert first.policy == second.policy
    assert first.policy.mode == "enforce"
    (request,) = site.requests
    assert (request.method, request.path) == ("GET", "/.well-known/mta-sts.txt")
    assert (request.host, request.sni) == ("mta-sts.d.test", "mta-sts.d.test")


async def test_sts_72_many_at_once_make_one_request(finder: PolicyFinder, world: World) -> None:
    site = world.policy_host(D, GOOD)
    found = await asyncio.gather(*(finder.find(D) for _ in range(100)))
    assert {one.result.status for one in found} == {"found"}
    assert len(site.requests) == 1
    assert world.dns.queries.count(("_mta-sts.d.test", "TXT")) == 1


async def test_sts_13_parents_are_never_asked(finder: PolicyFinder, world: World) -> None:
    world.policy_host("b.test", GOOD)
    found = await finder.find(Domain("a.b.test"))
    assert found.result.as_dict() == {
        "policy": {"id": False, "mode": "none"},
        "status": "not_found",
    }
    assert ("_mta-sts.b.test", "TXT") not in world.dns.queries


def answer(site: Site, status: int, **headers: str) -> None:
    site.status = status
    site.headers = {"Content-Type": "text/plain", **headers}


@pytest.mark.parametrize("status", [204, 206, 301, 302, 307, 308, 404, 503])
async def test_sts_45_and_46_only_200_counts(
    finder: PolicyFinder, world: World, status: int
) -> None:
    site = world.policy_host(D, GOOD)
    trap = world.policy_host("trap.test", GOOD)
    answer(site, status, Location="https://mta-sts.trap.test/.well-known/mta-sts.txt")
    found = await finder.find(D)
    assert found.policy.error is not None
    assert found.policy.error.code == f"http_status_{status}"
    assert found.result.status == "errored"
    assert not trap.requests
    (finding,) = found.findings
    assert (finding.action, finding.failure) == ("noted", "sts-policy-fetch-error")


@pytest.mark.parametrize(
    ("body", "headers", "code", "failure"),
    [
        (GOOD, {"Content-Type": "text/html"}, "invalid_content_type", "sts-policy-fetch-error"),
        (GOOD, {}, "invalid_content_type", "sts-policy-fetch-error"),
        ("version: STSv1\n", None, "invalid_sts_mode", "sts-policy-invalid"),
        ("", None, "invalid_sts_version", "sts-policy-invalid"),
        (GOOD + "x" * 65536, None, "policy_too_large", "sts-policy-fetch-error"),
    ],
)
async def test_what_is_no_policy(
    finder: PolicyFinder,
    world: World,
    body: str,
    headers: dict[str, str] | None,
    code: str,
    failure: str,
) -> None:
    site = world.policy_host(D, body)
    if headers is not None:
        site.headers = headers
    found = await finder.find(D)
    assert found.policy.error is not None
    assert found.policy.error.code == code
    assert [one.failure for one in found.findings] == [failure]


@pytest.mark.parametrize("fault", ["expired", "wrong name", "self-signed", "no SAN"])
async def test_sts_42_the_certificate_must_be_the_policy_hosts(
    finder: PolicyFinder, world: World, fault: str
) -> None:
    name, issue = "mta-sts.d.test", world.ca.issue
    certificate = {
        "expired": lambda: issue([name], expired=True),
        "wrong name": lambda: issue(["mta-sts.prov.test"]),
        "self-signed": lambda: issue([name], self_signed=True),
        "no SAN": lambda: issue([], common_name=name),
    }[fault]()
    world.policy_host(D, GOOD, certificate=certificate)
    found = await finder.find(D)
    assert found.policy.error is not None
    assert found.policy.error.code == "webpki_invalid"
    (finding,) = found.findings
    assert finding.failure == "sts-webpki-invalid"
    assert finding.handshake is not None
    assert finding.handshake.certificate is not None
    shown = ("mta-sts.prov.test",) if fault == "wrong name" else (name,)
    assert finding.handshake.certificate.names == (() if fault == "no SAN" else shown)


async def test_sts_49_the_whole_transfer_has_a_deadline(
    world: World, table: PolicyTable, clock: SetClock
) -> None:
    world.policy_host(D, GOOD).hang = "body"
    settings = FetchSettings(0.3, world.https_port, [ip_network("127.0.0.0/8")], world.ca_file)
    found = await finder_in(world, table, clock, settings).find(D)
    assert found.policy.error is not None
    assert found.policy.error.code == "HTTP_SOCKET_TIMEOUT"


async def test_sts_55_internal_addresses_are_refused(
    world: World, table: PolicyTable, clock: SetClock
) -> None:
    site = world.policy_host(D, GOOD)
    settings = FetchSettings(5.0, world.https_port, [], world.ca_file)
    found = await finder_in(world, table, clock, settings).find(D)
    assert found.policy.error is not None
    assert found.policy.error.code == "unsafe_address"
    assert not site.requests


@pytest.mark.parametrize(("fault", "code"), [("NXDOMAIN", "ENOTFOUND"), ("SERVFAIL", "dns_error")])
async def test_the_policy_host_must_be_found(
    finder: PolicyFinder, world: World, fault: str, code: str
) -> None:
    world.policy_host(D, GOOD)
    for kind in ("A", "AAAA"):
        world.dns.fail("mta-sts.d.test", kind, fault)  # type: ignore[arg-type]
    found = await finder.find(D)
    assert found.policy.error is not None
    assert found.policy.error.code == code


async def test_sts_51_a_failure_is_remembered_and_a_new_id_overrides_it(
    world: World, table: PolicyTable, clock: SetClock
) -> None:
    site = world.policy_host(D, GOOD, id="1")
    answer(site, 503)
    first = await finder_in(world, table, clock).find(D)
    # another process on the same storage: no memory of its own
    again = await finder_in(world, table, clock).find(D)
    assert again.result.as_dict() == first.result.as_dict()
    assert again.findings == ()
    assert len(site.requests) == 1
    answer(site, 200)
    world.policy_host(D, GOOD, id="2")
    assert (await finder_in(world, table, clock).find(D)).result.status == "found"


@pytest.mark.parametrize(
    "trouble", ["gone", "SERVFAIL", "two records", "404", "garbage", "expired"]
)
async def test_sts_62_and_69_a_live_policy_outlives_any_trouble(
    world: World, table: PolicyTable, clock: SetClock, trouble: str
) -> None:
    site = world.policy_host(D, GOOD, id="1")
    before = (await finder_in(world, table, clock).find(D)).policy
    kept = table.load(D)
    _make(world, site, trouble)
    clock.ahead = 3600
    found = await finder_in(world, table, clock).find(D)
    assert found.result.status == "errored"
    assert found.policy.error is not None
    assert replace(found.policy, error=None) == before
    after = table.load(D)
    assert kept is not None
    assert after is not None
    assert replace(after, failure=None) == kept


def _make(world: World, site: Site, trouble: str) -> None:
    name = "_mta-sts.d.test"
    match trouble:
        case "gone":
            world.dns.remove(name, "TXT")
        case "SERVFAIL":
            world.dns.fail(name, "TXT", "SERVFAIL")
        case "two records":
            world.dns.replace(name, "TXT", "v=STSv1; id=1;", "v=STSv1; id=2;")
        case "404":
            world.policy_host(D, GOOD, id="2")
            site.status = 404
        case "garbage":
            world.policy_host(D, "\x00\xff", id="2")
        case "expired":
            bad = world.ca.issue(["mta-sts.d.test"], expired=True)
            world.policy_host(D, GOOD, id="2", certificate=bad)


async def test_sts_70_and_60_the_cache_survives_and_ends(
    world: World, table: PolicyTable, clock: SetClock
) -> None:
    world.policy_host(D, GOOD)
    await finder_in(world, table, clock).find(D)
    world.dns.fail("_mta-sts.d.test", "TXT", "TIMEOUT")
    clock.ahead = 864000 - 100
    assert (await finder_in(world, table, clock).find(D)).policy.mode == "enforce"
    clock.ahead = 864000 + 1
    assert (await finder_in(world, table, clock).find(D)).policy.mode == "none"


async def test_sts_75_a_new_policy_replaces_a_stricter_one(
    world: World, table: PolicyTable, clock: SetClock
) -> None:
    world.policy_host(D, GOOD, id="1")
    await finder_in(world, table, clock).find(D)
    world.policy_host(D, GOOD.replace("enforce", "testing"), id="2")
    found = await finder_in(world, table, clock).find(D)
    assert (found.policy.id, found.policy.mode) == ("2", "testing")


async def test_refresh_fetches_whatever_the_cache_says(finder: PolicyFinder, world: World) -> None:
    site = world.policy_host(D, GOOD)
    await finder.find(D)
    assert (await finder.find(D, refresh=True)).result.status == "found"
    assert len(site.requests) == 2


async def test_sts_61_the_same_id_needs_one_fetch(
    world: World, table: PolicyTable, clock: SetClock
) -> None:
    site = world.policy_host(D, GOOD)
    finder = finder_in(world, table, clock)
    for number in range(1000):
        clock.ahead = number * 80.0  # not a day in all
        assert (await finder.find(D)).policy.mode == "enforce"
    assert len(site.requests) == 1


async def test_sts_51_a_hundred_messages_in_a_minute_make_one_request(
    world: World, table: PolicyTable, clock: SetClock
) -> None:
    site = world.policy_host(D, GOOD)
    answer(site, 503)
    finder = finder_in(world, table, clock)
    found = []
    for number in range(100):
        clock.ahead = number * 0.6
        found.append(await finder.find(D))
    assert len(site.requests) == 1
    assert {one.result.status for one in found} == {"errored"}
    assert sum(len(one.findings) for one in found) == 1


async def test_sts_51_each_id_waits_for_itself(
    world: World, table: PolicyTable, clock: SetClock
) -> None:
    """Nameservers that do not agree give now one id and now another."""
    site = world.policy_host(D, GOOD)
    answer(site, 503)
    next_tries: dict[object, set[str]] = {"1": set(), "2": set(), "3": set()}
    for number in range(30):
        clock.ahead = number * 5.0
        world.policy_host(D, GOOD, id="123"[number % 3])
        policy = (await finder_in(world, table, clock).find(D)).policy.as_dict()
        next_tries[policy["id"]].add(policy["expires"])
    assert len(site.requests) == 3
    assert [len(told) for told in next_tries.values()] == [1, 1, 1]
    clock.ahead = 301.0
    world.policy_host(D, GOOD, id="2")
    await finder_in(world, table, clock).find(D)
    world.policy_host(D, GOOD, id="1")
    await finder_in(world, table, clock).find(D)
    assert len(site.requests) == 4


async def test_sts_06_an_id_in_other_case_is_another(
    world: World, table: PolicyTable, clock: SetClock
) -> None:
    site = world.policy_host(D, GOOD, id="AB")
    assert (await finder_in(world, table, clock).find(D)).policy.id == "AB"
    world.policy_host(D, GOOD, id="ab")
    found = await finder_in(world, table, clock).find(D)
    assert (found.policy.id, found.result.status) == ("ab", "found")
    assert len(site.requests) == 2


async def test_sts_11_the_policy_host_is_not_the_records(
    world: World, table: PolicyTable, clock: SetClock
) -> None:
    site = world.policy_host(D, GOOD)
    theirs = world.policy_host("prov.test", GOOD, id="theirs")
    world.dns.remove("_mta-sts.d.test", "TXT")
    world.dns.add("_mta-sts.d.test", "CNAME", "_mta-sts.prov.test.")
    assert (await finder_in(world, table, clock).find(D)).policy.id == "theirs"
    assert (len(site.requests), len(theirs.requests)) == (1, 0)


async def test_sts_17_trouble_is_not_kept_as_absence(finder: PolicyFinder, world: World) -> None:
    world.policy_host(D, GOOD)
    world.dns.fail("_mta-sts.d.test", "TXT", "SERVFAIL")
    found = await finder.find(D)
    assert (found.result.status, found.policy.mode) == ("errored", "none")
    assert [one.failure for one in found.findings] == ["sts-policy-fetch-error"]
    assert (await finder.find(D)).findings == ()
    world.dns.restore("_mta-sts.d.test", "TXT")
    assert (await finder.find(D)).policy.mode == "enforce"


async def test_sts_68_mode_none_replaces_and_then_rests(
    world: World, table: PolicyTable, clock: SetClock
) -> None:
    world.policy_host(D, GOOD, id="1")
    await finder_in(world, table, clock).find(D)
    world.policy_host(D, GOOD.replace("enforce", "none"), id="2")
    assert (await finder_in(world, table, clock).find(D)).policy.mode == "none"
    world.dns.remove("_mta-sts.d.test", "TXT")
    found = await finder_in(world, table, clock).find(D)
    assert (found.policy.mode, found.findings) == ("none", ())


async def test_sts_71_the_id_seen_before_the_fetch_is_kept(
    world: World, table: PolicyTable, clock: SetClock
) -> None:
    world.policy_host(D, GOOD, id="1")
    resolver = DnsResolver([world.dns.address], 2.0, clock)
    settings = FetchSettings(5.0, world.https_port, [ip_network("127.0.0.0/8")], world.ca_file)
    fetcher = PolicyFetcher(resolver, settings)

    async def slow(domain: Domain) -> bytes:
        world.policy_host(D, GOOD.replace("mx.", "new."), id="2")
        return await fetcher.fetch(domain)

    racing = PolicyFinder(resolver, table, slow, clock)
    found = await racing.find(D)
    assert (found.policy.id, found.policy.mx) == ("1", ("new.d.test",))
    # the next look at DNS, by whomever, sees another id
    again = await finder_in(world, table, clock).find(D)
    assert (again.result.status, again.policy.id) == ("found", "2")


async def test_sts_73_max_age_0_serves_the_delivery_in_hand(
    world: World, table: PolicyTable, clock: SetClock
) -> None:
    site = world.policy_host(D, GOOD.replace("864000", "0"))
    for count in (1, 2):
        found = await finder_in(world, table, clock).find(D)
        assert (found.result.status, found.policy.mode) == ("found", "enforce")
        assert found.snapshot is not None
        assert len(site.requests) == count
    site.status = 503
    assert (await finder_in(world, table, clock).find(D)).policy.mode == "none"


async def test_sts_76_and_60_an_unchanged_id_does_not_make_it_live_longer(
    world: World, table: PolicyTable, clock: SetClock
) -> None:
    site = world.policy_host(D, GOOD)
    end = (await finder_in(world, table, clock).find(D)).policy.expires
    site.status = 503
    for day in range(1, 10):
        clock.ahead = day * 86400.0
        found = await finder_in(world, table, clock).find(D)
        assert (found.policy.mode, found.policy.expires) == ("enforce", end)
    clock.ahead = 864000 + 1
    found = await finder_in(world, table, clock).find(D)
    assert found.policy.mode == "none"
    assert found.policy.error is not None
    assert found.policy.error.code == "http_status_503"


async def test_many_are_found_a_few_at_a_time(finder: PolicyFinder, world: World) -> None:
    names = [Domain(f"d{number}.test") for number in range(9)]
    for name in names[:8]:
        world.policy_host(name, GOOD)
    found = [one async for one in finder.find_all(names, at_once=3)]
    assert sorted(name for name, _ in found) == names
    assert {one.result.status for name, one in found if name in names[:8]} == {"found"}
    assert {one.result.status for name, one in found if name not in names[:8]} == {"not_found"}
    assert [one async for one in finder.find_all([])] == []


async def test_sts_72_a_refresh_joins_the_fetch_under_way(
    finder: PolicyFinder, world: World
) -> None:
    site = world.policy_host(D, GOOD)
    found = await asyncio.gather(*(finder.find(D, refresh=bool(n % 2)) for n in range(20)))
    assert {one.result.status for one in found} == {"found"}
    assert len(site.requests) == 1


async def test_sts_71_who_sees_a_new_id_does_not_take_the_old_body(
    world: World, table: PolicyTable, clock: SetClock
) -> None:
    site = world.policy_host(D, GOOD, id="1")
    site.pace = 0.002
    finder = finder_in(world, table, clock)
    first = asyncio.ensure_future(finder.find(D))
    await site.requested(1)
    site.pace = 0.0
    world.policy_host(D, GOOD.replace("enforce", "testing"), id="2")
    clock.ahead = 301.0  # the TXT answer has become stale
    second = await finder.find(D)
    assert (second.policy.id, second.policy.mode) == ("2", "testing")
    assert (await first).policy.id == "1"


async def test_sts_64_an_older_record_does_not_undo_what_another_process_fetched(
    world: World, table: PolicyTable, clock: SetClock
) -> None:
    world.policy_host(D, GOOD, id="1")
    here, there = finder_in(world, table, clock), finder_in(world, table, clock)
    await here.find(D)
    clock.ahead = 1.0
    site = world.policy_host(D, GOOD.replace("enforce", "testing"), id="2")
    assert (await there.find(D)).policy.id == "2"
    fetched = len(site.requests)
    # its own memory of the record would last for minutes
    found = await here.find(D)
    assert (found.result.status, found.policy.id) == ("renewed", "2")
    assert len(site.requests) == fetched


async def test_sts_64_a_record_that_goes_back_counts(
    world: World, table: PolicyTable, clock: SetClock
) -> None:
    world.policy_host(D, GOOD, id="2")
    finder = finder_in(world, table, clock)
    await finder.find(D)
    world.policy_host(D, GOOD, id="1")
    clock.ahead = 301.0
    assert (await finder.find(D)).policy.id == "1"


async def test_who_asks_on_is_told_what_failed_though_the_first_has_gone(
    finder: PolicyFinder, world: World
) -> None:
    site = world.policy_host(D, GOOD)
    site.status, site.pace = 200, 0.002
    site.body = b"no policy"
    first, second = (asyncio.ensure_future(finder.find(D)) for _ in range(2))
    await site.requested(1)
    first.cancel()
    assert [one.failure for one in (await second).findings] == ["sts-policy-invalid"]
    assert len(site.requests) == 1


async def test_what_failed_is_forgotten_when_the_record_is_well_again(
    world: World, table: PolicyTable, clock: SetClock
) -> None:
    world.policy_host(D, GOOD)
    await finder_in(world, table, clock).find(D)
    world.dns.fail("_mta-sts.d.test", "TXT", "SERVFAIL")
    counts = []
    for hour in range(1, 4):
        clock.ahead = hour * 3600.0
        await finder_in(world, table, clock).find(D)
        kept = table.load(D)
        assert kept is not None
        assert kept.failure is not None
        counts.append((kept.failure.code, kept.failure.count))
    assert counts == [("dns_error", 1), ("dns_error", 2), ("dns_error", 3)]
    world.dns.restore("_mta-sts.d.test", "TXT")
    clock.ahead = 4 * 3600.0
    assert (await finder_in(world, table, clock).find(D)).result.status == "renewed"
    kept = table.load(D)
    assert kept is not None
    assert kept.failure is None


async def test_sts_69_trouble_with_the_record_leaves_the_back_off_of_an_id(
    world: World, table: PolicyTable, clock: SetClock
) -> None:
    site = world.policy_host(D, GOOD, id="1")
    answer(site, 503)
    await finder_in(world, table, clock).find(D)
    world.dns.fail("_mta-sts.d.test", "TXT", "SERVFAIL")
    found = await finder_in(world, table, clock).find(D)
    assert found.policy.error is not None
    assert found.policy.error.code == "dns_error"
    world.dns.restore("_mta-sts.d.test", "TXT")
    found = await finder_in(world, table, clock).find(D)
    assert found.policy.error is not None
    assert found.policy.error.code == "http_status_503"
    assert len(site.requests) == 1


async def test_trouble_with_the_record_is_told_once_however_many_ask(
    world: World, table: PolicyTable, clock: SetClock
) -> None:
    world.dns.fail("_mta-sts.d.test", "TXT", "SERVFAIL")
    finders = [finder_in(world, table, clock) for _ in range(2)]
    found = await asyncio.gather(*(one.find(D) for one in finders * 20))
    assert [one.failure for each in found for one in each.findings] == ["sts-policy-fetch-error"]
    kept = table.load(D)
    assert kept is not None
    assert kept.failure is not None
    assert kept.failure.count == 1


@pytest.mark.parametrize("status", [200, 503])
async def test_what_the_storage_cannot_keep_is_used_all_the_same(
    world: World,
    table: PolicyTable,
    clock: SetClock,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    status: int,
) -> None:
    answer(world.policy_host(D, GOOD), status)
    with closing(sqlite3.connect(tmp_path / "policies.db")) as db:
        db.execute(
            "CREATE TRIGGER full BEFORE INSERT ON policy BEGIN SELECT RAISE(ABORT, 'full'); END"
        )
        db.commit()
    found = await finder_in(world, table, clock).find(D)
    assert found.result.status == ("found" if status == 200 else "errored")
    assert found.policy.mode == ("enforce" if status == 200 else "none")
    assert "d.test" in caplog.text
    assert "full" in caplog.text
