"""The routes of the configuration as next hops, and what is wrong with them (RFC 8461 §3.4)."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from relay.address import destination_address
from relay.config.sections import Route
from relay.config.settings import Settings
from relay.delivery.next_hop import NextHop
from relay.errors import ConfigError

if TYPE_CHECKING:
    from relay.delivery.credentials import Credentials


def next_hops(settings: Settings) -> dict[str, NextHop]:
    """The next hops by domain pattern, their credentials read. Raises ConfigError."""
    from relay.delivery.tls import Floors  # 5 ms, and not for commands

    if faults := list(faults_of_credentials(settings)):
        raise ConfigError(faults)
    return {
        route.domain: replace(
            route.next_hop,
            floors=Floors(route.tls, route.tls),
            identity=_credentials(settings, route),
            route=key,
        )
        for key, route in _named(settings)
    }


def faults_of_routes(settings: Settings) -> Iterator[str]:
    """What is wrong with routes that are right by themselves, one sentence each."""
    first: dict[str, str] = {}
    for key, route in _named(settings):
        if (before := first.setdefault(route.domain, key)) != key:
            yield f"{key}.domain: {route.domain} has a route already, {before}"
        if route.credentials and route.tls != "verify":
            yield f'{key}.tls: must be "verify" where there are credentials, not {route.tls!r}'
        if _is_ourselves(route.next_hop, settings):
            yield f"{key}.next_hop: {route.next_hop} is this relay itself: mail would loop"


def faults_of_credentials(settings: Settings) -> Iterator[str]:
    """What is wrong with the files that routes name, one sentence each."""
    for key, route in _named(settings):
        try:
            _credentials(settings, route)
        except ValueError as error:
            yield f"{key}.credentials: {error}"


def _named(settings: Settings) -> Iterator[tuple[str, Route]]:
    return ((f"route[{number}]", route) for number, route in enumerate(settings.route))


def _credentials(settings: Settings, route: Route) -> "Credentials | None":
    if route.credentials is None:
        return None
    from relay.config.credentials import read_credentials

    return read_credentials(settings.directory / route.credentials)


# Names are looked up at each delivery, which finds out then
def _is_ourselves(next_hop: NextHop, settings: Settings) -> bool:
    address = destination_address(next_hop.destination)
    if address is None:
        return next_hop.destination == settings.server.hostname
    from relay.delivery.own import OwnAddresses  # takes the network's modules

    port = next_hop.port or settings.delivery.port
    return OwnAddresses("", settings.server.listeners).has_address(address, port)
