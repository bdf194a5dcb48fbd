"""get_policy for programs that keep policies themselves, over real DNS and HTTPS."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import dns.asyncresolver
import httpx
import pytest

from relay.address import AddressError
from relay.clock import SystemClock
from relay.lab.world import World
from relay.mta_sts import get_policy
from relay.resolver import DnsResolver
from tests.mta_sts.finding import LabTransport

GOOD = "version: STSv1\nmode: enforce\nmx: MX.d.test\nmax_age: 864000\n"


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=LabTransport(world)) as client:
        yield client


@pytest.fixture
def resolver(world: World) -> DnsResolver:
    return DnsResolver([world.dns.address], 2.0, SystemClock())


async def test_found_renewed_and_a_new_id(
    world: World, resolver: DnsResolver, client: httpx.AsyncClient
) -> None:
    site = world.policy_host("d.test", GOOD, id="A1")
    first = await get_policy("D.test", resolver=resolver, client=client)
    shown = first.as_dict()
    assert first.policy.expires is not None
    expires = shown["policy"].pop("expires")
    assert expires.endswith("Z")
    assert shown == {
        "policy": {
            "id": "A1",
            "version": "STSv1",
            "mode": "enforce",
            "mx": ["mx.d.test"],
            "maxAge": 864000,
        },
        "status": "found",
    }
    again = await get_policy("d.test", first.policy, resolver=resolver, client=client)
    assert again.status == "renewed"
    assert again.policy == first.policy
    assert len(site.requests) == 1
    old = replace(first.policy, id="A0")
    assert (await get_policy("d.test", old, resolver=resolver, client=client)).status == "found"
    stale = replace(first.policy, expires=first.policy.expires - timedelta(days=11))
    assert (await get_policy("d.test", stale, resolver=resolver, client=client)).status == "found"


async def test_a_failure_is_kept_and_not_repeated(
    world: World, resolver: DnsResolver, client: httpx.AsyncClient
) -> None:
    site = world.policy_host("d.test", GOOD, id="A1")
    site.status = 503
    first = await get_policy("d.test", resolver=resolver, client=client)
    assert first.status == "errored"
    assert set(first.as_dict()["policy"]) == {"id", "mode", "expires", "error"}
    again = await get_policy("d.test", first.policy, resolver=resolver, client=client)
    assert again.as_dict() == first.as_dict()
    assert len(site.requests) == 1


async def test_a_known_policy_outlives_trouble(
    world: World, resolver: DnsResolver, client: httpx.AsyncClient
) -> None:
    site = world.policy_host("d.test", GOOD, id="A1")
    known = (await get_policy("d.test", resolver=resolver, client=client)).policy
    site.status = 404
    older = replace(known, id="A0")
    result = await get_policy("d.test", older, resolver=resolver, client=client)
    assert result.status == "errored"
    assert (result.policy.mode, result.policy.id) == ("enforce", "A0")
    assert result.policy.error is not None
    assert result.policy.error.code == "http_status_404"


async def test_no_record_is_not_found(resolver: DnsResolver, client: httpx.AsyncClient) -> None:
    result = await get_policy("d.test", resolver=resolver, client=client)
    assert result.as_dict() == {"policy": {"id": False, "mode": "none"}, "status": "not_found"}


async def test_an_internal_policy_host_is_refused_without_a_client_of_ones_own(
    world: World, resolver: DnsResolver
) -> None:
    site = world.policy_host("d.test", GOOD)
    result = await get_policy("d.test", resolver=resolver)
    assert result.policy.error is not None
    assert result.policy.error.code == "unsafe_address"
    assert not site.requests


async def test_a_text_that_is_no_domain(resolver: DnsResolver) -> None:
    with pytest.raises(AddressError):
        await get_policy("no domain", resolver=resolver)


async def test_sts_01_a_final_dot_and_case_do_not_count(
    world: World, resolver: DnsResolver, client: httpx.AsyncClient
) -> None:
    world.policy_host("d.test", GOOD)
    result = await get_policy("D.test.", resolver=resolver, client=client)
    assert result.status == "found"


async def test_a_resolver_of_dnspython_will_do(world: World, client: httpx.AsyncClient) -> None:
    world.policy_host("d.test", GOOD)
    stub = dns.asyncresolver.Resolver(configure=False)
    stub.nameservers, stub.port = [world.dns.address[0]], world.dns.address[1]
    assert (await get_policy("d.test", resolver=stub, client=client)).status == "found"
