"""What clients do wrong, for the log: a warning a minute for each client and kind of complaint."""

import asyncio
import logging

from relay.spacing import Spacings

log = logging.getLogger(__name__)


class Complaints:
    """Tells of clients without letting any of them fill the log."""

    def __init__(self) -> None:
        """Nobody has done anything."""
        self._spacings = Spacings()

    def tell(self, peer: str, kind: str, what: str, *, level: int = logging.WARNING) -> None:
        """`what` happened with the client of this address; "" is one without. `kind` says which
        complaints are alike."""
        now = asyncio.get_running_loop().time()
        if (others := self._spacings.lets_through((peer, kind), now)) is not None:
            more = f" (and {others} times since the last warning)" if others else ""
            log.log(level, "%s: %s%s", peer or "a client", what, more)
