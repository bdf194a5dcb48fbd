"""Which hosts took the mail in one attempt, and how well it was protected. Pure; judges nothing."""

from collections.abc import Iterable
from dataclasses import replace

from relay.delivery.hop import Exchange, Hop
from relay.delivery.terms import Terms
from relay.evidence import Failure, Handover


class Handovers:
    """A host that takes the message in parts, after a 452, has it once."""

    def __init__(self, terms: Terms) -> None:
        """Nobody has it."""
        self._terms = terms
        self._made: list[Handover] = []

    def note(self, hop: Hop, report: Exchange, flaws: Iterable[Failure]) -> None:
        """What became of a hop; `flaws` is what mode enforce would have had against it."""
        taken = report.taken
        if not taken:
            return
        terms, seen = self._terms, tuple(dict.fromkeys(flaws))
        how = (hop.host, hop.level.name.lower(), seen, taken, terms.is_routed)
        part = Handover(terms.domain, terms.mode, *how)
        before = self._made[-1] if self._made else None
        if before and replace(before, recipients=taken) == part:
            part = replace(part, recipients=before.recipients + taken)
            self._made.pop()
        self._made.append(part)

    def all(self) -> tuple[Handover, ...]:
        """One for each host that took the message."""
        return tuple(self._made)
