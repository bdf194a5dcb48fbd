"""DNS look-ups as values (RFC 1035, RFC 2308): the only file that imports dnspython."""

from dataclasses import dataclass
from enum import Enum
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")


class DnsStatus(Enum):
    """What a look-up came to. NODATA and NXDOMAIN are answers; TROUBLE may pass (transient)."""

    FOUND = "found"
    NODATA = "nodata"
    NXDOMAIN = "nxdomain"
    TROUBLE = "trouble"  # SERVFAIL, timeout, refused, bogus, malformed


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """The records of one look-up, in the order of the answer; empty unless `status` is FOUND.

    `canonical` is the name the records were found at after CNAMEs, without a final dot. `detail`
    says for a person what the trouble was. `expires` is when the answer is stale, in seconds since
    1970: the lowest TTL of the chain, RFC 2308 for negative answers, `now` for trouble.
    """

    status: DnsStatus
    records: tuple[T, ...] = ()
    canonical: str = ""
    detail: str = ""
    expires: float = 0.0


@dataclass(frozen=True, slots=True)
class MxRecord:
    """One MX record: `host` lower-case without a final dot; "" is the root name (RFC 7505)."""

    preference: int
    host: str


class Resolver(Protocol):
    """Look-ups of absolute names (no search list); never raises for what the network does."""

    async def mx(self, name: str) -> Answer[MxRecord]:
        """The MX records of a domain, CNAMEs followed, unsorted."""
        ...

    async def txt(self, name: str) -> Answer[tuple[bytes, ...]]:
        """The TXT records of a name: each a tuple of its character-strings."""
        ...

    async def addresses(self, name: str) -> Answer[str]:
        """AAAA and A records as text, AAAA first. FOUND when either family answered with records;
        TROUBLE when none did and one of them failed."""
        ...
