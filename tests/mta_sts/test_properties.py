"""What holds for any input: nearly right files and records, characters that only look alike."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.mta_sts import MtaStsError, Policy, parse_policy, parse_txt, validate_mx
from relay.mta_sts.lint import Setup, lint
from relay.mta_sts.policy import print_policy

LINES = ["version: STSv1", "mode: enforce", "mx: mx1.d.test", "mx: *.d.test", "max_age: 86400"]
TEXT = "".join(f"{line}\n" for line in LINES)
RECORD = "v=STSv1; id=20260901;"
CODES = ("invalid_sts_version", "invalid_sts_mode", "invalid_sts_max_age", "invalid_sts_mx")

# They look like blanks, line ends, dots or digits, and are none of those here
STRANGE = [
    *"\u2028\u2029\x85\x0b\x0c\xa0\x1c\x1d\x1e\x1f\x00\u3000\ufeff\u200b\u00ad",
    *"\u3002\uff0e\uff61\uff11\u0661\u00b2\uff1a\uff1b\uff1d\uff0d",
]
strange = st.sampled_from(STRANGE)
junk = st.one_of(st.binary(min_size=1, max_size=3), strange.map(str.encode), st.just(b"\r"))


def parsed(body: bytes) -> Policy | str:
    """The policy, or the code of the error."""
    try:
        return parse_policy(body)
    except MtaStsError as error:
        return error.code


@given(st.data())
def test_nearly_right_files_raise_only_their_own_error(data: st.DataObject) -> None:
    body = bytearray(TEXT.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body)))
        body[at : at + data.draw(st.integers(0, 3))] = data.draw(junk)
    found = parsed(bytes(body))
    assert isinstance(found, Policy) or found in CODES
    lint(Setup("d.test", body=bytes(body)))  # never raises


@given(st.data())
def test_nearly_right_records_raise_nothing_alone(data: st.DataObject) -> None:
    record = bytearray(RECORD.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(record)))
        record[at : at + data.draw(st.integers(0, 3))] = data.draw(junk)
    found = parse_txt([[bytes(record)]])
    assert found is None or (found.isalnum() and found.isascii() and len(found) <= 32)


@given(st.data())
def test_sts_20_22_what_looks_like_a_blank_or_an_end_changes_no_policy(data: st.DataObject) -> None:
    number = data.draw(st.integers(0, len(LINES)))
    line = LINES[number] if number < len(LINES) else ""
    at = data.draw(st.integers(0, len(line)))
    changed = [*LINES[:number], line[:at] + data.draw(strange) + line[at:], *LINES[number + 1 :]]
    without = [*LINES[:number], *LINES[number + 1 :]]
    found = parsed("\n".join(changed).encode())
    # the line is an error or no field at all; it is never read as another
    assert found in (*CODES, parsed("\n".join(without).encode()))


@given(strange, st.integers(0, len(RECORD)))
def test_sts_12_what_looks_like_a_part_of_a_record_is_none(char: str, at: int) -> None:
    assert parse_txt([[(RECORD[:at] + char + RECORD[at:]).encode()]]) is None


@given(strange, st.integers(0, len("mx1.d.test")))
def test_sts_81_what_looks_like_a_part_of_a_name_never_matches(char: str, at: int) -> None:
    host = "mx1.d.test"
    policy = Policy(mode="enforce", mx=(host, "*.d.test"))
    assert validate_mx(host, policy).valid
    assert not validate_mx(host[:at] + char + host[at:], policy).valid


@pytest.mark.parametrize(
    "host",
    ["k\uff11.d.test", "k1\u3002d.test", "\uff4b1.d.test", "\u212a1.d.test", "\xadk1.d.test"],
)
def test_sts_81_nothing_is_mapped_to_a_name(host: str) -> None:
    assert not validate_mx(host, Policy(mode="enforce", mx=("k1.d.test",))).valid
    assert not validate_mx("k1.d.test", Policy(mode="enforce", mx=(host,))).valid


labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
names = st.lists(labels, min_size=1, max_size=4).map(".".join)
patterns = st.tuples(st.sampled_from(["", "*."]), names).map("".join)


@given(
    st.sampled_from(["enforce", "testing", "none"]),
    st.lists(patterns, min_size=1, unique=True),
    st.integers(0, 31_557_600),
)
def test_a_policy_printed_and_parsed_again_is_the_same(
    mode: str, mx: list[str], max_age: int
) -> None:
    policy = Policy(version="STSv1", mode=mode, mx=tuple(mx), max_age=max_age)
    assert parse_policy(print_policy(policy).encode()) == policy
