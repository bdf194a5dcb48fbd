"""The policy file: bytes that are nearly right, and the documented object."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.mta_sts import MtaStsError, Policy, parse_policy, parse_txt
from relay.mta_sts.policy import moment

GOOD = b"version: STSv1\nmode: enforce\nmx: mx.d.test\nmax_age: 86400\n"


@given(st.binary())
def test_parsers_raise_only_their_own_error(data: bytes) -> None:
    for parse in (parse_policy, lambda one: parse_txt([[one]])):
        try:
            parse(data)
        except MtaStsError as error:
            assert error.code.startswith(("invalid_sts_", "multi_sts_"))  # noqa: PT017


@pytest.mark.parametrize(
    "strange",
    ["\u2028", "\u0085", "\x0b", "\x0c", "\xa0", "\x1c", "\u3000"],
    ids=["U+2028", "NEL", "VT", "FF", "NBSP", "FS", "ideographic space"],
)
class TestNothingElseEndsALineOrIsBlank:
    def test_sts_20_does_not_split(self, strange: str) -> None:
        body = GOOD.replace(b"mode: enforce\n", f"mode: enforce{strange}mode: none\n".encode())
        with pytest.raises(MtaStsError, match="mode") as caught:
            parse_policy(body)
        assert caught.value.code == "invalid_sts_mode"

    def test_sts_22_is_not_stripped(self, strange: str) -> None:
        with pytest.raises(MtaStsError):
            parse_policy(GOOD.replace(b"enforce", f"enforce{strange}".encode()))


@pytest.mark.parametrize("number", ["-1", "+1", "1_000", "\uff11\uff12", "1e3", "", "0x10", "1 0"])
def test_sts_26_max_age_is_ascii_digits(number: str) -> None:
    with pytest.raises(MtaStsError) as caught:
        parse_policy(GOOD.replace(b"86400", number.encode()))
    assert caught.value.code == "invalid_sts_max_age"


def test_sts_32_the_first_fault_in_order_is_told() -> None:
    faults = [b"version: STSv1\n", b"mode: enforce\n", b"max_age: 1\n", b"mx: a.test\n"]
    codes = []
    for kept in range(4):
        with pytest.raises(MtaStsError) as caught:
            parse_policy(b"".join(faults[:kept]) + b"mx: !\n")
        codes.append(caught.value.code)
    assert codes == [
        "invalid_sts_version",
        "invalid_sts_mode",
        "invalid_sts_max_age",
        "invalid_sts_mx",
    ]


def test_sts_31_sloppy_lines_change_nothing() -> None:
    assert parse_policy(b"\n\nhello\n: x\n" + GOOD + b"\nmode: none\n") == parse_policy(GOOD)


labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
names = st.lists(labels, min_size=1, max_size=4).map(".".join)
patterns = st.tuples(st.sampled_from(["", "*."]), names).map("".join)


@given(
    st.sampled_from(["enforce", "testing"]),
    st.lists(patterns, min_size=1, unique=True),
    st.integers(0, 31557600),
    st.sampled_from(["\n", "\r\n"]),
)
def test_printed_and_parsed_again(mode: str, mx: list[str], max_age: int, end: str) -> None:
    lines = ["version: STSv1", f"mode: {mode}", *(f"mx: {one}" for one in mx)]
    policy = parse_policy(end.join([*lines, f"max_age: {max_age}"]).encode())
    assert (policy.mode, policy.mx, policy.max_age) == (mode, tuple(mx), max_age)


@pytest.mark.parametrize(
    ("policy", "shown"),
    [
        (Policy(), {"id": False, "mode": "none"}),
        (
            Policy("1", "STSv1", "enforce", ("a.test",), 60, moment(0)),
            {
                "id": "1",
                "version": "STSv1",
                "mode": "enforce",
                "mx": ["a.test"],
                "maxAge": 60,
                "expires": "1970-01-01T00:00:00.000Z",
            },
        ),
        (
            Policy("1", "STSv1", "none", (), 60, moment(1.5)),
            {
                "id": "1",
                "version": "STSv1",
                "mode": "none",
                "maxAge": 60,
                "expires": "1970-01-01T00:00:01.500Z",
            },
        ),
        (
            Policy("1", expires=moment(0), error=MtaStsError("http_status_404", "gone")),
            {
                "id": "1",
                "mode": "none",
                "expires": "1970-01-01T00:00:00.000Z",
                "error": {"message": "gone", "code": "http_status_404"},
            },
        ),
    ],
)
def test_the_documented_object(policy: Policy, shown: dict[str, object]) -> None:
    assert policy.as_dict() == shown
