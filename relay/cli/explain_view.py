"""What `relay explain` knows of mail for an address. Pure values."""

from collections.abc import Mapping
from dataclasses import field

from relay.cli.policy_text import View
from relay.delivery.rehearsal import Verdict
from relay.delivery.terms import Terms
from relay.immutable import immutable
from relay.queue.job import Last


@immutable
class Question:
    """What is asked of an address: `destination` is its domain or address literal, `as_if` the mode
    to assume in place of the policy's; None: none is."""

    address: str
    destination: str
    as_if: str | None = None
    probe: bool = False


@immutable
class HostView:
    """A host, in the order to be tried, and what would become of mail if it were the only one.

    `preference` None: no MX record led here. `match` is the pattern of the policy that lists it.
    """

    name: str
    preference: int | None
    addresses: tuple[str, ...]
    match: str | None
    verdict: Verdict


@immutable
class Queued:
    """What waits for the domain; times in seconds since 1970.

    `reasons` counts jobs by why they wait, "" for those not tried yet. `next_attempt` None: none is
    waiting for its time. `last` is the latest attempt of all, None before the first.
    """

    jobs: int = 0
    recipients: int = 0
    oldest: float | None = None
    next_attempt: float | None = None
    reasons: Mapping[str, int] = field(default_factory=dict)
    last: Last | None = None


@immutable
class Explanation:
    """What would become of mail for `address` now, and all that it follows from.

    `view` None: no policy was looked up, as there is nobody to judge by one; then `terms` is None,
    too. `hosts` None: they are not known. `as_if` is the mode that was assumed in place of the
    policy's own.
    """

    address: str
    verdict: Verdict
    queued: Queued
    view: View | None = None
    terms: Terms | None = None
    hosts: tuple[HostView, ...] | None = None
    way: str | None = None
    as_if: str | None = None
    probed: bool = False
