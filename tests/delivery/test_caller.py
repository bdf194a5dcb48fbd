"""How patient the relay is, and from where it calls."""

import pytest

from relay.delivery.caller import Sources, Timeouts

LEAST = {"greeting": 300, "mail": 300, "rcpt": 300, "data": 120, "block": 180, "final": 600}


@pytest.mark.parametrize(("step", "least"), LEAST.items())
def test_snd_19_no_step_is_hurried(step: str, least: float) -> None:
    assert getattr(Timeouts(), step) >= least


@pytest.mark.parametrize(
    ("address", "source"), [("192.0.2.1", "198.51.100.1"), ("2001:db8::1", "2001:db8::2")]
)
def test_the_source_is_of_the_same_family(address: str, source: str) -> None:
    assert Sources("198.51.100.1", "2001:db8::2").towards(address) == source
    assert Sources().towards(address) is None
