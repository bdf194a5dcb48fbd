"""validate_mx against a naive oracle that compares label by label."""

from hypothesis import given
from hypothesis import strategies as st

from relay.mta_sts import Policy, validate_mx
from relay.mta_sts.match import _find_match

labels = st.sampled_from(["a", "b", "mx", "x-1"])
names = st.lists(labels, min_size=1, max_size=4).map(".".join)
patterns = st.tuples(st.sampled_from(["", "*."]), names).map("".join)


def oracle(host: str, pattern: str) -> bool:
    ours, theirs = host.split("."), pattern.split(".")
    return len(ours) == len(theirs) and all(
        b in ("*", a) if index == 0 else a == b
        for index, (a, b) in enumerate(zip(ours, theirs, strict=True))
    )


@given(names, st.lists(patterns, max_size=4))
def test_sts_81_agrees_with_the_oracle(host: str, mx: list[str]) -> None:
    verdict = validate_mx(host, Policy(mode="enforce", mx=tuple(mx)))
    assert verdict.valid == any(oracle(host, pattern) for pattern in mx)


@given(st.text(), st.lists(st.text(), max_size=3))
def test_never_raises(host: str, mx: list[str]) -> None:
    assert validate_mx(host, Policy(mode="testing", mx=tuple(mx))).testing


def test_sts_91_mode_none_and_no_policy_allow_every_host() -> None:
    for policy in (None, Policy(mode="none", mx=("other.test",))):
        shown = validate_mx("mx.d.test", policy).as_dict()
        assert shown == {"valid": True, "mode": "none", "testing": False}


def test_a_wildcard_match_is_told_without_its_star() -> None:
    policy = Policy(mode="enforce", mx=("*.mail.d.test",))
    assert validate_mx("MX.mail.D.test.", policy).as_dict() == {
        "valid": True,
        "mode": "enforce",
        "match": ".mail.d.test",
        "testing": False,
    }


def test_what_is_large_is_judged_and_not_remembered() -> None:
    """Whoever owns a zone may have a thousand policies of ten thousand patterns."""
    many = tuple(f"mx{number}.d.test" for number in range(21))
    validate_mx("mx0.d.test", Policy(mode="enforce", mx=many[:20]))
    held = _find_match.cache_info().currsize
    assert validate_mx("mx20.d.test", Policy(mode="enforce", mx=many)).match == "mx20.d.test"
    assert not validate_mx("x" * 254, Policy(mode="enforce", mx=many[:20])).valid
    assert _find_match.cache_info().currsize == held


def test_each_policy_has_its_own_verdict() -> None:
    for patterns, valid in ((("a.test",), True), (("b.test",), False), (("a.test",), True)):
        assert validate_mx("a.test", Policy(mode="enforce", mx=patterns)).valid is valid
