"""The line of claims for an attempt: fair among domains, each at its pace. Knows no store."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from relay.address import parse_mailbox
from relay.envelope import Message
from relay.immutable import immutable
from relay.pace import Bound, FindBound, Pace
from relay.queue.job import Claim, Job
from relay.queue.share import Share

_FEW = 20  # claims that wait for a place, or places for claims: time to look for more
_BODY_LIMIT = 65_536  # octets of a body that may wait in memory; larger ones are read back


@immutable
class Limits:
    """How much is done at a time: claims in memory, attempts in all, attempts for one domain, and
    the octets of the bodies that are read back for them."""

    window: int = 1000
    attempts: int = 200
    per_domain: FindBound = lambda _: Bound(20)
    memory: int = 256 * 2**20


USUAL = Limits()


class Line:
    """Every claim from the store to its settlement, and who may start.

    A claim holds a place in the window all the time, and a slot while it is attempted. What finds
    no room in the window waits in the store, so memory does not grow with the queue. Both are
    shared fairly among domains: a slow one does not delay the others.
    """

    def __init__(
        self, limits: Limits, start: Callable[[Claim], None], ask: Callable[[], None]
    ) -> None:
        """`start` begins an attempt; `ask` is called when it is time to ask the store for more."""
        self._start_attempt = start
        self._ask = ask
        self._window = Share(limits.window, lambda _: limits.window)
        self._pace = Pace(limits.per_domain)
        self._turns: dict[str, asyncio.TimerHandle] = {}  # of domains that wait for their pace
        self._slots = Share(limits.attempts, lambda domain: self._pace.bound(domain).at_once)
        self._waiting: dict[str, deque[Claim]] = {}  # for a slot, by domain
        self.behind = False  # the store may hold jobs that are due
        self.resting = False  # nothing more is started

    @property
    def room(self) -> int:
        """How many claims may be taken on at once, so that new mail finds a place, too."""
        return max(0, (self._window.free + 1) // 2)  # free is below zero where it was overrun

    def full(self) -> list[str]:
        """The domains of which no more are taken on."""
        return self._window.full()

    def bind(self, per_domain: FindBound) -> None:
        """Bind domains by this from now on."""
        self._pace.bound = per_domain

    def admits(self, message: Message) -> bool:
        """Whether a message's jobs come straight into the window; else the store is to be asked."""
        domains = {parse_mailbox(one).destination for one in message.envelope.recipients}
        has_room = not self.resting and all(map(self._window.has_room, domains))
        self.behind = self.behind or not has_room
        return has_room

    def take_on(self, claims: Sequence[Claim]) -> None:
        """Start claims, or let them wait for their turn."""
        if self.resting or not claims:
            return  # at rest they are released with all others
        now = asyncio.get_running_loop().time()
        for claim in (Claim(one.job, one.body, now) for one in claims):
            domain = claim.job.domain
            self._window.take(domain)
            if domain not in self._waiting and self._may_start(domain, now):
                self._start(claim, now)
            else:
                self._waiting.setdefault(domain, deque()).append(_lightened(claim))
                self._call_in_turn(domain, now)

    def end_attempt(self, domain: str) -> None:
        """An attempt has ended: others may start."""
        self._slots.give_back(domain)
        for other in list(self._waiting):
            if not self._slots.free or self.resting:
                break
            self._start_waiting(other)

    def leave(self, domain: str) -> None:
        """A claim is settled, or is one no more: others may be taken on."""
        self._window.give_back(domain)
        if self.behind and (self._is_short() or self._is_idle(domain)):
            self._ask()

    def is_empty(self) -> bool:
        """Whether no claim waits for its turn."""
        return not self._waiting

    def withdraw(self, job_ids: set[str]) -> list[Job]:
        """Those of these jobs that wait for their turn, which they lose; they have not left."""
        taken = []
        for domain, claims in list(self._waiting.items()):
            for claim in [one for one in claims if one.job.id in job_ids]:
                claims.remove(claim)
                taken.append(claim.job)
            if not claims:
                del self._waiting[domain]
        return taken

    def rest(self) -> None:
        """Start nothing more."""
        self.resting = True
        self._waiting.clear()
        for turn in self._turns.values():
            turn.cancel()

    def _is_short(self) -> bool:
        return sum(map(len, self._waiting.values())) < _FEW

    # Others wait for their pace or their hosts, however many: this one has had all that came of it
    def _is_idle(self, domain: str) -> bool:
        return domain not in self._waiting and self._slots.free >= _FEW

    def _may_start(self, domain: str, now: float) -> bool:
        return self._slots.has_room(domain) and not self._pace.delay(domain, now)

    # Where only the pace keeps a domain back, nothing else would call it: `now` is when it did
    def _call_in_turn(self, domain: str, now: float) -> None:
        delay = self._pace.delay(domain, now)
        if delay and domain not in self._turns:
            loop = asyncio.get_running_loop()
            self._turns[domain] = loop.call_later(delay, self._take_turn, domain)

    def _take_turn(self, domain: str) -> None:
        del self._turns[domain]
        if domain in self._waiting and not self.resting:
            self._start_waiting(domain)

    def _start(self, claim: Claim, now: float) -> None:
        self._slots.take(claim.job.domain)
        self._pace.take(claim.job.domain, now)
        self._start_attempt(claim)

    # Who has been served goes to the end of the line
    def _start_waiting(self, domain: str) -> None:
        if not self._slots.has_room(domain):
            return
        claims, now = self._waiting.pop(domain), asyncio.get_running_loop().time()
        while claims and self._may_start(domain, now):
            self._start(claims.popleft(), now)
        if claims:
            self._waiting[domain] = claims
            self._call_in_turn(domain, now)


def _lightened(claim: Claim) -> Claim:
    if claim.body is None or len(claim.body) <= _BODY_LIMIT:
        return claim
    return replace(claim, body=None)
