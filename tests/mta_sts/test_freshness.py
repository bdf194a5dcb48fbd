"""What to do given cache, record and clock: a table of every case."""

import pytest

from relay.address import Domain
from relay.mta_sts.error import MtaStsError
from relay.mta_sts.freshness import BACK_OFF, Discovery, Step, decide, fail, is_live, result_of
from relay.mta_sts.policy import CachedPolicy, Policy

NOW = 1_000_000.0
ENFORCE = Policy(version="STSv1", mode="enforce", mx=("mx.d.test",), max_age=1000)
DOUBLE = MtaStsError("multi_sts_records", "two")
TROUBLE = MtaStsError("dns_error", "SERVFAIL")
GONE = MtaStsError("ENOTFOUND", "gone")


def kept(age: float, record_id: str = "A", failed_id: str | None = None) -> CachedPolicy:
    failure = None
    if failed_id:
        failure = fail(MtaStsError("http_status_503", "no"), failed_id, NOW - 1)
    return CachedPolicy(Domain("d.test"), record_id, ENFORCE, "", NOW - age, failure)


FAILED = CachedPolicy(
    Domain("d.test"), failure=fail(MtaStsError("http_status_503", "no"), "A", NOW - 1)
)


@pytest.mark.parametrize(
    ("cached", "discovery", "step", "code"),
    [
        pytest.param(None, Discovery("A"), Step.FETCH, None, id="first sight"),
        pytest.param(None, Discovery(absence=GONE), Step.ABSENT, None, id="no record"),
        pytest.param(None, Discovery(error=TROUBLE), Step.FAILED, "dns_error", id="STS-17"),
        pytest.param(None, Discovery(error=DOUBLE), Step.FAILED, "multi_sts_records", id="STS-04"),
        pytest.param(kept(1), Discovery("A"), Step.RENEWED, None, id="STS-61"),
        pytest.param(kept(999), Discovery("A"), Step.RENEWED, None, id="STS-60: last second"),
        pytest.param(kept(1000), Discovery("A"), Step.FETCH, None, id="STS-60: expired"),
        pytest.param(kept(1), Discovery("a"), Step.FETCH, None, id="STS-06: ids have case"),
        pytest.param(kept(1), Discovery(absence=GONE), Step.KEEP, "ENOTFOUND", id="STS-62: gone"),
        pytest.param(kept(1), Discovery(error=TROUBLE), Step.KEEP, "dns_error", id="STS-62: DNS"),
        pytest.param(
            kept(1), Discovery(error=DOUBLE), Step.KEEP, "multi_sts_records", id="STS-62: two"
        ),
        pytest.param(kept(1000), Discovery(absence=GONE), Step.ABSENT, None, id="expired and gone"),
        pytest.param(FAILED, Discovery("A"), Step.FAILED, "http_status_503", id="STS-51"),
        pytest.param(FAILED, Discovery("B"), Step.FETCH, None, id="STS-51: a new id overrides"),
        pytest.param(
            kept(1, "A", "B"),
            Discovery("B"),
            Step.KEEP,
            "http_status_503",
            id="STS-69: in back-off",
        ),
        pytest.param(kept(1, "A", "B"), Discovery("A"), Step.RENEWED, None, id="the old id again"),
        pytest.param(kept(-500), Discovery("A"), Step.FETCH, None, id="STS-74: from the future"),
    ],
)
def test_decision(
    cached: CachedPolicy | None, discovery: Discovery, step: Step, code: str | None
) -> None:
    decision = decide(cached, discovery, NOW)
    assert decision.step is step
    assert (decision.error and decision.error.code) == code


def test_sts_51_the_back_off_ends() -> None:
    assert decide(FAILED, Discovery("A"), NOW + BACK_OFF).step is Step.FETCH


def test_sts_74_a_clock_set_back_makes_no_policy_immortal() -> None:
    assert not is_live(kept(-400_000), NOW)


def test_what_is_kept_is_applied_with_the_error() -> None:
    cached = kept(1)
    decision = decide(cached, Discovery(absence=GONE), NOW)
    shown = result_of(cached, decision, None).as_dict()
    assert shown["status"] == "errored"
    assert shown["policy"]["mode"] == "enforce"
    assert shown["policy"]["id"] == "A"
    assert shown["policy"]["error"] == {"message": "gone", "code": "ENOTFOUND"}


def test_a_remembered_failure_tells_when_it_is_tried_again() -> None:
    decision = decide(FAILED, Discovery("A"), NOW)
    shown = result_of(FAILED, decision, "A").as_dict()
    assert shown["policy"]["expires"] == "1970-01-12T13:51:39.000Z"
    assert (shown["policy"]["id"], shown["policy"]["mode"]) == ("A", "none")


def test_what_is_remembered_of_failed_ids_is_bounded() -> None:
    failure = None
    for number in range(1000):
        failure = fail(MtaStsError("http_error", "no"), str(number), NOW + number / 10, failure)
    assert failure is not None
    assert [id for id, _ in failure.earlier] == [str(number) for number in range(991, 999)]
