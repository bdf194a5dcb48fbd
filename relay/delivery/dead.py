"""Which addresses are down, and who is trying them now (RFC 5321 §4.5.4.1). Knows no protocol.

Only who cannot be reached at all is down: a host that refuses, or that a policy or its certificate
rules out, answers.
"""

import asyncio
from collections.abc import Awaitable, Callable

from relay.delivery.hop import HopReport, Unreachable
from relay.immutable import immutable

_LIMIT = 10_000  # addresses remembered; beyond it the one down longest is forgotten

Place = tuple[str, int, bool]
"""Address, port, and whether a silent one is waited for only shortly."""


@immutable
class _Down:
    seen: float  # when the last try ended, by the loop's clock
    report: Unreachable


class DeadHosts:
    """Lets one visit at a time try an address that is down; the others share what it comes to.

    So nobody waits for a timeout of his own, and nobody is kept back: whoever comes after the last
    try ended makes a new one.
    """

    def __init__(self) -> None:
        """Everybody is taken to be up."""
        self._down: dict[Place, _Down] = {}
        self._probes: dict[Place, asyncio.Event] = {}

    async def visit(
        self, place: Place, since: float, call: Callable[[], Awaitable[HopReport]]
    ) -> HopReport:
        """What `call` comes to, or what another visit came to that ended after `since`.

        `since` is when the mail was taken on, by the loop's clock.
        """
        while (down := self._down.get(place)) and down.seen < since:
            if probe := self._probes.get(place):
                await probe.wait()
            else:
                return await self._probe(place, call)
        return down.report if down else self._note(place, await call())

    async def _probe(self, place: Place, call: Callable[[], Awaitable[HopReport]]) -> HopReport:
        ended = self._probes[place] = asyncio.Event()
        try:
            return self._note(place, await call())
        finally:
            del self._probes[place]
            ended.set()

    def _note(self, place: Place, report: HopReport) -> HopReport:
        self._down.pop(place, None)
        if isinstance(report, Unreachable):
            self._down[place] = _Down(asyncio.get_running_loop().time(), report)
            if len(self._down) > _LIMIT:
                del self._down[next(iter(self._down))]
        return report
