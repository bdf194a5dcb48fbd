"""Every error code by a real fault of the lab, from the finder and from get_policy, key by key."""

from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

import httpx
import pytest

from relay.db.policies import PolicyTable
from relay.lab.policy_host import Site
from relay.lab.world import World
from relay.mta_sts import get_policy, lookup
from relay.mta_sts.fetch import FetchSettings
from relay.mta_sts.finder import PolicyFinder
from relay.mta_sts.freshness import BACK_OFF
from relay.resolver import DnsResolver
from tests.mta_sts.finding import GOOD, LOOPBACK, D, LabTransport, SetClock, finder_in

TXT, HOST = "_mta-sts.d.test", "mta-sts.d.test"
LIVE = {
    "id": "old",
    "version": "STSv1",
    "mode": "enforce",
    "mx": ["mx.d.test"],
    "maxAge": 864000,
}


class Fault(NamedTuple):
    """What goes wrong; `id` is that of the failed look-up, False where none was had."""

    code: str
    make: Callable[[World, Site], object]
    id: str | bool = "new"


def with_site(**changes: Any) -> Callable[[World, Site], None]:
    def make(_: World, site: Site) -> None:
        for name, value in changes.items():
            setattr(site, name, value)

    return make


def body(text: str) -> Callable[[World, Site], None]:
    return with_site(body=text.encode())


def fail_host(fault: Any) -> Callable[[World, Site], None]:
    def make(world: World, _: Site) -> None:
        for kind in ("A", "AAAA"):
            world.dns.fail(HOST, kind, fault)

    return make


def other_certificate(world: World, site: Site) -> None:
    site.certificate = world.ca.issue(["mta-sts.prov.test"])


FAULTS = [
    Fault("invalid_sts_version", body(GOOD.replace("STSv1", "STSv2"))),
    Fault("invalid_sts_mode", body(GOOD.replace("enforce", "Enforce"))),
    Fault("invalid_sts_max_age", body(GOOD.replace("864000", "31557601"))),
    Fault("invalid_sts_mx", body(GOOD.replace("mx.d", "*mx.d"))),
    Fault("HTTP_SOCKET_TIMEOUT", with_site(hang="headers")),
    Fault("http_status_503", with_site(status=503)),
    Fault("http_status_301", with_site(status=301, headers={"Location": "/x"})),
    Fault("invalid_content_type", with_site(headers={"Content-Type": "text/html"})),
    Fault("policy_too_large", body(GOOD + "x" * 65_536)),
    Fault("http_error", with_site(cut="headers")),
    Fault("webpki_invalid", other_certificate),
]
BEFORE_THE_FETCH = [
    Fault("unsafe_address", lambda world, site: world.dns.replace(HOST, "A", "10.0.0.1")),
    Fault("ENOTFOUND", fail_host("NXDOMAIN")),
    Fault("ENODATA", fail_host("NODATA")),
    Fault("dns_error", fail_host("SERVFAIL")),
]
RECORD = [
    Fault(
        "multi_sts_records",
        lambda world, site: world.dns.replace(TXT, "TXT", "v=STSv1; id=a", "v=STSv1;id=b"),
        id=False,
    ),
    Fault("dns_error", lambda world, site: world.dns.fail(TXT, "TXT", "SERVFAIL"), id=False),
]


def check_failed(shown: dict[str, Any], fault: Fault) -> None:
    """The object of a look-up that failed where no policy is known."""
    policy = shown["policy"]
    expires = ["expires"] if fault.id else []
    assert list(policy) == ["id", "mode", *expires, "error"]
    assert (policy["id"], policy["mode"]) == (fault.id, "none")
    check_error(shown, fault)


def check_kept(shown: dict[str, Any], fault: Fault, before: dict[str, Any]) -> None:
    """The same where one is known and lives."""
    assert list(shown["policy"]) == [*LIVE, "expires", "error"]
    assert shown["policy"] == before["policy"] | {"error": shown["policy"]["error"]}
    assert before["policy"] | LIVE == before["policy"]
    check_error(shown, fault)


def check_error(shown: dict[str, Any], fault: Fault) -> None:
    assert list(shown) == ["policy", "status"]
    assert shown["status"] == "errored"
    error = shown["policy"]["error"]
    assert list(error) == ["message", "code"]
    assert error["code"] == fault.code
    assert error["message"]


def named(faults: list[Fault]) -> list[Any]:
    return [pytest.param(one, id=f"{one.code} {one.id}") for one in faults]


