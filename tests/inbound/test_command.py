"""The arguments of MAIL and RCPT: good, bad, and nonsense."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.inbound.command import CommandError, parse_mail, parse_rcpt


@pytest.mark.parametrize(
    ("argument", "address", "options"),
    [
        ("FROM:<a@b.test>", "a@b.test", []),
        pytest.param("from:<Joe@D.TEST>", "Joe@D.TEST", [], id="SRV-09"),
        pytest.param("FROM:<>", "<>", [], id="SRV-32"),
        pytest.param("FROM: <a@b.test>", "a@b.test", [], id="SRV-08: a blank after the colon"),
        pytest.param("FROM:<@a.test,@b.test:u@c.test>", "u@c.test", [], id="SRV-10"),
        pytest.param("FROM:<@a.test:>", "<>", [], id="SRV-10: a route to nowhere"),
        pytest.param('FROM:<"a b>c"@d.test>', '"a b>c"@d.test', [], id="quoted local part"),
        pytest.param(r'FROM:<"a\"b"@d.test>', r'"a\"b"@d.test', [], id="quoted pair"),
        pytest.param("FROM:<a@[IPv6:::1]>", "a@[IPv6:::1]", [], id="address literal"),
        ("FROM:<a@b.test>  SIZE=1000", "a@b.test", ["SIZE=1000"]),
        ("FROM:<a@b.test> body=8bitmime SMTPUTF8", "a@b.test", ["body=8bitmime", "SMTPUTF8"]),
        pytest.param(f"FROM:<> SIZE={'1'.zfill(20)}", "<>", [f"SIZE={'1'.zfill(20)}"], id="EXT-06"),
    ],
)
def test_mail(argument: str, address: str, options: list[str]) -> None:
    mail = parse_mail(argument, extended=True)
    assert (mail.address, mail.options) == (address, options)


@pytest.mark.parametrize(
    ("argument", "code"),
    [
        ("", "501 5.5.4"),
        ("FROM", "501 5.5.4"),
        ("FROM:", "501 5.5.4"),
        ("TO:<a@b.test>", "501 5.5.4"),
        ("FROM :<a@b.test>", "501 5.5.4"),
        ("FROM:a@b.test", "501 5.5.4"),
        ("FROM:<a@b.test", "501 5.5.4"),
        ("FROM:<a@b.test>>", "501 5.5.4"),
        ("FROM:<a@b.test>SIZE=1", "501 5.5.4"),
        ('FROM:<"a@b.test>', "501 5.5.4"),
        ("FROM:<a b@c.test>", "501 5.5.4"),
        pytest.param("FROM:<a@b.test> FOO=1", "555 5.5.4", id="SRV-11"),
        pytest.param("FROM:<a@b.test> AUTH=<>", "555 5.5.4", id="SRV-11: not offered"),
        pytest.param("FROM:<a@b.test> =1", "555 5.5.4", id="SRV-11: no keyword"),
        pytest.param("FROM:<a@b.test> SIZE=1 SIZE=1", "501 5.5.4", id="EXT-06: twice"),
        pytest.param(f"FROM:<a@b.test> SIZE={'1' * 21}", "501 5.5.4", id="EXT-06: 21 digits"),
        pytest.param("FROM:<a@b.test> SIZE", "501 5.5.4", id="EXT-06: no value"),
        pytest.param("FROM:<a@b.test> SIZE=-1", "501 5.5.4", id="EXT-06: no number"),
        pytest.param("FROM:<a@b.test> SIZE=\u0661", "501 5.5.4", id="EXT-06: no ASCII digit"),
        pytest.param("FROM:<a@b.test> BODY=BINARYMIME", "501 5.5.4", id="EXT-12"),
        pytest.param("FROM:<a@b.test> BODY", "501 5.5.4", id="EXT-12: no value"),
        pytest.param("FROM:<a@b.test> SMTPUTF8=1", "501 5.5.4", id="EXT-13: a value"),
    ],
)
def test_bad_mail(argument: str, code: str) -> None:
    with pytest.raises(CommandError, match=f"^{code} "):
        parse_mail(argument, extended=True)


def test_after_helo_no_parameters() -> None:
    with pytest.raises(CommandError, match=r"^555 5\.5\.4 "):
        parse_mail("FROM:<a@b.test> SIZE=1", extended=False)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param("RET=FULL", id="DSN-01"),
        pytest.param("ret=hdrs ENVID=QQ314159", id="DSN-01: any case"),
        pytest.param("ENVID=a+2Bb+20c", id="DSN-02: xtext"),
        pytest.param(f"ENVID={'x' * 100}", id="DSN-02: 100 characters"),
    ],
)
def test_dsn_01_mail_with_dsn(options: str) -> None:
    found = parse_mail(f"FROM:<a@b.test> {options}", extended=True)
    assert found.options == options.split(" ")


@pytest.mark.parametrize(
    "option",
    [
        "RET",
        "RET=",
        "RET=ALL",
        "ENVID",
        "ENVID=",
        "ENVID=a+2bb",
        "ENVID=a+b",
        "ENVID=a=b",
        "ENVID=\u00fc",
        "ENVID=a+0D+0AEvil:",
        "ENVID=a+7F",
        f"ENVID={'x' * 101}",
        "RET=FULL RET=FULL",
    ],
)
def test_dsn_02_mail_with_bad_dsn(option: str) -> None:
    with pytest.raises(CommandError, match=r"^501 5\.5\.4 "):
        parse_mail(f"FROM:<a@b.test> {option}", extended=True)


@pytest.mark.parametrize(
    ("option", "utf8"),
    [
        ("NOTIFY=NEVER", False),
        ("notify=success,Failure,DELAY", False),
        ("ORCPT=rfc822;Joe+2Bx@D.TEST", False),
        ("ORCPT=x-own;+20", False),
        ("ORCPT=utf-8;j\\x{FC}@d.test", False),
        ("ORCPT=utf-8;j\u00fc@d.test", True),
        (f"ORCPT=rfc822;{'x' * 493}", False),
    ],
)
def test_dsn_01_rcpt_with_dsn(option: str, utf8: bool) -> None:
    assert parse_rcpt(f"TO:<a@b.test> {option}", extended=True, utf8=utf8).options == [option]


@pytest.mark.parametrize(
    ("option", "utf8"),
    [
        ("NOTIFY", False),
        ("NOTIFY=", False),
        ("NOTIFY=ALWAYS", False),
        ("NOTIFY=NEVER,DELAY", False),
        ("NOTIFY=DELAY,DELAY", False),
        ("NOTIFY=DELAY,", False),
        ("NOTIFY=DELAY NOTIFY=NEVER", False),
        ("ORCPT=rfc822", False),
        ("ORCPT=rfc822;", False),
        ("ORCPT=;a@b", False),
        ("ORCPT=rfc 822;a@b", False),
        ("ORCPT=rfc822;a+0A@b", False),
        ("ORCPT=rfc822;j\u00fc@d.test", True),
        ("ORCPT=utf-8;j\u00fc@d.test", False),
        ("ORCPT=utf-8;j\u2028@d.test", True),
        (f"ORCPT=rfc822;{'x' * 494}", False),
    ],
)
def test_dsn_02_rcpt_with_bad_dsn(option: str, utf8: bool) -> None:
    with pytest.raises(CommandError, match=r"^(501|555) 5\.5\.4 "):
        parse_rcpt(f"TO:<a@b.test> {option}", extended=True, utf8=utf8)


def test_rcpt() -> None:
    assert parse_rcpt("To:<@a.test:U@c.test>", extended=True).address == "U@c.test"
    with pytest.raises(CommandError, match=r"^555 5\.5\.4 "):
        parse_rcpt("TO:<a@b.test> SIZE=1", extended=True)


def answer(argument: str, *, extended: bool) -> str:
    try:
        return parse_mail(argument, extended=extended).address
    except CommandError as refusal:
        return str(refusal)


@given(st.text(), st.booleans())
def test_nonsense_is_refused_or_understood(text: str, extended: bool) -> None:
    for argument in (text, f"FROM:{text}", f"FROM:<{text}>", f"FROM:<a@b.test> {text}"):
        got = answer(argument, extended=extended)
        assert got == "<>" or got in argument or re.match(r"(501|555) 5\.5\.4 [ -~]+$", got)
