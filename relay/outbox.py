"""What is written in one turn of the event loop, sent together at its end. Knows no protocol.

To send wakes whoever waits at the other end, on one machine the dearest part of it; those who are
awake already cost a fifth. Sent one after the other, not between other work, many find them awake.
"""

import asyncio
import logging

log = logging.getLogger(__name__)


class Outbox:
    """Octets for many connections, each connection's in their order.

    For what may leave whether or not the connection has room: who writes much must write itself.
    """

    def __init__(self) -> None:
        """Nothing is to be sent."""
        self._waiting: list[tuple[asyncio.WriteTransport, bytes]] = []

    def put(self, transport: asyncio.WriteTransport, octets: bytes) -> None:
        """Send these in the next turn of the running loop, or earlier by `send`."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self.send)
        self._waiting.append((transport, octets))

    def send(self) -> None:
        """Send all now, as is due before a connection ends or changes. Closed ones get nothing,
        and what one connection raises is not the others' trouble."""
        waiting, self._waiting = self._waiting, []
        for transport, octets in waiting:
            if transport.is_closing():
                continue
            try:
                transport.write(octets)
            except Exception:
                log.exception("a connection that takes no octets is cut")
                transport.abort()
