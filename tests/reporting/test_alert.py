"""Alerts as their receivers see them."""

import orjson
import pytest

from relay.evidence import Failure
from relay.reporting.alert import Alert, sample, to_object


def alert(reason: str, count: int = 1) -> Alert:
    record = {"detail": "it is gone", "action": "noted", "reason": reason}
    return Alert("d.test", reason, count, 0.0, 60.0, record)


def test_the_keys_are_those_of_the_documentation() -> None:
    told = to_object(alert("mx-mismatch", 3), "relay.test", 3600.0)
    assert told == {
        "v": 1,
        "kind": "violation",
        "test": False,
        "time": "1970-01-01T01:00:00.000Z",
        "hostname": "relay.test",
        "count": 3,
        "since": "1970-01-01T00:00:00.000Z",
        "text": "relay.test: it is gone (mx-mismatch, noted); "
        "3 times for d.test since 1970-01-01T00:00:00.000Z",
        "violation": {"detail": "it is gone", "action": "noted", "reason": "mx-mismatch"},
    }


@pytest.mark.parametrize("failure", Failure)
def test_downgrades_are_a_kind_of_their_own(failure: Failure) -> None:
    downgrade = failure.startswith("policy-") or failure.endswith("-downgrade")
    kind = to_object(alert(failure), "r", 0.0)["kind"]
    assert kind == ("downgrade" if downgrade else "violation")


def test_a_sample_has_all_that_a_real_one_has_and_says_what_it_is() -> None:
    told = to_object(sample(60.0), "relay.test", 60.0, is_test=True)
    assert told["test"] is True
    assert "a test, nothing has happened" in told["text"]
    assert told["violation"]["reason"] == "mx-mismatch"
    assert orjson.loads(orjson.dumps(told)) == told
