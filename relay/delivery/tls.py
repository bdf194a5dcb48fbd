"""TLS levels and which of them a policy's mode allows, best first. Pure; knows no sockets."""

from enum import IntEnum
from functools import cache

from relay.evidence import Failure
from relay.immutable import immutable
from relay.outcome import Reason


class Level(IntEnum):
    """What a connection proves about the host."""

    CLEAR = 0
    ENCRYPTED = 1  # TLS, whoever it is at the other end
    VERIFIED = 2  # TLS, and the certificate is the host's by the trusted roots

    @property
    def words(self) -> str:
        """For a sentence."""
        return ("clear text", "TLS with any certificate", "verified TLS")[self]


Ladder = tuple[Level, ...]
"""The levels to try at a host, best first; below the last one nothing is sent."""

_FLOORS = {"opportunistic": Level.CLEAR, "encrypt": Level.ENCRYPTED, "verify": Level.VERIFIED}


@immutable
class Floors:
    """The least TLS of the configuration: "opportunistic", "encrypt" or "verify" each.

    `testing` holds where a policy is in testing mode, `no_policy` where there is none or mode none.
    """

    testing: str = "encrypt"
    no_policy: str = "opportunistic"

    def least(self, mode: str) -> Level:
        """The lowest level under a policy of this mode, where enforce does not rule."""
        return _FLOORS[self.testing if mode == "testing" else self.no_policy]

    def raised(self, least: str) -> "Floors":
        """These, but none below `least`."""
        both = (self.testing, self.no_policy)
        return Floors(*(max(one, least, key=_FLOORS.__getitem__) for one in both))


@immutable
class Requirement:
    """The least TLS for some domain, "encrypt" or "verify"; `name` tells a person who asks."""

    tls: str
    name: str

    @property
    def level(self) -> Level:
        """The same as a level."""
        return _FLOORS[self.tls]


# RFC 8461 §5: enforce has one rung and nothing below it. All others try the strict handshake first:
# only so it is known what a higher floor, or enforce, would refuse
def ladder_for(mode: str, floors: Floors) -> Ladder:
    """The levels to try under a policy of this mode; any mode but enforce and testing is "none"."""
    return down_to(Level.VERIFIED if mode == "enforce" else floors.least(mode))


@cache
def down_to(least: Level) -> Ladder:
    """All levels from the best down to this one."""
    return tuple(level for level in sorted(Level, reverse=True) if level >= least)


def rungs_below(ladder: Ladder, level: Level, failure: Failure) -> Ladder:
    """What is left to try at a host that failed `level`: without STARTTLS only clear text helps."""
    no_tls = failure is Failure.STARTTLS_NOT_SUPPORTED
    return tuple(rung for rung in ladder if rung < level and (rung is Level.CLEAR or not no_tls))


def reason_for(mode: str) -> Reason:
    """Whose fault it is when no rung could be reached: the policy's, or our own least level's."""
    return Reason.POLICY if mode == "enforce" else Reason.TLS_FLOOR
