"""The record of a domain over real DNS: which name is asked for, and what each answer means."""

import dns.asyncresolver
import dns.name
import pytest

from relay.address import parse_domain
from relay.clock import SystemClock
from relay.lab.dns import Fault
from relay.lab.world import World
from relay.mta_sts.discover import discover
from relay.resolver import DnsResolver

D = parse_domain("d.test")
RECORD = "_mta-sts.d.test"


@pytest.fixture
def resolver(world: World) -> DnsResolver:
    return DnsResolver([world.dns.address], 1.0, SystemClock())


async def test_sts_01_one_question_for_the_a_labels(world: World, resolver: DnsResolver) -> None:
    world.dns.add("_mta-sts.xn--bcher-kva.test", "TXT", "v=STSv1; id=a")
    assert (await discover(resolver, parse_domain("bücher.test"))).id == "a"
    assert world.dns.queries == [("_mta-sts.xn--bcher-kva.test", "TXT")]


async def test_sts_01_no_search_list(world: World) -> None:
    stub = dns.asyncresolver.Resolver(configure=False)
    stub.nameservers, stub.port = [world.dns.address[0]], world.dns.address[1]
    stub.search = [dns.name.from_text("corp.test")]
    stub.domain, stub.use_search_by_default = dns.name.from_text("corp.test"), True
    world.dns.add(f"{RECORD}.corp.test", "TXT", "v=STSv1; id=trap")
    found = await discover(DnsResolver(None, 1.0, SystemClock(), stub=stub), D)
    assert found.id is None
    assert world.dns.queries == [(RECORD, "TXT")]


async def test_sts_02_strings_are_joined(world: World, resolver: DnsResolver) -> None:
    world.dns.add(RECORD, "TXT", [b"v=STSv1; id=2024", b"0602;"])
    assert (await discover(resolver, D)).id == "20240602"


async def test_sts_03_several_are_an_error(world: World, resolver: DnsResolver) -> None:
    world.dns.add(RECORD, "TXT", "v=STSv1; id=a", "v=STSv1;")
    error = (await discover(resolver, D)).error
    assert error is not None
    assert error.code == "multi_sts_records"


async def test_sts_11_an_alias_is_followed(world: World, resolver: DnsResolver) -> None:
    world.dns.add(RECORD, "CNAME", "_mta-sts.prov.test.")
    world.dns.add("_mta-sts.prov.test", "TXT", "v=STSv1; id=theirs", "something else")
    assert (await discover(resolver, D)).id == "theirs"


async def test_sts_13_parents_are_not_asked(world: World, resolver: DnsResolver) -> None:
    world.dns.add("_mta-sts.test", "TXT", "v=STSv1; id=a")
    assert (await discover(resolver, D)).id is None
    assert world.dns.queries == [(RECORD, "TXT")]


async def test_sts_16_an_alias_of_the_domain_itself_is_no_matter(
    world: World, resolver: DnsResolver
) -> None:
    world.dns.add("d.test", "CNAME", "e.test.")
    world.dns.add("_mta-sts.e.test", "TXT", "v=STSv1; id=theirs")
    assert (await discover(resolver, D)).id is None
    assert world.dns.queries == [(RECORD, "TXT")]


@pytest.mark.parametrize(
    ("records", "code"),
    [
        pytest.param(None, "ENOTFOUND", id="STS-17: NXDOMAIN"),
        pytest.param([], "ENODATA", id="STS-17: NODATA"),
        pytest.param(["spf", "dkim"], "ENODATA", id="STS-04: others only"),
        pytest.param(["v=STSv1; id=a-b"], "ENODATA", id="STS-04: bad syntax"),
    ],
)
async def test_absence(
    world: World, resolver: DnsResolver, records: list[str] | None, code: str
) -> None:
    if records is not None:
        world.dns.add(RECORD, "A", "192.0.2.1")
    if records:
        world.dns.add(RECORD, "TXT", *records)
    found = await discover(resolver, D)
    assert (found.id, found.error) == (None, None)
    assert found.absence is not None
    assert found.absence.code == code


@pytest.mark.parametrize("fault", ["SERVFAIL", "REFUSED", "TIMEOUT", "GARBAGE"])
async def test_sts_17_nobody_knows(world: World, resolver: DnsResolver, fault: Fault) -> None:
    world.dns.add(RECORD, "TXT", "v=STSv1; id=a")
    world.dns.fail(RECORD, "TXT", fault)
    found = await discover(resolver, D)
    assert (found.id, found.absence) == (None, None)
    assert found.error is not None
    assert found.error.code == "dns_error"
    world.dns.restore(RECORD, "TXT")
    assert (await discover(resolver, D)).id == "a"


async def test_sts_17_a_name_too_long_for_dns_is_not_there(
    world: World, resolver: DnsResolver
) -> None:
    found = await discover(resolver, parse_domain("a." * 122 + "d.test"))
    assert found.absence is not None
    assert found.absence.code == "ENOTFOUND"
    assert world.dns.queries == []
