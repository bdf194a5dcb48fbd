"""What is remembered of a host's TLS, and for how long."""

import pytest

from relay.delivery.hop import Flaw, Hop
from relay.delivery.memory import AddressMemory, FlawMemory
from relay.delivery.tls import Level
from relay.evidence import Failure

HOP = Hop("mx.d.test", "192.0.2.1", Level.VERIFIED, Level.ENCRYPTED, ("u@d.test",))
STRICT = Hop("mx.d.test", "192.0.2.1", Level.VERIFIED, Level.VERIFIED, ("u@d.test",))
OTHER = Hop("mx.d.test", "192.0.2.2", Level.VERIFIED, Level.ENCRYPTED, ("u@d.test",))
LAX = Hop("mx.d.test", "192.0.2.1", Level.VERIFIED, Level.CLEAR, ("u@d.test",))
NO_TLS = Flaw(Failure.STARTTLS_NOT_SUPPORTED, "no STARTTLS")
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
        pytest.param(HOP, NO_TLS, HOP, 0.0, False, id="what keeps mail back is looked at"),
        pytest.param(LAX, NO_TLS, LAX, 0.0, True, id="in the clear"),
        pytest.param(
            HOP, Flaw(Failure.VALIDATION_FAILURE, "broke off"), HOP, 0.0, False, id="may pass"
        ),
    ],
)
def test_recall(kept: Hop, flaw: Flaw, asked: Hop, later: float, known: bool) -> None:
    memory = FlawMemory("testing")
    memory.keep(kept, flaw, 1000.0)
    assert memory.recall(asked, 1000.0 + later) == (flaw if known else None)


@pytest.mark.parametrize(("later", "known"), [(3599.0, True), (3600.0, False)])
def test_for_an_hour_where_nobody_has_promised_more(later: float, known: bool) -> None:
    memory = FlawMemory("none")
    memory.keep(HOP, EXPIRED, 1000.0)
    assert (memory.recall(HOP, 1000.0 + later) == EXPIRED) is known


@pytest.mark.parametrize(("later", "known"), [(59.0, True), (60.0, False)])
def test_clear_text_is_not_for_an_hour(later: float, known: bool) -> None:
    """Whoever strips STARTTLS once gains a minute."""
    memory = FlawMemory("none")
    memory.keep(LAX, NO_TLS, 1000.0)
    assert (memory.recall(LAX, 1000.0 + later) == NO_TLS) is known


def test_bound() -> None:
    memory = FlawMemory("testing")
    for number in range(10_001):
        hop = Hop(f"mx{number}.d.test", "192.0.2.1", Level.VERIFIED, Level.CLEAR, ())
        memory.keep(hop, EXPIRED, 1000.0)
    assert memory.recall(hop, 1000.0) == EXPIRED
    first = Hop("mx0.d.test", "192.0.2.1", Level.VERIFIED, Level.CLEAR, ())
    assert memory.recall(first, 1000.0) is None


@pytest.mark.parametrize(
    ("later", "first"),
    [
        pytest.param(0.0, "192.0.2.1", id="SND-05 a silent address goes last"),
        pytest.param(599.0, "192.0.2.1", id="for ten minutes"),
        pytest.param(600.0, "2001:db8::1", id="and no longer"),
        pytest.param(-1.0, "2001:db8::1", id="the clock was set back"),
    ],
)
def test_silent_addresses(later: float, first: str) -> None:
    memory = AddressMemory()
    memory.keep("2001:db8::1", 1000.0)
    ordered = memory.ordered(("2001:db8::1", "192.0.2.1", "192.0.2.2"), 1000.0 + later)
    assert ordered[0] == first
    assert sorted(ordered) == ["192.0.2.1", "192.0.2.2", "2001:db8::1"]


def test_bound_of_addresses() -> None:
    memory = AddressMemory()
    for number in range(10_001):
        memory.keep(f"2001:db8::{number:x}", 1000.0)
    assert memory.ordered(("2001:db8::1", "192.0.2.1"), 1000.0)[0] == "2001:db8::1"
