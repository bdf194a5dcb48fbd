"""Fetching the policy file from real HTTPS hosts: what is taken, what is not, and why."""

import asyncio
import contextlib
import gzip
import socket
import ssl
from ipaddress import ip_network
from typing import Any

import pytest

from relay.address import Domain
from relay.clock import SystemClock
from relay.lab.ca import Certificate
from relay.lab.policy_host import PATH, Site
from relay.lab.streams import serving
from relay.lab.world import World
from relay.mta_sts import MtaStsError, fetch
from relay.mta_sts.fetch import FetchSettings, PolicyFetcher
from relay.resolver import DnsResolver

D = Domain("d.test")
HOST = "mta-sts.d.test"
BODY = "version: STSv1\nmode: enforce\nmx: mx.d.test\nmax_age: 864000\n"
LOOPBACK = [ip_network("127.0.0.0/8")]
PLAIN = {"Content-Type": "text/plain"}


def fetcher(world: World, *, timeout: float = 5.0, port: int = 0, **settings: Any) -> PolicyFetcher:
    given: dict[str, Any] = {"allow_internal": LOOPBACK, "ca_file": world.ca_file} | settings
    resolver = DnsResolver([world.dns.address], 2.0, SystemClock())
    return PolicyFetcher(resolver, FetchSettings(timeout, port or world.https_port, **given))


async def fetched(world: World, **settings: Any) -> str:
    """The body, or the code of the error."""
    try:
        return (await fetcher(world, **settings).fetch(D)).decode()
    except MtaStsError as error:
        return error.code


async def test_sts_40_and_41_the_request(world: World) -> None:
    site = world.policy_host(D, BODY)
    assert await fetched(world) == BODY
    (request,) = site.requests
    assert (request.method, request.path) == ("GET", "/.well-known/mta-sts.txt")
    assert (request.host, request.sni) == (HOST, HOST)


def test_sts_40_the_port_is_443() -> None:
    assert FetchSettings().port == 443


def certificates(world: World) -> dict[str, Certificate]:
    issue = world.ca.issue
    return {
        "good": issue([HOST]),
        "in capitals": issue([HOST.upper()]),
        "by an intermediate": issue([HOST], intermediate=True),
        "one of several names": issue(["d.test", HOST]),
        "wildcard": issue(["*.d.test"]),
        "expired": issue([HOST], expired=True),
        "not yet valid": issue([HOST], not_yet_valid=True),
        "self-signed": issue([HOST], self_signed=True),
        "foreign root": world.foreign_ca.issue([HOST]),
        "other name": issue(["mta-sts.prov.test"]),
        "the domain": issue(["d.test"]),
        "part of a label": issue(["mta-*.d.test"]),
        "wildcard above": issue(["*.test"]),
        "wildcard below": issue(["*.mta-sts.d.test"]),
        "common name": issue([], common_name=HOST),
        "common name beside": issue(["other.test"], common_name=HOST),
        "address": issue(["127.0.0.1"]),
    }


@pytest.mark.parametrize(
    ("kind", "taken"),
    [
        pytest.param("good", True, id="STS-42 STS-53: in no list of revoked ones"),
        pytest.param("in capitals", True, id="STS-42: case"),
        pytest.param("by an intermediate", True, id="STS-42: intermediate"),
        pytest.param("one of several names", True, id="STS-43: any of the names"),
        pytest.param("wildcard", True, id="STS-43: wildcard"),
        pytest.param("expired", False, id="STS-42: expired"),
        pytest.param("not yet valid", False, id="STS-42: not yet valid"),
        pytest.param("self-signed", False, id="STS-42: self-signed"),
        pytest.param("foreign root", False, id="STS-42: foreign root"),
        pytest.param("other name", False, id="STS-42: other name"),
        pytest.param("the domain", False, id="STS-42: the domain's"),
        pytest.param("part of a label", False, id="STS-43: part of a label"),
        pytest.param("wildcard above", False, id="STS-43: a label too far up"),
        pytest.param("wildcard below", False, id="STS-43: a label too far down"),
        pytest.param("common name", False, id="STS-43: common name only"),
        pytest.param("common name beside", False, id="STS-43: common name beside"),
        pytest.param("address", False, id="STS-42: the address's"),
    ],
)
async def test_certificate(world: World, kind: str, taken: bool) -> None:
    site = world.policy_host(D, BODY, certificate=certificates(world)[kind])
    assert await fetched(world) == (BODY if taken else "webpki_invalid")
    assert bool(site.requests) is taken


