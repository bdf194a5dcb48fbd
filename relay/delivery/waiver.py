"""Waivers: what an operator lets pass for one policy domain, and until when. No RFC has them. Pure.

Knows no hosts and keeps no time: `now` is an argument, in seconds since 1970.
"""

from collections.abc import Iterable

from relay.delivery.tls import Level
from relay.evidence import Failure
from relay.immutable import immutable
from relay.timestamp import rfc3339

# What each kind lets pass, and the level it then asks for. A failure that is in no row is never
# waived: one that DANE (RFC 7672) brings needs a kind of its own.
_KINDS = {
    "mx-mismatch": (Level.VERIFIED, {Failure.MX_MISMATCH}),
    "bad-certificate": (
        Level.ENCRYPTED,
        {
            Failure.CERTIFICATE_EXPIRED,
            Failure.CERTIFICATE_HOST_MISMATCH,
            Failure.CERTIFICATE_NOT_TRUSTED,
        },
    ),
    "no-tls": (Level.CLEAR, {Failure.STARTTLS_NOT_SUPPORTED, Failure.VALIDATION_FAILURE}),
}
KINDS = tuple(_KINDS)


@immutable
class Waiver:
    """One kind of failure that one policy domain is forgiven.

    `kind` is one of KINDS; `until`, in seconds since 1970, is the first moment at which it counts
    no more; `name` is what the configuration calls it ("waiver[0]").
    """

    domain: str
    kind: str
    until: float
    reason: str
    name: str

    @property
    def level(self) -> Level:
        """What a host must come up to all the same."""
        return _KINDS[self.kind][0]

    def lets_pass(self, failure: Failure) -> bool:
        """Whether it is about this failure, whatever the time."""
        return failure in _KINDS[self.kind][1]

    def is_in_force(self, now: float) -> bool:
        """Whether it counts at this time."""
        return now < self.until

    def __str__(self) -> str:
        """What it is, in words."""
        return f"{self.name} ({self.kind}, until {rfc3339(self.until)})"


def find_waiver(waivers: Iterable[Waiver], failure: Failure, now: float) -> Waiver | None:
    """The waiver in force for a failure, of those of one domain; None: nothing lets it pass."""
    return next((one for one in waivers if one.lets_pass(failure) and one.is_in_force(now)), None)


def ended_waiver(waivers: Iterable[Waiver], failure: Failure, now: float) -> Waiver | None:
    """The waiver that let a failure pass, but does so no more; None: there is none."""
    known = (one for one in waivers if one.lets_pass(failure) and not one.is_in_force(now))
    return next(known, None)
