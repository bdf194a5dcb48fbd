"""Mail that a policy keeps back leaves once that is mended, not at its next retry (RFC 8461 §5.1).

Sees deliveries and policies as callables. While nothing is kept back nothing is done.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from relay.clock import Clock
from relay.errors import StorageClosedError, StorageError
from relay.immutable import immutable
from relay.outcome import PROTECTIVE, Prospect
from relay.queue.job import Settlement
from relay.queue.release_text import release_text
from relay.queue.restraint import Restraint
from relay.queue.retry import Dice
from relay.queue.rounds import Rounds
from relay.queue.store import QueueStore
from relay.queue.trouble import wait_for
from relay.spacing import Spacing

log = logging.getLogger(__name__)

_DOMAINS = 1000  # watched at most; others come in when there is room
_LOOKS = 10  # domains looked at at a time
_TICK = 2.0  # seconds; how soon a policy that somebody else has found is noticed
_PAGE = 1000  # domains or jobs in one transaction


@immutable
class View:
    """The other side as it can be seen; every name is a Domain or an address literal.

    `policy_domain` says whose policy holds for a recipient domain, `known` what is remembered of
    that (any value, which changes with the policy), `look` what an attempt would come to now.
    `first` is how soon mail that is kept back is looked after, in seconds; None: never.
    """

    policy_domain: Callable[[str], str]
    known: Callable[[str], object]
    look: Callable[[str], Awaitable[Prospect]]
    first: float | None


@dataclass(slots=True)
class _Case:
    """A policy domain: a recipient domain with mail kept back for it, and what was seen last.

    `noted`: more such mail has come since the look began.
    """

    destination: str
    seen: Prospect | None = None
    noted: bool = False


class Watch:
    """Watches the policy domains that mail is kept back for, ever more seldom."""

    def __init__(
        self,
        store: QueueStore,
        view: View,
        told: Callable[[Prospect, str], None],
        clock: Clock,
        dice: Dice,
    ) -> None:
        """`told` hears of mail that leaves: what is seen, and a sentence for people."""
        self._store = store
        self._view = view
        self._told = told
        self._clock = clock
        self._rounds = Rounds(view.first or 0.0, _DOMAINS, dice)
        self._restraint = Restraint(view.first or 0.0)
        self._cases: dict[str, _Case] = {}
        self._running = 0  # looks
        self._stale = True  # what the store has is to be taken up
        self._noticed = 0.0  # when others' findings were asked for
        self._wake = asyncio.Event()
        self._spacing = Spacing()

    def renew(self, view: View) -> None:
        """Look at everything anew and soon, by other settings."""
        self._view = view
        self._rounds.clear(view.first or 0.0)
        self._restraint = Restraint(view.first or 0.0)
        self._cases.clear()
        self._stale = True
        self._wake.set()

    def note(self, settlement: Settlement) -> None:
        """Take note of how an attempt ended."""
        rest = settlement.remainder
        if rest and rest.reason in PROTECTIVE and self._add(settlement.job.domain):
            self._wake.set()

    async def run(self) -> None:
        """Watch until cancelled. Raises StorageClosedError."""
        try:
            async with asyncio.TaskGroup() as looks:
                await self._watch(looks)
        except ExceptionGroup as group:
            raise group.exceptions[0] from None

    async def _watch(self, looks: asyncio.TaskGroup) -> None:
        while True:
            self._wake.clear()
            if self._view.first is not None:
                await self._find_work(looks)
            await wait_for(self._wake, self._pause())

    async def _find_work(self, looks: asyncio.TaskGroup) -> None:
        now = _ticks()
        try:
            if self._stale:
                self._stale = False  # whoever renews meanwhile makes it so again
                await self._take_up()
                self._rounds.hurry(now)
            elif self._rounds.has_room_again():
                await self._take_up()
        except StorageError as error:
            self._stale = True
            self._warn(error)
        if now - self._noticed >= _TICK:
            self._noticed = now
            self._rounds.notice(self._view.known, now)
        for domain in self._rounds.take(now, _LOOKS - self._running):
            self._running += 1
            looks.create_task(self._look_at(domain, self._cases[domain]))

    async def _take_up(self) -> None:
        self._rounds.overflown = False
        async for domain in self._kept_back():
            self._add(domain)
            if self._rounds.overflown:
                break

    # Whether the domain is one that was not watched
    def _add(self, destination: str) -> bool:
        domain = self._view.policy_domain(destination)
        if case := self._cases.get(domain):
            case.noted = True
        if self._view.first is None or case:
            return False
        if added := self._rounds.add(domain, self._view.known(domain), _ticks()):
            self._cases[domain] = _Case(destination)
        return added

    def _pause(self) -> float | None:
        if self._view.first is None:
            return None
        if self._stale or self._running == _LOOKS:
            return _TICK
        due = self._rounds.next_due()
        return min(max(0.0, due - _ticks()), _TICK) if due is not None else None

    async def _look_at(self, domain: str, case: _Case) -> None:
        try:
            await self._examine(domain, case)
        except StorageError as error:
            self._warn(error)
        finally:
            if self._is_current(domain, case):
                self._rounds.put_off(domain, self._view.known(domain), _ticks())
            self._running -= 1
            self._wake.set()

    async def _examine(self, domain: str, case: _Case) -> None:
        case.noted = False
        if not await self._store.keeps_back(case.destination):
            case.destination = next(iter(await self._destinations(domain)), "")
            # what came while the store was read may have come behind the reader
            if not case.destination and not case.noted:
                self._drop(domain, case)
        if not case.destination:
            return
        before, case.seen = case.seen, await self._view.look(case.destination)
        # by the settings of now it may have come to something else
        if self._is_current(domain, case):
            await self._act_on(domain, case.seen, before)

    async def _act_on(self, domain: str, seen: Prospect, before: Prospect | None) -> None:
        if not seen.host or not self._restraint.allows(domain, _ticks()):
            return
        if count := await self._release(domain):
            self._restraint.note(domain, _ticks())
            self._told(seen, release_text(seen, before, count))

    async def _release(self, domain: str) -> int:
        count, now = 0, self._clock.now()
        for destination in await self._destinations(domain):
            hastened = _PAGE
            # not until there is none: what fails at once comes back meanwhile, again and again
            while hastened == _PAGE:
                hastened = await self._store.hasten(destination, now, _PAGE)
                count += hastened
        return count

    # Not one from before the settings were renewed
    def _is_current(self, domain: str, case: _Case) -> bool:
        return self._cases.get(domain) is case

    def _drop(self, domain: str, case: _Case) -> None:
        if self._is_current(domain, case):
            del self._cases[domain]
            self._rounds.drop(domain)

    async def _destinations(self, domain: str) -> list[str]:
        policy_domain = self._view.policy_domain
        return [one async for one in self._kept_back() if policy_domain(one) == domain]

    async def _kept_back(self) -> AsyncIterator[str]:
        after = ""
        while page := await self._store.domains_kept_back(after, _PAGE):
            for after in page:
                yield after

    def _warn(self, error: StorageError) -> None:
        if isinstance(error, StorageClosedError):
            raise error
        if self._spacing.lets_through(_ticks()) is not None:
            log.warning("mail kept back by policies is not watched now: %s", error)


def _ticks() -> float:
    return asyncio.get_running_loop().time()
