"""Whose policy holds for mail to a domain: its own, or that of the next hop (RFC 8461 §3.4)."""

from relay.address import Domain
from relay.config import Settings
from relay.delivery.next_hop import NextHop
from relay.immutable import immutable


@immutable
class Way:
    """Where mail for a domain goes; `words` say it where that is by a route, else None, and
    `terms` on what terms."""

    hop: NextHop
    words: str | None = None
    terms: str = ""

    @property
    def domain(self) -> Domain | None:
        """The policy domain; None: an address literal has no policy."""
        return None if self.hop.destination.startswith("[") else Domain(self.hop.destination)

    @property
    def sentence(self) -> str | None:
        """Words and terms; None where there is no route."""
        return f"{self.words}: {self.terms}" if self.words else None


def way_to(settings: Settings, destination: str) -> Way:
    """The way mail for a Domain or an address literal goes."""
    route = settings.route_of(destination)
    if route is None:
        return Way(NextHop(destination))
    words = f"mail for {destination} goes to {route.next_hop} (route for {route.domain})"
    login = ", with a login" if route.credentials else ""
    return Way(route.next_hop, words, f"tls {route.tls}{login}")