@pytest.mark.parametrize("roots", ["ours", "the system's"])
def test_sts_42_and_53_nothing_is_asked_beyond_that(world: World, roots: str) -> None:
    """From 3.13 Python asks for RFC 5280 to the letter, which some roots in use do not keep to."""
    context = fetcher(world, ca_file=world.ca_file if roots == "ours" else None)._context
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT
    assert not context.verify_flags & (ssl.VERIFY_CRL_CHECK_LEAF | ssl.VERIFY_CRL_CHECK_CHAIN)


async def test_sts_44_a_delegated_host_needs_a_certificate_for_the_domain(world: World) -> None:
    site = world.policy_host(D, BODY, certificate=world.ca.issue(["mta-sts.prov.test"]))
    world.dns.remove(HOST, "A")
    world.dns.add(HOST, "CNAME", "mta-sts.prov.test.")
    world.dns.add("mta-sts.prov.test", "A", "127.0.0.1")
    assert await fetched(world) == "webpki_invalid"
    site.certificate = world.ca.issue([HOST])
    assert await fetched(world) == BODY
    assert world.web.snis == [HOST, HOST]


@pytest.mark.parametrize("status", [201, 203, 204, 206, 226, 300, 304, 400, 404, 410, 500, 503])
async def test_sts_45_only_200_counts(world: World, status: int) -> None:
    world.policy_host(D, BODY).status = status
    assert await fetched(world) == f"http_status_{status}"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "target",
    [
        f"https://mta-sts.e.test{PATH}",
        PATH,
        f"//{HOST}{PATH}",
        pytest.param("https://mta-sts.e.test:https/", id="no URL"),
        pytest.param("/\x01", id="no text"),
        pytest.param("/" + "x" * 70_000, id="too long for a URL"),
        pytest.param("", id="nowhere"),
    ],
)
async def test_sts_46_no_redirect_is_followed(world: World, status: int, target: str) -> None:
    site, other = world.policy_host(D, BODY), world.policy_host("e.test", BODY)
    site.status, site.headers = status, {**PLAIN, "Location": target}
    assert await fetched(world) == f"http_status_{status}"
    assert (len(site.requests), len(other.requests)) == (1, 0)


async def test_sts_47_nothing_is_cached(world: World) -> None:
    site = world.policy_host(D, BODY)
    site.headers = {
        **PLAIN, "Cache-Control": "max-age=3600, immutable", "ETag": '"1"',
        "Expires": "Fri, 01 Jan 2100 00:00:00 GMT", "Last-Modified": "Fri, 01 Jan 2021 00:00:00",
    }  # fmt: skip
    one = fetcher(world)
    for _ in range(2):
        assert await one.fetch(D) == BODY.encode()
    first, second = site.requests
    assert first.headers == second.headers
    assert not {name for name in second.headers if name.startswith("if-")}


@pytest.mark.parametrize(
    ("kind", "taken"),
    [
        ("text/plain", True),
        ("Text/Plain; charset=iso-8859-1; x=y", True),
        ("TEXT/PLAIN;", True),
        (" text/plain\t", True),
        ("text/html", False),
        ("text/plainer", False),
        ("text/plain, text/html", False),
        ("application/octet-stream", False),
        ("", False),
        (None, False),
    ],
)
async def test_sts_48_media_type(world: World, kind: str | None, taken: bool) -> None:
    site = world.policy_host(D, BODY)
    site.headers = {} if kind is None else {"Content-Type": kind}
    assert await fetched(world) == (BODY if taken else "invalid_content_type")


