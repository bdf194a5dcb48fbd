"""The limits of the configuration: how much a domain or an MX host is burdened with."""

from collections.abc import Iterator

from relay.config.sections import Limit
from relay.config.settings import Settings
from relay.delivery.next_hop import find_route
from relay.pace import Bound, FindBound


def domain_bounds(settings: Settings) -> FindBound:
    """The bounds by recipient domain."""
    default = Bound(settings.delivery.connections_per_domain)
    return _bounds({one.domain: one for one in settings.limit if one.domain}, default)


def host_bounds(settings: Settings) -> FindBound:
    """The bounds by MX host."""
    default = Bound(settings.delivery.connections_per_host)
    return _bounds({one.mx: one for one in settings.limit if one.mx}, default)


def faults_of_limits(settings: Settings) -> Iterator[str]:
    """What is wrong with limits that are right by themselves, one sentence each."""
    first: dict[tuple[str | None, str | None], str] = {}
    for number, limit in enumerate(settings.limit):
        key = f"limit[{number}]"
        if bool(limit.domain) == bool(limit.mx):
            yield f"{key}: must name either a domain or an mx"
        elif (before := first.setdefault((limit.domain, limit.mx), key)) != key:
            yield f"{key}: {limit.domain or limit.mx} has a limit already, {before}"
        if limit.connections is None and limit.rate is None:
            yield f"{key}: must have connections, a rate or both"


def _bounds(limits: dict[str, Limit], default: Bound) -> FindBound:
    def bound(name: str) -> Bound:
        if not limits or (limit := find_route(name, limits)) is None:
            return default
        return Bound(limit.connections or default.at_once, limit.rate)

    return bound
