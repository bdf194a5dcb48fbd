"""How `relay explain` puts into words what an attempt came to."""

import pytest

from relay.cli.explain_text import explain
from relay.cli.explain_view import Explanation, Queued
from relay.delivery.rehearsal import Verdict
from relay.delivery.terms import Terms
from relay.delivery.tls import Ladder, Level
from relay.queue.job import Last

NOW = 1e9
NOTHING = Queued()
CLEAR, ENCRYPTED, VERIFIED = Level.CLEAR, Level.ENCRYPTED, Level.VERIFIED


def lines(verdict: Verdict, queued: Queued = NOTHING, terms: Terms | None = None) -> list[str]:
    return list(explain(Explanation("u@d.test", verdict, queued, terms=terms), NOW))


@pytest.mark.parametrize(
    ("mode", "ladder", "setting", "text"),
    [
        ("testing", (VERIFIED, ENCRYPTED), None, "TLS with any certificate will do (tls.testing)"),
        ("testing", (VERIFIED,), None, "verified TLS and nothing less (tls.testing)"),
        ("none", (ENCRYPTED, CLEAR), None, "tried first, clear text will do (tls.no_policy)"),
        ("none", (ENCRYPTED,), "route[3].tls", "any certificate and nothing less (route[3].tls)"),
        ("enforce", (VERIFIED,), "route[3].tls", "nothing less: its policy is in mode enforce"),
    ],
)
def test_least_tls_and_who_asks_for_it(
    mode: str, ladder: Ladder, setting: str | None, text: str
) -> None:
    shown = lines(Verdict("unknown"), terms=Terms("d.test", mode, None, ladder, setting))
    assert shown[1].startswith("  tls      ")
    assert shown[1].endswith(text)


@pytest.mark.parametrize(
    ("queued", "text"),
    [
        (NOTHING, "nothing"),
        (Queued(1, 1, NOW - 5, NOW, {"": 1}), "1 job, the oldest 5 s old; 1 not tried yet; the ne"),
        (Queued(2, 9, NOW - 7200, NOW - 1, {"dns": 2}), "2 dns; the next try is due"),
        (Queued(2, 9, NOW - 7200, NOW + 7200, {"dns": 2}), "the next try is in 2 h"),
        (Queued(2, 9, NOW - 7200, None, {"dns": 2}), "2 dns; none waits for its time"),
    ],
)
def test_what_is_queued(queued: Queued, text: str) -> None:
    shown = lines(Verdict("unknown"), queued)
    assert shown[1].startswith("  queued   ")
    assert text in shown[1]


def test_what_came_from_a_host_drives_no_terminal() -> None:
    queued = Queued(1, 1, NOW, None, {"answered": 1}, Last(NOW, None, "451 \x1b[2J"))
    verdict = Verdict("deferred", "mx.d.test", None, "answered", "451 \x1b[2J")
    assert all(line.isprintable() for line in lines(verdict, queued))
    assert lines(verdict, queued)[-1] == "  last     0 s ago: 451 \N{REPLACEMENT CHARACTER}[2J"
