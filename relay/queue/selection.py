"""Which jobs an operator means. Pure."""

from relay.immutable import immutable


@immutable
class Selection:
    """Jobs that fit everything said here; None: whatever it is.

    `mx` is the host that the last attempt ended with, `sender` an address, "" for the null path,
    `created_before` in seconds since 1970.
    """

    domain: str | None = None
    mx: str | None = None
    reason: str | None = None
    state: str | None = None
    sender: str | None = None
    created_before: float | None = None


EVERYTHING = Selection()


@immutable
class Tally:
    """How many jobs have something in common; `oldest` is when the first was accepted."""

    value: str
    jobs: int
    recipients: int
    oldest: float
