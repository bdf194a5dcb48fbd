"""What each kind of waiver lets pass, and when."""

import pytest

from relay.delivery.tls import Level
from relay.delivery.waiver import KINDS, Waiver, ended_waiver, find_waiver
from relay.evidence import Failure

NOW = 1_800_000_000.0
CERTIFICATE = {
    Failure.CERTIFICATE_EXPIRED,
    Failure.CERTIFICATE_HOST_MISMATCH,
    Failure.CERTIFICATE_NOT_TRUSTED,
}
LETS_PASS = {
    "mx-mismatch": (Level.VERIFIED, {Failure.MX_MISMATCH}),
    "bad-certificate": (Level.ENCRYPTED, CERTIFICATE),
    "no-tls": (Level.CLEAR, {Failure.STARTTLS_NOT_SUPPORTED, Failure.VALIDATION_FAILURE}),
}


def waiver(kind: str, until: float = NOW + 60) -> Waiver:
    return Waiver("d.test", kind, until, "they know", "waiver[0]")


@pytest.mark.parametrize("kind", KINDS)
def test_kind(kind: str) -> None:
    """Just this, and nothing more."""
    level, failures = LETS_PASS[kind]
    assert waiver(kind).level is level
    assert {one for one in Failure if waiver(kind).lets_pass(one)} == failures


@pytest.mark.parametrize(
    ("now", "is_in_force"),
    [(NOW, True), (NOW + 59.999, True), (NOW + 60, False), (NOW + 9e9, False)],
)
def test_until_the_second(now: float, is_in_force: bool) -> None:
    one = waiver("no-tls")
    failure = Failure.STARTTLS_NOT_SUPPORTED
    assert one.is_in_force(now) is is_in_force
    assert find_waiver([one], failure, now) == (one if is_in_force else None)
    assert ended_waiver([one], failure, now) == (None if is_in_force else one)
    for find in (find_waiver, ended_waiver):
        assert find([one], Failure.MX_MISMATCH, now) is None


def test_the_one_that_is_about_it() -> None:
    ended, other, right = waiver("no-tls", NOW), waiver("mx-mismatch"), waiver("no-tls")
    found = find_waiver([ended, other, right], Failure.VALIDATION_FAILURE, NOW)
    assert found is right


def test_in_words() -> None:
    words = "waiver[0] (no-tls, until 2027-01-15T08:00:00.000Z)"
    assert str(waiver("no-tls", NOW)) == words
