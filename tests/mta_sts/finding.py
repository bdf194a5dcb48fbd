"""A finder over real DNS and HTTPS, and a clock that is moved by hand."""

import ssl
from ipaddress import ip_network

import httpx

from relay.address import Domain
from relay.clock import SystemClock
from relay.db.policies import PolicyTable
from relay.lab.world import World
from relay.mta_sts.fetch import FetchSettings, PolicyFetcher
from relay.mta_sts.finder import PolicyFinder
from relay.resolver import DnsResolver

D = Domain("d.test")
GOOD = "version: STSv1\nmode: enforce\nmx: mx.d.test\nmax_age: 864000\n"


LOOPBACK = [ip_network("127.0.0.0/8")]


class SetClock:
    """The present, moved by hand."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> float:
        return SystemClock().now() + self.ahead


def finder_in(
    world: World, table: PolicyTable, clock: SetClock, settings: FetchSettings | None = None
) -> PolicyFinder:
    """Another process's finder: it shares the table and no memory."""
    resolver = DnsResolver([world.dns.address], 2.0, clock)
    settings = settings or FetchSettings(5.0, world.https_port, LOOPBACK, world.ca_file)
    return PolicyFinder(resolver, table, PolicyFetcher(resolver, settings).fetch, clock)


class LabTransport(httpx.AsyncHTTPTransport):
    """Reaches every host at the lab's address and port, under its own name."""

    def __init__(self, world: World) -> None:
        super().__init__(verify=ssl.create_default_context(cafile=world.ca_file))
        self._port = world.https_port

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.extensions = {**request.extensions, "sni_hostname": request.url.host}
        request.url = request.url.copy_with(host="127.0.0.1", port=self._port)
        return await super().handle_async_request(request)