def drip(site: Site) -> None:
    site.pace = 0.02


def stop_before_the_head(site: Site) -> None:
    site.hang = "headers"


def stop_in_the_body(site: Site) -> None:
    site.hang = "body"


def never_end(site: Site) -> None:
    site.framing, site.pace, site.body = "endless", 0.001, b"x"


@pytest.mark.parametrize("fault", [drip, stop_before_the_head, stop_in_the_body, never_end])
async def test_sts_49_the_whole_transfer_has_a_deadline(world: World, fault: Any) -> None:
    fault(world.policy_host(D, BODY))
    assert await fetched(world, timeout=0.3) == "HTTP_SOCKET_TIMEOUT"


@pytest.mark.parametrize("framing", ["length", "close", "chunked"])
async def test_sts_50_size(world: World, framing: Any) -> None:
    site = world.policy_host(D, "x" * 65_535 + "\n")
    site.framing = framing
    assert len(await fetched(world)) == 65_536
    site.body += b"\n"
    assert await fetched(world) == "policy_too_large"


@pytest.mark.parametrize(
    ("framing", "body", "result"),
    [
        ("close", BODY, BODY),
        ("close", BODY[:-1], "http_error"),
        ("close", "", "http_error"),
        ("length", BODY[:-1], BODY[:-1]),
        ("chunked", BODY[:-1], BODY[:-1]),
    ],
)
async def test_a_policy_that_may_be_cut_off_is_none(
    world: World, framing: Any, body: str, result: str
) -> None:
    """RFC 9112 §9.8: `mx: mx.d.test` cut short is some other host."""
    world.policy_host(D, body).framing = framing
    assert await fetched(world) == result


async def test_sts_50_a_body_without_end_is_left(world: World) -> None:
    site = world.policy_host(D, BODY)
    site.framing = "endless"
    assert await fetched(world) == "policy_too_large"


async def test_sts_50_nothing_is_decompressed(world: World) -> None:
    site = world.policy_host(D, gzip.compress(bytes(50_000_000)))
    site.headers = {**PLAIN, "Content-Encoding": "gzip"}
    body = await fetcher(world).fetch(D)
    assert body == site.body
    assert site.requests[0].headers["accept-encoding"] == "identity"


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(BODY)}\r\n\r\n"
    writer.write((head + BODY).encode())


@pytest.mark.parametrize(
    ("newest", "result"),
    [
        (ssl.TLSVersion.TLSv1_3, BODY),
        (ssl.TLSVersion.TLSv1_2, BODY),
        (ssl.TLSVersion.TLSv1_1, "http_error"),
        (ssl.TLSVersion.TLSv1, "http_error"),
    ],
)
async def test_sts_52_no_tls_below_1_2(world: World, newest: ssl.TLSVersion, result: str) -> None:
    world.dns.add(HOST, "A", "127.0.0.1")
    context = world.ca.issue([HOST]).server_context(newest)
    async with serving(answer, "127.0.0.1", 0, context) as port:
        assert await fetched(world, port=port) == result


async def test_sts_54_nothing_of_the_environment_is_used(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    site = world.policy_host(D, BODY)
    site.headers = {**PLAIN, "Set-Cookie": "seen=1"}
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine {HOST} login me password secret\ndefault login me password secret\n")
    trapped: list[bytes] = []

    async def trap(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        trapped.append(await reader.read(100))

    async with serving(trap, "127.0.0.1", 0) as port:
        for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
        monkeypatch.setenv("NETRC", str(netrc))
        monkeypatch.setenv("SSL_CERT_FILE", str(world.foreign_ca.ca_file))
        one = fetcher(world)
        for _ in range(2):
            assert await one.fetch(D) == BODY.encode()
    assert trapped == []
    for request in site.requests:
        assert not {"cookie", "authorization", "proxy-authorization"} & set(request.headers)


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "192.168.1.1", "0.1.2.3", "224.0.0.1"]
)
async def test_sts_55_internal_addresses_are_refused(world: World, address: str) -> None:
    site = world.policy_host(D, BODY)
    world.dns.replace(HOST, "A", address)
    assert await fetched(world, allow_internal=[]) == "unsafe_address"
    assert not site.requests


