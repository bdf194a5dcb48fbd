"""What binds an attempt: the policy, our own least TLS levels, waivers. Pure; knows no hosts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field

from relay.delivery.next_hop import NextHop, find_route
from relay.delivery.tls import Floors, Ladder, Level, Requirement, down_to, ladder_for
from relay.delivery.waiver import Waiver
from relay.evidence import PolicySnapshot
from relay.immutable import immutable

Waivers = Mapping[str, Sequence[Waiver]]
"""All waivers, by policy domain."""

Recall = Callable[[str], Level | None]
"""Gives the best level seen of a policy domain; None: none above clear text is remembered."""

MEMORY = "tls.remember"


@immutable
class Rules:
    """What the operator asks of TLS: for all mail, for some domains (by pattern), and not yet.

    `recall` None: what was seen before does not count; `strict`: nothing less will do.
    """

    floors: Floors = field(default_factory=Floors)
    requirements: Mapping[str, Requirement] = field(default_factory=dict)
    waivers: Waivers = field(default_factory=dict)
    recall: Recall | None = None
    strict: bool = False


@immutable
class Terms:
    """What binds an attempt: whose policy, its mode, its snapshot for findings, the levels.

    `floor` is the setting that gave the lowest level; None: it is the mode's in [tls]. `is_routed`:
    a route's setting stands in the place of those. `waivers` are those of the domain, in force or
    not. `remembered` is a level that to stay below is a downgrade; None: nothing is.
    """

    domain: str
    mode: str
    snapshot: PolicySnapshot | None
    ladder: Ladder
    floor: str | None = None
    waivers: Sequence[Waiver] = ()
    is_routed: bool = False
    remembered: Level | None = None


# RFC 8461 §3.4: with a route all of it is the next hop's, not the recipient's
def terms_for(next_hop: NextHop, mode: str, snapshot: PolicySnapshot | None, rules: Rules) -> Terms:
    """The terms for mail to a next hop with a policy of this mode ("none" without any)."""
    domain = next_hop.destination
    floors = next_hop.floors or rules.floors
    floor = f"{next_hop.route}.tls" if next_hop.floors else None
    required = find_route(domain, rules.requirements) if rules.requirements else None
    if required:
        raised = floors.raised(required.tls)
        # of two settings that ask for the same the one that names the domain is told
        floor = required.name if raised.least(mode) is required.level else floor
        floors = raised
    ladder = ladder_for(mode, floors)
    remembered = _remembered(domain, mode, ladder, rules)
    if remembered and rules.strict:
        ladder, floor = down_to(remembered), MEMORY
    waivers = rules.waivers.get(domain, ())
    routed = next_hop.floors is not None
    return Terms(domain, mode, snapshot, ladder, floor, waivers, routed, remembered)


# A floor that asks for as much anyway needs no memory
def _remembered(domain: str, mode: str, ladder: Ladder, rules: Rules) -> Level | None:
    if rules.recall is None or mode in ("enforce", "testing"):
        return None
    seen = rules.recall(domain)
    return seen if seen and seen > ladder[-1] else None
