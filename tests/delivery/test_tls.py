"""TLS levels by mode and floor."""

import pytest

from relay.delivery.tls import Floors, Ladder, Level, ladder_for, reason_for, rungs_below
from relay.evidence import Failure
from relay.outcome import Reason

CLEAR, ENCRYPTED, VERIFIED = Level.CLEAR, Level.ENCRYPTED, Level.VERIFIED


@pytest.mark.parametrize(
    ("mode", "floors", "ladder"),
    [
        pytest.param("enforce", Floors(), (VERIFIED,), id="STS-87"),
        pytest.param(
            "enforce", Floors("opportunistic", "opportunistic"), (VERIFIED,), id="STS-87 no floor"
        ),
        pytest.param("testing", Floors(), (VERIFIED, ENCRYPTED), id="CNF-02 CNF-03"),
        pytest.param("testing", Floors("opportunistic"), (VERIFIED, ENCRYPTED, CLEAR), id="CNF-01"),
        pytest.param("testing", Floors("verify"), (VERIFIED,), id="testing verify"),
        pytest.param("none", Floors(), (VERIFIED, ENCRYPTED, CLEAR), id="CNF-08 mode none"),
        pytest.param(
            "none", Floors(no_policy="encrypt"), (VERIFIED, ENCRYPTED), id="no_policy encrypt"
        ),
        pytest.param("none", Floors(no_policy="verify"), (VERIFIED,), id="no_policy verify"),
        pytest.param("weird", Floors(), (VERIFIED, ENCRYPTED, CLEAR), id="an unknown mode is none"),
    ],
)
def test_ladder(mode: str, floors: Floors, ladder: Ladder) -> None:
    assert ladder_for(mode, floors) == ladder


FULL = (VERIFIED, ENCRYPTED, CLEAR)


@pytest.mark.parametrize(
    ("ladder", "failed", "failure", "left"),
    [
        (FULL, VERIFIED, Failure.CERTIFICATE_EXPIRED, (ENCRYPTED, CLEAR)),
        (FULL, ENCRYPTED, Failure.VALIDATION_FAILURE, (CLEAR,)),
        (FULL, VERIFIED, Failure.STARTTLS_NOT_SUPPORTED, (CLEAR,)),
        ((VERIFIED, ENCRYPTED), VERIFIED, Failure.STARTTLS_NOT_SUPPORTED, ()),
        ((VERIFIED,), VERIFIED, Failure.CERTIFICATE_EXPIRED, ()),
    ],
)
def test_rungs_below(ladder: Ladder, failed: Level, failure: Failure, left: Ladder) -> None:
    assert rungs_below(ladder, failed, failure) == left


def test_reason() -> None:
    assert reason_for("enforce") is Reason.POLICY
    assert {reason_for("testing"), reason_for("none")} == {Reason.TLS_FLOOR}
