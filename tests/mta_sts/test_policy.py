"""The policy file: bytes that are nearly right, and the documented object."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.address import Domain
from relay.mta_sts import MtaStsError, Policy, parse_policy, parse_txt
from relay.mta_sts.policy import CachedPolicy, moment

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


VERSION, MODE, MAX_AGE, MX = (f"invalid_sts_{key}" for key in ("version", "mode", "max_age", "mx"))
NAME_253 = ".".join(["a" * 61] * 4) + ".test"

# the change to the good file, then the error, or None where it stays as good
TABLE: list[Any] = [
    pytest.param(b"\n", b"\r\n", None, id="STS-20: CRLF"),
    pytest.param(b"enforce\n", b"enforce\r\n", None, id="STS-20: mixed"),
    pytest.param(b"86400\n", b"86400", None, id="STS-20: the last one is missing"),
    pytest.param(b"\n", b"\r", VERSION, id="STS-20: CR alone"),
    pytest.param(b"enforce\n", b"enforce\r\r\n", MODE, id="STS-20: CR CRLF"),
    pytest.param(b"mode: enforce", b"mode:\tenforce  \t", None, id="STS-21: any blanks"),
    pytest.param(b"mode: ", b"mode:", None, id="STS-21: none"),
    pytest.param(b"mode:", b" mode:", MODE, id="STS-21: before the key"),
    pytest.param(b"mode:", b"mode :", MODE, id="STS-21: before the colon"),
    pytest.param(b"mode: ", b"mode= ", MODE, id="STS-21: a colon it is"),
    pytest.param(b"version", b"\xef\xbb\xbfversion", VERSION, id="STS-21: a byte order mark"),
    pytest.param(b"mode", b"Mode", MODE, id="STS-23: a key"),
    pytest.param(b"enforce", b"Enforce", MODE, id="STS-23: a mode"),
    pytest.param(b"STSv1", b"stsv1", VERSION, id="STS-23: the version"),
    pytest.param(b"mx: ", b"MX: ", MX, id="STS-23: mx"),
    pytest.param(b"mx.d.test", b"MX.D.Test", None, id="STS-23: but a host name has none"),
    pytest.param(b"version: STSv1\n", b"", VERSION, id="STS-24: missing"),
    pytest.param(b"STSv1", b"STSv2", VERSION, id="STS-24: another"),
    pytest.param(b"STSv1", b"STSv1 1", VERSION, id="STS-24: something behind it"),
    pytest.param(b"STSv1", b"", VERSION, id="STS-24: empty"),
    pytest.param(b"version: STSv1\n", b"\0version: STSv1\n", VERSION, id="STS-24: NUL before it"),
    pytest.param(b"mode: enforce\n", b"", MODE, id="STS-25: missing"),
    pytest.param(b"enforce", b"", MODE, id="STS-25: empty"),
    pytest.param(b"enforce", b"report", MODE, id="STS-25: another"),
    pytest.param(b"enforce", b"enforce;", MODE, id="STS-25: something behind it"),
    pytest.param(b"max_age: 86400\n", b"", MAX_AGE, id="STS-26: missing"),
    pytest.param(b"86400", b"31557601", MAX_AGE, id="STS-26: one too many"),
    pytest.param(b"86400", b"00000086400", MAX_AGE, id="STS-26: 11 digits"),
    pytest.param(b"86400", b"0000086400", None, id="STS-26: 10 digits"),
    pytest.param(b"86400", b"86400.0", MAX_AGE, id="STS-26: a fraction"),
    pytest.param(b"mx: mx.d.test\n", b"", MX, id="STS-27: missing"),
    pytest.param(b"mx.d.test", b"", MX, id="STS-27: empty"),
    pytest.param(b"mx.d.test", b"mx.d.test, b.test", MX, id="STS-27: a list"),
    pytest.param(b"mx.d.test", b"mx.d.test b.test", MX, id="STS-27: a list with blanks"),
    *(
        pytest.param(b"mx.d.test", wrong, MX, id=f"STS-28: {name}")
        for name, wrong in [
            ("a star", b"*"), ("a star and a dot", b"*."), ("two stars", b"*.*.d.test"),
            ("a star in a label", b"*x.d.test"), ("a star within", b"a.*.test"),
            ("a dot first", b".d.test"), ("a dot last", b"mx.d.test."), ("two dots", b"mx..d.test"),
            ("a U-label", "m\u00fc.test".encode()), ("a port", b"mx.d.test:25"),
            ("a literal", b"[192.0.2.1]"), ("an underscore", b"a_b.test"),
            ("a hyphen first", b"-a.test"), ("a hyphen last", b"a-.test"),
            ("a label of 64", b"a" * 64 + b".test"), ("a name too long", b"a." * 126 + b"test"),
            ("NUL", b"mx.d.test\0"), ("a quoted one", b'"mx.d.test"'),
        ]
    ),
    pytest.param(b"mx: mx", b"mx: !\nmx: mx", MX, id="STS-28: one of two"),
    pytest.param(b"mode", b"future_1: x\nmode", None, id="STS-29"),
    pytest.param(b"mode", b"a" * 32 + b": x\nmode", None, id="STS-29: 32 characters"),
    pytest.param(b"mode", "x: \xfc\u2028\U0001f40d\nmode".encode(), None, id="STS-29: UTF-8"),
    pytest.param(b"mode: enforce\n", b"mode: enforce\nmode: none\n", None, id="STS-30"),
    pytest.param(b"86400\n", b"86400\nmax_age: never\nversion: 9\n", None, id="STS-30: if wrong"),
    pytest.param(b"mode: ", b"mode: x\nmode: ", MODE, id="STS-30: the first is wrong"),
    pytest.param(b"mode", b"\n\nmode", None, id="STS-31: blank lines"),
    pytest.param(b"mode", b"no colon\n: x\n?: y\nmode", None, id="STS-31: other lines"),
    pytest.param(b"mode", b"a" * 33 + b": x\nmode", None, id="STS-31: a key of 33"),
    pytest.param(b"mode", b"x: \xff\xfe\xed\xa0\x80\nmode", None, id="STS-33: an unknown value"),
    pytest.param(b"enforce", b"enforce\xff", MODE, id="STS-33: the mode"),
    pytest.param(b"mx.d.test", b"mx.d.test\xff", MX, id="STS-33: a pattern"),
]  # fmt: skip


@pytest.mark.parametrize(("part", "instead", "code"), TABLE)
def test_file(part: bytes, instead: bytes, code: str | None) -> None:
    assert part in GOOD
    body = GOOD.replace(part, instead)
    if code is None:
        assert parse_policy(body) == parse_policy(GOOD)
        return
    with pytest.raises(MtaStsError) as caught:
        parse_policy(body)
    assert caught.value.code == code


@pytest.mark.parametrize("number", [0, 1, 31557600])
def test_sts_26_bounds(number: int) -> None:
    assert parse_policy(GOOD.replace(b"86400", str(number).encode())).max_age == number


def test_sts_24_lines_in_any_order() -> None:
    assert parse_policy(b"\n".join(reversed(GOOD.splitlines()))) == parse_policy(GOOD)


@pytest.mark.parametrize("mode", ["testing", "none"])
def test_sts_27_only_mode_none_needs_no_mx(mode: str) -> None:
    body = GOOD.replace(b"enforce", mode.encode()).replace(b"mx: mx.d.test\n", b"")
    if mode == "none":
        assert parse_policy(body).mx == ()
    else:
        with pytest.raises(MtaStsError, match="mx is missing"):
            parse_policy(body)


@pytest.mark.parametrize(
    "pattern", ["test", "*.test", "xn--bcher-kva.test", "1.2.test", "a-b.test", "a" * 63, NAME_253]
)
def test_sts_28_names_and_wildcards(pattern: str) -> None:
    assert parse_policy(GOOD.replace(b"mx.d.test", pattern.encode())).mx == (pattern,)


def test_a_long_line_takes_no_long_time() -> None:
    """A pattern that backs up over blanks would need hours for this."""
    for line in (b"x: a" + b" " * 2**21 + b"b", b"x" + b" " * 2**21, b"x:" + b"\r" * 2**21):
        assert parse_policy(GOOD + line) == parse_policy(GOOD)
        assert parse_txt([[b"v=STSv1; id=a" + line]]) is None


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


def test_a_finding_does_not_carry_ten_thousand_patterns() -> None:
    body = GOOD + b"".join(b"mx: %d.test\n" % number for number in range(200))
    snapshot = CachedPolicy(Domain("d.test"), "1", parse_policy(body)).snapshot()
    assert snapshot is not None
    assert (len(snapshot.mx), snapshot.mx[:2]) == (100, ("mx.d.test", "0.test"))
