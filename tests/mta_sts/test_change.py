"""Which changes of a policy protect less: a table."""

import pytest

from relay.mta_sts.change import losses
from relay.mta_sts.policy import Policy

OLD = Policy(version="STSv1", mode="enforce", mx=("a.test", "*.b.test"), max_age=1000)


def changed(mode: str = "enforce", mx: str = "a.test *.b.test", max_age: int = 1000) -> Policy:
    return Policy(version="STSv1", mode=mode, mx=tuple(mx.split()), max_age=max_age)


@pytest.mark.parametrize(
    ("before", "after", "reasons"),
    [
        pytest.param(OLD, OLD, [], id="the same"),
        pytest.param(OLD, changed("testing"), ["policy-weakened"], id="to testing"),
        pytest.param(OLD, changed("none", ""), ["policy-weakened"], id="to none"),
        pytest.param(OLD, changed(max_age=500), [], id="half as long"),
        pytest.param(OLD, changed(max_age=499), ["policy-weakened"], id="less than half as long"),
        pytest.param(OLD, changed(max_age=9999), [], id="longer"),
        pytest.param(OLD, changed(mx="c.test"), ["policy-replaced"], id="other hosts"),
        pytest.param(OLD, changed(mx="b.test"), ["policy-replaced"], id="no pattern is left"),
        pytest.param(OLD, changed(mx="*.b.test c.test"), [], id="one is left"),
        pytest.param(
            OLD,
            changed("testing", "c.test", 1),
            ["policy-weakened", "policy-weakened", "policy-replaced"],
            id="all at once",
        ),
        pytest.param(changed("testing"), OLD, [], id="to enforce"),
        pytest.param(
            changed("testing"), changed("testing", "c.test"), ["policy-replaced"], id="in testing"
        ),
        pytest.param(changed("testing"), changed("none", ""), [], id="testing to none"),
        pytest.param(changed("none", ""), changed("enforce", "c.test", 1), [], id="from none"),
    ],
)
def test_losses(before: Policy, after: Policy, reasons: list[str]) -> None:
    found = losses(before, after)
    assert [reason for reason, _ in found] == reasons
    assert all(text for _, text in found)


def test_a_long_list_of_hosts_is_told_in_short() -> None:
    many = changed(mx=" ".join(f"{n}.test" for n in range(2000)))
    ((_, text),) = losses(OLD, many)
    assert text.endswith("4.test and 1995 more")
