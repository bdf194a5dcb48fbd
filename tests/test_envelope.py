"""Queue ids: sortable by time, unique by chance; what a sender asks to be told."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from relay.envelope import DsnRequest, Envelope, new_queue_id

_SPACE = 31**5


# the example is where ten digits of microseconds came round
@example(2_458_000_000.0, 1e6, 0)
@given(st.floats(0, 4e9), st.floats(0.001, 1e6), st.integers(0, _SPACE - 1))
def test_a_later_queue_id_sorts_later(now: float, later: float, dice: int) -> None:
    first = new_queue_id(now, lambda bound: bound - 1)
    second = new_queue_id(now + later, lambda bound: dice)
    assert first < second
    assert len(first) == len(second) == 16


def test_chance_tells_ids_of_one_moment_apart() -> None:
    assert new_queue_id(1e9, lambda bound: 0) != new_queue_id(1e9, lambda bound: 1)
    assert new_queue_id(1e9, lambda bound: bound - 1).endswith("ZZZZZ")


@pytest.mark.parametrize(
    ("notify", "wanted"),
    [
        pytest.param((), {"FAILURE", "DELAY"}, id="DSN-07 nothing asked"),
        pytest.param(("NEVER",), set(), id="DSN-06 never"),
        pytest.param(("FAILURE",), {"FAILURE"}, id="DSN-06 no delays"),
        pytest.param(("SUCCESS", "DELAY"), {"SUCCESS", "DELAY"}, id="DSN-06 no failures"),
    ],
)
def test_what_a_sender_wants_to_be_told(notify: tuple[str, ...], wanted: set[str]) -> None:
    request = DsnRequest(notify)
    assert {one for one in ("SUCCESS", "FAILURE", "DELAY") if request.wants(one)} == wanted


def test_each_recipient_keeps_its_own_request() -> None:
    """DSN-04."""
    asked = {"a@d.test": DsnRequest(("NEVER",)), "b@d.test": DsnRequest(orcpt="rfc822;B@d.test")}
    envelope = Envelope(None, ("a@d.test", "b@d.test", "c@d.test"), ret="HDRS", dsn=asked)
    part = envelope.to(("b@d.test", "c@d.test"))
    assert (part.recipients, part.ret) == (("b@d.test", "c@d.test"), "HDRS")
    assert part.dsn == {"b@d.test": asked["b@d.test"]}
    assert envelope.asked("a@d.test").notify == ("NEVER",)
    assert envelope.asked("c@d.test") == DsnRequest()