@pytest.mark.parametrize("address", ["::1", "fe80::1", "fc00::1", "::ffff:127.0.0.1", "::"])
async def test_sts_55_in_ipv6_too(world: World, address: str) -> None:
    world.dns.add(HOST, "AAAA", address)
    assert await fetched(world, allow_internal=[]) == "unsafe_address"


@pytest.mark.parametrize(
    "addresses",
    [
        pytest.param(["::1"], id="the other family leads nowhere"),
        pytest.param(["::1", "::2", "::3", "::4"], id="many of the other family"),
        pytest.param(["127.0.0.9"], id="refused"),
    ],
)
async def test_both_families_are_tried(world: World, addresses: list[str]) -> None:
    site = world.policy_host(D, BODY)
    world.dns.remove(HOST, "A")
    for address in [*addresses, "127.0.0.1"]:
        world.dns.add(HOST, "AAAA" if ":" in address else "A", address)
    internal = [*LOOPBACK, ip_network("::/64")]
    assert await fetched(world, allow_internal=internal) == BODY
    assert len(site.requests) == 1


async def test_a_dead_address_does_not_take_all_the_time(world: World) -> None:
    world.policy_host(D, BODY)
    with socket.create_server(("127.0.0.9", world.https_port)):  # nobody takes its connections
        world.dns.replace(HOST, "A", "127.0.0.9", "127.0.0.1")
        assert await fetched(world, timeout=4.0) == BODY


async def test_a_few_addresses_only_are_tried(world: World) -> None:
    site = world.policy_host(D, BODY)
    world.dns.replace(HOST, "A", *(f"127.0.9.{number}" for number in range(1, 5)), "127.0.0.1")
    assert await fetched(world) == "http_error"
    assert not site.requests


async def test_a_head_without_end_is_left(world: World) -> None:
    world.dns.add(HOST, "A", "127.0.0.1")

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"x-%s: y\r\n" % (b"z" * 1000))
            await writer.drain()

    async with serving(talk, "127.0.0.1", 0, world.ca.issue([HOST]).server_context()) as port:
        assert await fetched(world, port=port) == "http_error"


class Watched(PolicyFetcher):
    """Knows how many connections it has had at the same time, at most."""

    now = most = 0

    async def _get(self, client: Any, host: str, place: str) -> bytes:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            return await super()._get(client, host, place)
        finally:
            self.now -= 1


async def test_sts_72_connections_are_bounded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "_AT_ONCE", 3)
    names = [Domain(f"d{number}.test") for number in range(12)]
    for name in names:
        world.policy_host(name, BODY)
    resolver = DnsResolver([world.dns.address], 20.0, SystemClock())
    one = Watched(resolver, FetchSettings(20.0, world.https_port, LOOPBACK, world.ca_file))
    assert await asyncio.gather(*map(one.fetch, names)) == [BODY.encode()] * 12
    assert one.most == 3


class Proxy:
    """Takes CONNECT and leads it to the policy host."""

    def __init__(self, port: int, answer: bytes = b"200 OK") -> None:
        self.asked: list[bytes] = []
        self._port = port
        self._answer = answer

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 %b\r\n\r\n" % self._answer)
        if not self._answer.startswith(b"200"):
            return
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        up = asyncio.ensure_future(self._copy(reader, back))
        try:
            await self._copy(there, writer)
        finally:
            up.cancel()
            back.close()
            with contextlib.suppress(OSError):
                await back.wait_closed()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


