"""Where mail for a destination goes (RFC 8461 §3.4): to its own hosts, or where a route sends it.

Pure; knows neither DNS nor connections.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, TypeVar

from relay.immutable import immutable

if TYPE_CHECKING:
    from relay.delivery.credentials import Credentials
    from relay.delivery.tls import Floors

R = TypeVar("R")

EVERYTHING = "*"


# RFC 8461 §3.4: with a route the next hop, not the recipient's domain, is the policy domain
@immutable
class NextHop:
    """Whom mail is handed to, and on what terms.

    `destination` is a Domain or an address literal, and it is its policy that holds. `by_mx` False:
    it is the host itself, not a domain with MX records. `port` None: that of MX hosts. `floors`
    None: those of all mail. `identity` None: nobody logs in. `route` names the route as the
    configuration does ("route[0]"); None where mail goes to its own hosts.
    """

    destination: str
    port: int | None = None
    by_mx: bool = True
    floors: "Floors | None" = None
    identity: "Credentials | None" = None
    route: str | None = None

    def __str__(self) -> str:
        """The next hop as the configuration writes it."""
        literal = self.destination.startswith("[")
        host = self.destination if self.by_mx or literal else f"[{self.destination}]"
        return host if self.port is None else f"{host}:{self.port}"


def find_route(destination: str, routes: Mapping[str, R]) -> R | None:
    """The route for a destination among those by pattern; None: its own hosts.

    The destination's own pattern comes first, then "*." and the nearest domain above it, at last
    "*". An address literal has no pattern but "*".
    """
    if not routes:
        return None
    return next((routes[one] for one in _patterns(destination) if one in routes), None)


def _patterns(destination: str) -> Iterator[str]:
    if not destination.startswith("["):
        yield destination
        labels = destination.split(".")
        yield from ("*." + ".".join(labels[start:]) for start in range(1, len(labels)))
    yield EVERYTHING
