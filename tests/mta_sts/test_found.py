"""What holds by a policy that its record confirms: told once, whoever asks."""

from dataclasses import replace

from relay.address import Domain
from relay.mta_sts.found import found_kept, renewed
from relay.mta_sts.freshness import Decision, Step
from relay.mta_sts.policy import CachedPolicy, Policy

POLICY = Policy(version="STSv1", mode="enforce", mx=("mx.d.test",), max_age=86_400)
KEPT = CachedPolicy(Domain("d.test"), "1", POLICY, "version: STSv1\n", 1000.0)


def test_the_same_policy_gives_the_same_object() -> None:
    found = renewed(KEPT)
    assert found == found_kept(KEPT, Decision(Step.RENEWED), "1", 1001.0)
    assert renewed(replace(KEPT)) is found


def test_what_differs_gives_another_object() -> None:
    found = renewed(KEPT)
    weaker = renewed(replace(KEPT, policy=replace(POLICY, mode="testing")))
    assert (found.policy.mode, weaker.policy.mode) == ("enforce", "testing")
    later = renewed(replace(KEPT, fetched_at=2000.0))
    assert found.policy.expires != later.policy.expires
    assert renewed(replace(KEPT, record_id="2")).policy.id == "2"


def test_a_policy_with_very_many_hosts_is_not_held_twice() -> None:
    large = replace(KEPT, text="mx: mx.d.test\n" * 1000)
    assert renewed(large) == renewed(large)
    assert renewed(large) is not renewed(large)