async def test_sts_54_a_proxy_that_is_set_is_used(world: World) -> None:
    site = world.policy_host(D, BODY)
    proxy = Proxy(world.https_port)
    world.dns.fail(HOST, "A", "SERVFAIL")  # resolving is the proxy's
    async with serving(proxy.serve, "127.0.0.1", 0) as port:
        way = {"proxy": f"http://127.0.0.1:{port}"}
        assert await fetched(world, **way) == BODY
        site.certificate = world.foreign_ca.issue([HOST])
        assert await fetched(world, **way) == "webpki_invalid"
    assert proxy.asked[0].startswith(f"CONNECT {HOST}:{world.https_port} HTTP/1.1\r\n".encode())
    assert [request.host for request in site.requests] == [HOST]


async def test_a_proxy_that_refuses(world: World) -> None:
    site = world.policy_host(D, BODY)
    proxy = Proxy(world.https_port, b"403 Forbidden")
    async with serving(proxy.serve, "127.0.0.1", 0) as port:
        assert await fetched(world, proxy=f"http://127.0.0.1:{port}") == "http_error"
    assert not site.requests


@pytest.mark.parametrize("point", ["headers", "body"])
@pytest.mark.parametrize("order", [("127.0.0.1", "127.0.0.2"), ("127.0.0.2", "127.0.0.1")])
async def test_a_host_that_breaks_off(world: World, point: Any, order: tuple[str, ...]) -> None:
    """At whichever of two addresses; at 127.0.0.2 nobody listens."""
    world.policy_host(D, BODY).cut = point
    world.dns.replace(HOST, "A", *order)
    assert await fetched(world) == "http_error"


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"version: STSv1\r\n",
        b"x" * 90_000 + b"\r\n\r\n",
        b"HTTP/1.1 \x1b[31m 200\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 50_000,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000,
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n",
        HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        HEAD + b"Content-Length: 9" + b"9" * 5000 + b"\r\n\r\nab",
        HEAD + b"Content-Length: -1\r\n\r\nab",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffffffff\r\nab",
        HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
        HEAD + b"\0: x\r\nContent-Length: 2\r\n\r\nab",
        b"\r\n\r\n",
        b"\x00\xff" * 500,
        b"<html>no head</html>",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 1000 x\r\n\r\n",
        b"HTTP/1.1 \xb2\xb0\xb0 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: \xff\xfe\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\x00\r\n\r\n",
        HEAD + b"Content-Length: -1\r\n\r\n",
        HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        HEAD + b"Content-Length: 999999999999999999999\r\n\r\nx",
        HEAD + b"Transfer-Encoding: gzip\r\n\r\nx",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nabc",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"9" * 40 + b"\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\n" * 2000,
        HEAD + b"x: " + b"y" * 200_000 + b"\r\n\r\n",
    ],
)
async def test_any_octets_are_an_error_with_a_code_and_a_sentence(
    world: World, octets: bytes
) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(octets)
        await writer.drain()

    world.dns.add(HOST, "A", "127.0.0.1")
    async with serving(talk, "127.0.0.1", 0, world.ca.issue([HOST]).server_context()) as port:
        with pytest.raises(MtaStsError) as caught:
            await fetcher(world, port=port).fetch(D)
    assert caught.value.code in ("http_error", "invalid_content_type")
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 300


@pytest.mark.parametrize(
    "before", [b"", HEAD + b"Content-Length: 9\r\n\r\nversion"], ids=["head", "body"]
)
async def test_a_spoiled_tls_record_is_an_error_with_a_code(world: World, before: bytes) -> None:
    world.dns.add(HOST, "A", "127.0.0.1")
    context = world.ca.issue([HOST]).server_context()

    def spoil(listener: socket.socket) -> None:
        with context.wrap_socket(listener.accept()[0], server_side=True) as tls:
            tls.recv(65_536)
            tls.sendall(before)
            with socket.socket(fileno=tls.detach()) as raw:
                raw.sendall(b"\x17\x03\x03\x00\x20" + b"x" * 0x20)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        spoiling = asyncio.ensure_future(asyncio.to_thread(spoil, listener))
        assert await fetched(world, port=listener.getsockname()[1]) == "http_error"
        await spoiling
