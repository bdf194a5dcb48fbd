"""What is sloppy and what is not: set-ups, and the remarks each brings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.mta_sts import MtaStsError, Policy, parse_policy
from relay.mta_sts.lint import Remark, Setup, lint

RECORD = [b"v=STSv1; id=1;"]
BODY = b"version: STSv1\r\nmode: enforce\r\nmx: mx.d.test\r\nmax_age: 604800\r\n"


def told(remarks: list[Remark]) -> list[tuple[str, str]]:
    return [(str(remark.severity), remark.text) for remark in remarks]


def of_body(body: bytes) -> list[tuple[str, str]]:
    return told(lint(Setup("d.test", body=body)))


def of_hosts(mode: str, patterns: tuple[str, ...], *hosts: str) -> list[tuple[str, str]]:
    policy = Policy(version="STSv1", mode=mode, mx=patterns, max_age=604800)
    return told(lint(Setup("d.test", policy=policy, hosts=hosts)))


def test_nothing_to_remark() -> None:
    policy = parse_policy(BODY)
    assert lint(Setup("d.test", [RECORD], BODY, policy, ["mx.d.test"])) == []
    assert lint(Setup("d.test")) == []


@pytest.mark.parametrize(
    "body",
    [
        BODY,
        BODY.replace(b"\r\n", b"\n"),
        BODY.replace(b": ", b":"),
        BODY.replace(b"\r", b"\t\r"),
        BODY + b"mx: other.d.test\r\n",
    ],
)
def test_sts_21_what_the_grammar_allows_is_no_fault(body: bytes) -> None:
    assert of_body(body) == []


@pytest.mark.parametrize(
    ("more", "severity", "text"),
    [
        (b"\r\n", "warning", "line 5 of the policy: blank"),
        (b"\n \t\n", "warning", "lines 5, 6 of the policy: blank"),
        (b"\n" * 9, "warning", "lines 5, 6, 7, 8, 9 and 4 more of the policy: blank"),
        (b"hello\n", "warning", "line 5 of the policy: no colon in 'hello'"),
        (b"mode : none\n", "warning", "no field name before the colon in 'mode : none'"),
        (b" mx: a.test\n", "warning", "no field name before the colon in ' mx: a.test'"),
        ("\ufeffmx: a.test\n".encode(), "warning", "in '\\ufeffmx: a.test'"),
        (b"mode: testing\n", "warning", "line 5 of the policy: 'mode' once more; the first"),
        (b"mx: MX.d.test\n", "note", "the pattern 'MX.d.test' once more"),
        (b"report: x\n", "note", "'report' is unknown"),
        (b"Mode: none\n", "warning", "'Mode' is passed over, it is 'mode'"),
        (b"max-age: 1\n", "warning", "'max-age' is passed over, it is 'max_age'"),
        (b"note: a\x00b\n", "warning", "odd characters in 'a\\x00b'"),
        (b"note: \xff\n", "warning", "odd characters in '\\ufffd'"),
        (b"note: a", "note", "no line end"),
    ],
)
def test_sts_31_a_line_that_does_not_belong(more: bytes, severity: str, text: str) -> None:
    remarks = of_body(BODY + more)
    assert [one for one in remarks if one[0] == severity and text in one[1]], remarks
    assert ("serious", text) not in remarks


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "version"),
        (BODY.replace(b"STSv1", b"stsv1"), "version"),
        (BODY.replace(b"enforce", b"Enforce"), "mode"),
        (BODY.replace(b"604800", b"a week"), "max_age"),
        (BODY.replace(b"mx.d.test", b"mx.*.test"), "mx"),
    ],
)
def test_sts_32_a_void_policy_is_serious(body: bytes, field: str) -> None:
    severity, text = of_body(body)[0]
    assert severity == "serious"
    assert f"the policy's {field} is" in text


@pytest.mark.parametrize(
    ("records", "severity", "text"),
    [
        ([[b"v=STSv1; id=1;"], [b"v=STSv1; id=2;"]], "serious", "2 TXT records at _mta-sts.d.test"),
        ([[b"v=STSv1; id=a-b;"]], "serious", "not valid"),
        ([[b"v=STSv1;"]], "serious", "not valid"),
        ([[b"v=stsv1; id=1;"]], "serious", "not valid"),
        ([[b"v=STSv1"]], "serious", "not valid"),
        ([[b"v=spf1 -all"]], "note", "not for MTA-STS: 'v=spf1 -all'"),
        ([RECORD, [b"v=spf1 -all"]], "note", "not for MTA-STS"),
        ([RECORD, [b"v=STSv1 ; id=2"]], "warning", "passed over"),
        ([[b"v=STSv1 ; id=1;"], [b"x"]], "warning", "passed over"),
        ([[b"v=STSv1; id=1; id=2;"]], "warning", "several ids"),
        ([[b"v=STSv1; id=1; x=2;"]], "note", "unknown field 'x'"),
        ([[b"v=STSv1; id", b"=1"]], "note", "does not end with a semicolon"),
    ],
)
def test_sts_03_a_record_that_is_not_as_it_should(
    records: list[list[bytes]], severity: str, text: str
) -> None:
    remarks = told(lint(Setup("d.test", records)))
    assert [one for one in remarks if one[0] == severity and text in one[1]], remarks


@pytest.mark.parametrize("records", [[], [RECORD], [[b"v=STSv1;", b"id=1; "]]])
def test_records_as_they_should_be(records: list[list[bytes]]) -> None:
    assert lint(Setup("d.test", records)) == []


@pytest.mark.parametrize(("max_age", "count"), [(0, 1), (86_399, 1), (86_400, 0), (604_800, 0)])
def test_sts_73_a_short_max_age(max_age: int, count: int) -> None:
    policy = Policy(version="STSv1", mode="enforce", mx=("a",), max_age=max_age)
    assert len(lint(Setup("d.test", policy=policy))) == count
    assert not lint(Setup("d.test", policy=Policy(version="STSv1", mode="none")))
    assert not lint(Setup("d.test", policy=Policy()))


class TestHosts:
    def test_sts_81_listed_by_name_and_by_wildcard(self) -> None:
        assert not of_hosts("enforce", ("mx.d.test", "*.d.test"), "mx.d.test")
        assert not of_hosts("testing", ("*.d.test",), "a.d.test", "B.D.test")

    def test_sts_87_a_host_without_pattern_is_serious_under_enforce(self) -> None:
        remarks = of_hosts("enforce", ("*.d.test",), "mx.d.test", "a.b.d.test")
        assert remarks == [
            (
                "serious",
                "the MX host a.b.d.test is covered by no pattern of the policy: "
                "senders do not give it mail",
            )
        ]

    def test_no_host_left(self) -> None:
        remarks = of_hosts("enforce", ("other.test",), "mx1.d.test", "mx2.d.test")
        severities = [severity for severity, _ in remarks]
        assert severities == ["serious", "serious", "serious", "note"]
        assert "no MX host is left" in remarks[2][1]

    def test_sts_89_testing_only_warns(self) -> None:
        (remark, _) = of_hosts("testing", ("other.test",), "mx.d.test")
        assert remark[0] == "warning"

    def test_sts_91_mode_none_says_nothing_about_hosts(self) -> None:
        assert not of_hosts("none", ("other.test",), "mx.d.test")

    def test_a_pattern_without_a_host(self) -> None:
        remarks = of_hosts("enforce", ("mx.d.test", "*.spare.test"), "mx.d.test")
        assert remarks == [("note", "the pattern *.spare.test matches no current MX host")]

    def test_without_hosts_no_pattern_is_blamed(self) -> None:
        assert not of_hosts("enforce", ("mx.d.test",))


@pytest.mark.parametrize(
    ("name", "severity"),
    [
        ("_mta-sts.d.test", "note"),
        ("mta-sts.d.test", "note"),
        ("d.test", "note"),
        ("mx.d.test", "warning"),
    ],
)
def test_sts_11_aliases(name: str, severity: str) -> None:
    ((seen, text),) = told(lint(Setup("d.test", aliases={name: "else.where.test"})))
    assert seen == severity
    assert f"{name} is an alias (CNAME) of else.where.test" in text


def test_what_matters_most_comes_first_and_the_rest_is_counted() -> None:
    remarks = lint(Setup("d.test", body=b"".join(b"x%d: 1\n" % n for n in range(100))))
    assert [remark.severity for remark in remarks[:2]] == ["serious", "note"]
    assert len(remarks) == 41
    assert remarks[-1].text == "61 more remarks of this kind are not shown"


lines = st.sampled_from(
    [b"version: STSv1", b"mode: enforce", b"mode", b"", b" ", b"mx: *.d.test", b"max_age: 1", b":"]
)
bodies = st.binary() | st.lists(lines | st.binary(max_size=6)).map(b"\n".join)


@given(
    st.lists(st.lists(st.binary(max_size=20) | st.just(b"v=STSv1;"), max_size=2), max_size=3),
    bodies,
    st.lists(st.text(max_size=9), max_size=3),
)
def test_never_raises(records: list[list[bytes]], body: bytes, hosts: list[str]) -> None:
    policy = Policy(version="STSv1", mode="enforce", mx=tuple(hosts[1:]), max_age=1)
    remarks = lint(Setup("d.test", records, body, policy, hosts, dict.fromkeys(hosts, "x")))
    try:
        parse_policy(body)
    except MtaStsError as error:
        assert error.message in [remark.text for remark in remarks]  # noqa: PT017
