"""On what terms mail goes to a next hop: its policy and our settings (RFC 8461 §5). Pure."""

from relay.delivery.attempt import Terms
from relay.delivery.next_hop import NextHop
from relay.delivery.tls import Floors, ladder_for
from relay.evidence import PolicySnapshot


def terms_for(
    next_hop: NextHop, mode: str, snapshot: PolicySnapshot | None, floors: Floors
) -> Terms:
    """What binds an attempt under a policy of this mode. A route's floors come before `floors`."""
    ladder = ladder_for(mode, next_hop.floors or floors)
    floor = f"{next_hop.route}.tls" if next_hop.floors else None
    return Terms(next_hop.destination, mode, snapshot, ladder, floor)