Another = Callable[..., PolicyFinder]


@pytest.fixture
def another(world: World, table: PolicyTable, clock: SetClock) -> Another:
    """A finder of another process on the same storage; it may be told which fault it will meet."""

    def make(fault: Fault | None = None) -> PolicyFinder:
        settings = FetchSettings(patience(fault), world.https_port, LOOPBACK, world.ca_file)
        return finder_in(world, table, clock, settings)

    return make


def patience(fault: Fault | None) -> float:
    """Seconds for a fetch: as many as a busy machine needs where it is not the time that fails."""
    return 0.3 if fault and fault.code == "HTTP_SOCKET_TIMEOUT" else 20.0


@pytest.mark.parametrize("known", [False, True], ids=["nothing known", "a policy lives"])
@pytest.mark.parametrize("fault", named(FAULTS + BEFORE_THE_FETCH + RECORD))
async def test_sts_51_sts_62_the_finder_answers_and_keeps_each_failure(
    world: World,
    clock: SetClock,
    another: Another,
    fault: Fault,
    known: bool,
) -> None:
    site = world.policy_host(D, GOOD, id="old")
    before = (await another().find(D)).result.as_dict() if known else {}
    world.policy_host(D, GOOD, id="new")
    fault.make(world, site)
    first = await another(fault).find(D)
    shown = first.result.as_dict()
    if known:
        check_kept(shown, fault, before)
    else:
        check_failed(shown, fault)
    assert [one.action for one in first.findings] == ["noted"]
    asked = len(site.requests)
    again = await another(fault).find(D)
    assert again.result.as_dict() == shown
    assert again.findings == ()
    assert len(site.requests) == asked
    clock.ahead = BACK_OFF + 1
    later = await another(fault).find(D)
    assert later.result.status == "errored"
    assert len(later.findings) == 1
    assert (first.policy.error and first.policy.error.code) == fault.code


@pytest.mark.parametrize(
    "fault", [pytest.param(one, id=one.code) for one in FAULTS if one.code != "webpki_invalid"]
)
async def test_refresh_overrides_the_back_off(world: World, another: Another, fault: Fault) -> None:
    site = world.policy_host(D, GOOD, id="new")
    fault.make(world, site)
    await another(fault).find(D)
    asked = len(site.requests)
    shown = (await another(fault).find(D, refresh=True)).result.as_dict()
    check_failed(shown, fault)
    assert len(site.requests) == asked + 1


@pytest.mark.parametrize("absence", ["ENOTFOUND", "ENODATA"])
async def test_a_record_that_is_gone(
    world: World, clock: SetClock, another: Another, absence: str
) -> None:
    world.policy_host(D, GOOD, id="old")
    before = (await another().find(D)).result.as_dict()
    if absence == "ENOTFOUND":
        world.dns.remove(TXT, "TXT")
    else:
        world.dns.replace(TXT, "TXT", "v=STSv2; id=old")
    check_kept((await another().find(D)).result.as_dict(), Fault(absence, body("")), before)
    clock.ahead = 864_001
    shown = (await another().find(D)).result.as_dict()
    assert shown == {"policy": {"id": False, "mode": "none"}, "status": "not_found"}


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=LabTransport(world)) as client:
        yield client


@pytest.mark.parametrize("known", [False, True], ids=["nothing known", "a policy lives"])
@pytest.mark.parametrize("fault", named(FAULTS + BEFORE_THE_FETCH + RECORD))
async def test_get_policy_answers_the_same(
    world: World,
    clock: SetClock,
    client: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    fault: Fault,
    known: bool,
) -> None:
    site = world.policy_host(D, GOOD, id="old")

    async def look_up(policy: Any, *, own: bool = False) -> Any:
        resolver = DnsResolver([world.dns.address], 2.0, clock)
        way = None if own else client
        return await get_policy(D, policy, resolver=resolver, client=way)

    before = await look_up(None) if known else None
    monkeypatch.setattr(lookup, "_FETCH_TIMEOUT", patience(fault))
    world.policy_host(D, GOOD, id="new")
    fault.make(world, site)
    first = await look_up(before and before.policy, own=fault in BEFORE_THE_FETCH)
    if before:
        check_kept(first.as_dict(), fault, before.as_dict())
    else:
        check_failed(first.as_dict(), fault)
    asked = len(site.requests)
    again = await look_up(first.policy)
    assert again.as_dict() == first.as_dict()
    assert len(site.requests) == asked
