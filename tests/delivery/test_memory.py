"""What is remembered of a host's TLS, and for how long."""

import pytest

from relay.delivery.hop import Flaw, Hop
from relay.delivery.memory import FlawMemory
from relay.delivery.tls import Level
from relay.evidence import Failure

HOP = Hop("mx.d.test", "192.0.2.1", Level.VERIFIED, Level.ENCRYPTED, ("u@d.test",))
STRICT = Hop("mx.d.test", "192.0.2.1", Level.VERIFIED, Level.VERIFIED, ("u@d.test",))
OTHER = Hop("mx.d.test", "192.0.2.2", Level.VERIFIED, Level.ENCRYPTED, ("u@d.test",))
EXPIRED = Flaw(Failure.CERTIFICATE_EXPIRED, "expired")


@pytest.mark.parametrize(
    ("kept", "flaw", "asked", "later", "known"),
    [
        pytest.param(HOP, EXPIRED, HOP, 59.0, True, id="within a minute"),
        pytest.param(HOP, EXPIRED, HOP, 60.0, False, id="after a minute"),
        pytest.param(HOP, EXPIRED, HOP, -1.0, False, id="the clock was set back"),
        pytest.param(HOP, EXPIRED, OTHER, 0.0, False, id="another address"),
        pytest.param(HOP, EXPIRED, STRICT, 0.0, False, id="STS-97 enforce always looks"),
        pytest.param(STRICT, EXPIRED, HOP, 0.0, False, id="enforce leaves nothing"),
        pytest.param(
            HOP, Flaw(Failure.VALIDATION_FAILURE, "broke off"), HOP, 0.0, False, id="may pass"
        ),
    ],
)
def test_recall(kept: Hop, flaw: Flaw, asked: Hop, later: float, known: bool) -> None:
    memory = FlawMemory()
    memory.keep(kept, flaw, 1000.0)
    assert memory.recall(asked, 1000.0 + later) == (flaw if known else None)


def test_bound() -> None:
    memory = FlawMemory()
    for number in range(10_001):
        hop = Hop(f"mx{number}.d.test", "192.0.2.1", Level.VERIFIED, Level.CLEAR, ())
        memory.keep(hop, EXPIRED, 1000.0)
    assert memory.recall(hop, 1000.0) == EXPIRED
    first = Hop("mx0.d.test", "192.0.2.1", Level.VERIFIED, Level.CLEAR, ())
    assert memory.recall(first, 1000.0) is None
