"""Tells the operator's programs of what is new in the ledger. Whatever fails, no mail waits."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

import orjson

from relay.clock import Clock
from relay.errors import StorageClosedError, StorageError
from relay.reporting.alert import Alert, to_object
from relay.reporting.store import AlertStore
from relay.spacing import Spacings

log = logging.getLogger(__name__)

_LONGEST = 60.0  # seconds to wait after failures: 1, 2, 4 ... 60
_INTERVAL = 15.0  # seconds between looks: commands record violations too, and hours end


class Channel(Protocol):
    """A way to tell somebody; its text names it without any secret."""

    async def tell(self, data: bytes) -> str | None:
        """Tell this JSON object; None: it has arrived, else why not. Takes half a minute at most
        and never raises for what the other side does."""
        ...


class Alerter:
    """Tells one alert after the other. The ledger says what is to be told, so that processes share
    it and a restart repeats nothing; what is in hand when the process ends is not told again."""

    def __init__(
        self, ledger: AlertStore, clock: Clock, hostname: str, channels: Sequence[Channel]
    ) -> None:
        """Without `channels` nothing is told, and the ledger not asked."""
        self._ledger = ledger
        self._clock = clock
        self._warnings = Spacings()
        self._wake = asyncio.Event()
        self._hostname = hostname
        self._channels = channels

    def wake(self) -> None:
        """There may be violations."""
        self._wake.set()

    def renew(self, hostname: str, channels: Sequence[Channel]) -> None:
        """Go on with other channels (SIGHUP); what is being told is told as it began."""
        self._hostname = hostname
        self._channels = channels
        self._wake.set()

    async def run(self) -> None:
        """Tell until cancelled. Raises StorageClosedError."""
        failed = 0
        while True:
            alert = await self._next()
            if alert is None:
                await self._rest()
            elif await self._tell(alert):
                failed = 0
            else:
                failed += 1
                await asyncio.sleep(min(2.0 ** min(failed - 1, 10), _LONGEST))

    async def _rest(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_INTERVAL if self._channels else None):
                await self._wake.wait()
        self._wake.clear()

    async def _next(self) -> Alert | None:
        if not self._channels:
            return None
        try:
            alert, dropped = await self._ledger.next_alert(self._clock.now())
        except StorageClosedError:
            raise
        except StorageError as error:
            self._warn("alerts", f"what is to be told cannot be looked up now: {error}")
            return None
        if dropped:
            log.warning("alerts of %d violations could not be told and are given up", dropped)
        return alert

    # What one channel has taken is not told again for the sake of another one
    async def _tell(self, alert: Alert) -> bool:
        channels = self._channels
        data = orjson.dumps(to_object(alert, self._hostname, self._clock.now()))
        taken = 0
        for channel in channels:
            if why := await channel.tell(data):
                self._warn(str(channel), f"{channel} {why}")
            else:
                taken += 1
        if not taken:
            await self._give_back(alert)
        return taken > 0

    async def _give_back(self, alert: Alert) -> None:
        try:
            await self._ledger.give_back(alert, self._clock.now())
        except StorageClosedError:
            raise
        except StorageError as error:
            self._warn("alerts", f"an alert about {alert.domain} is given up: {error}")

    def _warn(self, about: str, text: str) -> None:
        now = asyncio.get_running_loop().time()
        if (others := self._warnings.lets_through(about, now)) is not None:
            more = f" (and {others} times since the last warning)" if others else ""
            log.warning("%s%s", text, more)
