"""How long a client is waited for (RFC 5321 §4.5.3.2): deadlines, not timers. Pure."""

_LEAST_RATE = 100  # octets a second that a message must bring on average


class Patience:
    """One client's deadlines; every `now` is of one clock that never jumps, in seconds.

    `idle` bounds the wait for a whole command line, or for any octet of a message; `message` the
    time without a message: from the connection or the last message to DATA, and from there to the
    final dot. A message must also keep up a least rate, once `idle` is over: single octets now and
    then do not hold a connection.
    """

    def __init__(self, idle: float, message: float, now: float) -> None:
        """The connection was made just now."""
        self._idle = idle
        self._message = message
        self._heard = self._begun = now
        self._octets: int | None = None

    def hear(self, now: float) -> None:
        """A command has come, or it is the client's turn again."""
        self._heard = now

    def begin(self, now: float) -> None:
        """The content of a message is to come."""
        self._heard = self._begun = now
        self._octets = 0

    def receive(self, octets: int, now: float) -> None:
        """So many more octets of it have come."""
        self._heard = now
        self._octets = (self._octets or 0) + octets

    def end(self, now: float) -> None:
        """The content is complete."""
        self._heard = self._begun = now
        self._octets = None

    def left(self, now: float) -> float:
        """Seconds until the client has taken too long; none or fewer: it has."""
        ends = [self._heard + self._idle, self._begun + self._message]
        if self._octets is not None:
            ends.append(self._begun + self._idle + self._octets / _LEAST_RATE)
        return min(ends) - now
