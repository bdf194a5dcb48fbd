"""The policy host as httpx sees it, with every fault."""

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator

import httpx
import pytest

from relay.lab.policy_host import PATH, Point, Site
from relay.lab.world import World

NAME = "mta-sts.d.test"
BODY = b"version: STSv1\r\nmode: none\r\nmax_age: 60\r\n"


@pytest.fixture
def site(world: World) -> Site:
    return world.policy_host("d.test", BODY)


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx.AsyncClient]:
    trust = ssl.create_default_context(cafile=world.ca_file)
    base = f"https://127.0.0.1:{world.https_port}"
    async with httpx.AsyncClient(verify=trust, base_url=base, timeout=5.0) as client:
        yield client


def request(client: httpx.AsyncClient, name: str = NAME, path: str = PATH) -> httpx.Request:
    """What a client asks that has resolved the name to loopback."""
    return client.build_request(
        "GET", path, headers={"Host": name}, extensions={"sni_hostname": name}
    )


async def test_a_policy_is_served_under_its_name(
    world: World, site: Site, client: httpx.AsyncClient
) -> None:
    response = await client.send(request(client))
    assert (response.status_code, response.content) == (200, BODY)
    assert response.headers["content-type"] == "text/plain"
    (seen,) = await site.requested(1)
    assert (seen.method, seen.path, seen.host, seen.sni) == ("GET", PATH, NAME, NAME)
    assert seen.headers["user-agent"].startswith("python-httpx")
    assert world.web.snis == [NAME]


async def test_sites_share_the_port_and_not_the_certificate(
    world: World, client: httpx.AsyncClient
) -> None:
    for domain in ("a.test", "b.test"):
        world.policy_host(domain, domain)
    for domain in ("a.test", "b.test"):
        response = await client.send(request(client, f"mta-sts.{domain}"))
        assert response.text == domain


async def test_publishing_again_changes_body_and_id(
    world: World, site: Site, client: httpx.AsyncClient
) -> None:
    assert world.policy_host("d.test", "new", id="2") is site
    assert (await client.send(request(client))).text == "new"


async def test_other_paths_and_other_names_are_not_found(
    site: Site, client: httpx.AsyncClient
) -> None:
    assert (await client.send(request(client, path="/other"))).status_code == 404
    assert [seen.path for seen in site.requests] == ["/other"]
    with pytest.raises(httpx.ConnectError, match="Hostname mismatch"):
        await client.send(request(client, "mta-sts.unknown.test"))


async def test_a_client_without_sni_meets_nobody(world: World) -> None:
    async with httpx.AsyncClient(verify=False) as client:  # noqa: S501 - it shall see the answer
        response = await client.get(f"https://127.0.0.1:{world.https_port}{PATH}")
    assert response.status_code == 404
    assert world.web.snis == [None]


async def test_a_bad_certificate_takes_the_place_of_the_good_one(
    world: World, site: Site, client: httpx.AsyncClient
) -> None:
    site.certificate = world.ca.issue([NAME], expired=True)
    with pytest.raises(httpx.ConnectError, match="certificate has expired"):
        await client.send(request(client))
    assert not site.requests
    site.certificate = world.ca.issue([NAME])
    assert (await client.send(request(client))).status_code == 200


@pytest.mark.parametrize("status", [204, 301, 404, 418, 500, 599])
async def test_any_status_and_header_can_be_had(
    site: Site, client: httpx.AsyncClient, status: int
) -> None:
    site.status, site.headers = status, {"Location": "https://elsewhere.test/", "X-A": "ü"}
    site.body = b""
    response = await client.send(request(client), follow_redirects=False)
    assert (response.status_code, response.headers["location"]) == (
        status,
        "https://elsewhere.test/",
    )
    assert "content-type" not in response.headers


async def test_a_compressed_body_is_headers_and_body(site: Site, client: httpx.AsyncClient) -> None:
    site.headers["Content-Encoding"] = "gzip"
    site.body = gzip.compress(bytes(10_000_000))
    assert len((await client.send(request(client))).content) == 10_000_000


@pytest.mark.parametrize("pace", [0.0, 0.0001])
@pytest.mark.parametrize(
    ("framing", "header"),
    [("length", "content-length"), ("chunked", "transfer-encoding"), ("close", None)],
)
@pytest.mark.parametrize("body", [BODY, b"x", b""])
async def test_the_body_ends_as_it_is_framed(
    site: Site,
    client: httpx.AsyncClient,
    framing: str,
    header: str | None,
    pace: float,
    body: bytes,
) -> None:
    site.framing, site.pace, site.body = framing, pace, body  # type: ignore[assignment]
    response = await client.send(request(client))
    assert response.content == body
    assert {"content-length", "transfer-encoding"} & set(response.headers) == {header} - {None}


async def test_an_endless_body_does_not_end(site: Site, client: httpx.AsyncClient) -> None:
    site.framing = "endless"
    response = await client.send(request(client), stream=True)
    seen = 0
    async for part in response.aiter_raw():
        seen += len(part)
        if seen > 100 * len(BODY):
            break
    await response.aclose()
    assert seen > 100 * len(BODY)


@pytest.mark.parametrize("point", ["headers", "body"])
async def test_a_cut_ends_the_connection_too_early(
    site: Site, client: httpx.AsyncClient, point: Point
) -> None:
    site.cut = point
    with pytest.raises(httpx.RemoteProtocolError):
        await client.send(request(client))


@pytest.mark.parametrize("point", ["headers", "body"])
async def test_a_hang_keeps_the_connection_and_says_nothing(
    site: Site, client: httpx.AsyncClient, point: Point
) -> None:
    site.hang = point
    asking = asyncio.ensure_future(client.send(request(client)))
    await site.requested(1)
    done, _ = await asyncio.wait([asking], timeout=0.05)
    assert not done
    asking.cancel()


async def test_a_world_ends_while_clients_hang() -> None:
    async with httpx.AsyncClient(verify=False) as client:  # noqa: S501 - any certificate will do
        async with World.start() as world:
            site = world.policy_host("d.test", BODY)
            site.hang = "body"
            url = f"https://127.0.0.1:{world.https_port}{PATH}"
            asking = asyncio.ensure_future(client.get(url, headers={"Host": NAME}))
            await site.requested(1)
        with pytest.raises(httpx.TransportError):
            await asking


async def test_waiting_for_a_request_that_never_comes_says_so(site: Site) -> None:
    with pytest.raises(TimeoutError, match=r"0 of 1 after 0\.01 s"):
        await site.requested(1, timeout=0.01)
