"""The notice a sender gets: true, complete, and fit for any mail program."""

import email
from collections.abc import Sequence
from dataclasses import replace
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.envelope import DsnRequest, Envelope, Message
from relay.evidence import Action, Failure, Finding, PolicySnapshot
from relay.outcome import Outcome, Reason, Status
from relay.queue.dsn import write_notice
from relay.queue.job import Job
from relay.queue.notice import Fates, Notice
from relay.reply import Reply, parse_reply
from relay.timestamp import rfc5322

NOW, CREATED, ENDS = 1_700_000_000.0, 1_699_990_000.0, 1_700_400_000.0
ORIGINAL = b"Received: here\r\nSubject: hello\r\n\r\nthe body\r\n"
POLICY = PolicySnapshot("20260101", "enforce", ("mx.d.test",), 86400, 2e9)
REFUSED = Reply(550, "5.1.1", "no such user")
HELD = Reply(451, "4.7.1", "no mail host of d.test passed its policy")
EXPIRED = Finding(
    NOW,
    "d.test",
    POLICY,
    Failure.CERTIFICATE_EXPIRED,
    "the certificate ended on 2026-01-01",
    Action.REFUSED,
    "mx.d.test",
    ("192.0.2.77",),
)


def answered(recipient: str, reply: Reply = REFUSED, status: Status = Status.FAILED) -> Outcome:
    return Outcome(recipient, status, reply, Reason.ANSWERED, remote=True, host="mx.d.test")


def held(recipient: str) -> Outcome:
    return Outcome(recipient, Status.DEFERRED, HELD, Reason.POLICY, address="192.0.2.77")


def written(
    failed: Sequence[Outcome] = (),
    delayed: Sequence[Outcome] = (),
    findings: Sequence[Finding] = (),
    *,
    relayed: Sequence[Outcome] = (),
    sender: str = "me@a.test",
    original: bytes = ORIGINAL,
    **asked: Any,
) -> Message:
    recipients = tuple(one.recipient for one in (*failed, *delayed, *relayed))
    job = Job("Q1.1", "Q1", CREATED, "d.test", Envelope(sender, recipients, **asked), 6)
    notice = Notice(job, sender, Fates(failed, delayed, relayed), findings, NOW, ENDS)
    return write_notice(notice, original, "relay.test", "N1")


def read(message: Message) -> EmailMessage:
    parsed = email.message_from_bytes(message.body, policy=default)
    assert isinstance(parsed, EmailMessage)
    assert not parsed.defects
    return parsed


def parts(message: Message) -> tuple[str, list[dict[str, str]], EmailMessage]:
    text, status, header = read(message).iter_parts()
    groups = [dict(group.items()) for group in status.walk() if group is not status]
    assert isinstance(header, EmailMessage)
    return text.get_content(), groups, header


def test_dsn_18_the_header() -> None:
    report = read(written([answered("u@d.test")]))
    assert report["From"] == "Mail Delivery System <MAILER-DAEMON@relay.test>"
    assert report["To"] == "me@a.test"
    assert report["Date"] == "Tue, 14 Nov 2023 22:13:20 +0000"
    assert report["Message-ID"] == "<N1@relay.test>"
    assert report["Auto-Submitted"] == "auto-replied"


def test_snd_25_dsn_09_the_notice_goes_to_the_sender_from_nobody() -> None:
    message = written([answered("u@d.test")])
    never = {"me@a.test": DsnRequest(("NEVER",))}
    assert message.envelope == Envelope(None, ("me@a.test",), dsn=never)
    assert (message.id, message.created) == ("N1", NOW)


def test_snd_26_one_notice_tells_of_all() -> None:
    failed = [answered("a@d.test"), answered("b@d.test")]
    text, groups, _ = parts(written(failed, [held("c@d.test")]))
    assert groups[0] == {
        "Reporting-MTA": "dns; relay.test",
        "Arrival-Date": "Tue, 14 Nov 2023 19:26:40 +0000",
    }
    assert [(one["Final-Recipient"], one["Action"]) for one in groups[1:]] == [
        ("rfc822; a@d.test", "failed"),
        ("rfc822; b@d.test", "failed"),
        ("rfc822; c@d.test", "delayed"),
    ]
    assert all(f"<{name}@d.test>" in text for name in "abc")


@pytest.mark.parametrize(
    ("reply", "status", "told"),
    [
        pytest.param(REFUSED, Status.FAILED, "5.1.1", id="DSN-14 as answered"),
        pytest.param(Reply(550, None, "no"), Status.FAILED, "5.0.0", id="DSN-14 no code given"),
        pytest.param(HELD, Status.DEFERRED, "5.7.1", id="EXT-26 too old, but the cause is known"),
        pytest.param(Reply(451, None, "no"), Status.DEFERRED, "5.4.7", id="EXT-26 too old"),
        pytest.param(Reply(421, "4.0.0", ""), Status.DEFERRED, "5.4.7", id="EXT-26 no cause"),
    ],
)
def test_status_of_a_failure(reply: Reply, status: Status, told: str) -> None:
    _, groups, _ = parts(written([answered("u@d.test", reply, status)]))
    assert groups[1]["Status"] == told


def test_dsn_14_and_16_a_delay_has_class_4_and_an_end() -> None:
    _, groups, _ = parts(written([], [held("u@d.test")]))
    assert groups[1]["Status"] == "4.7.1"
    assert groups[1]["Will-Retry-Until"] == "Sun, 19 Nov 2023 13:20:00 +0000"


def test_dsn_16_only_a_delay_has_an_end() -> None:
    _, groups, _ = parts(written([answered("u@d.test")]))
    assert "Will-Retry-Until" not in groups[1]


def test_dsn_21_what_was_given_up_for_its_age_is_told_apart() -> None:
    taken = answered("w@d.test", Reply(250, None, "ok"), Status.DELIVERED)
    text, _, _ = parts(written([held("u@d.test")], relayed=[taken], findings=[EXPIRED]))
    assert text.index("u@d.test") < text.index("given up now") < text.index("w@d.test")
    text, _, _ = parts(written([answered("u@d.test")]))
    assert "given up now" not in text


def test_dsn_15_a_remote_reply_is_quoted_with_its_host() -> None:
    _, groups, _ = parts(written([answered("u@d.test")]))
    assert groups[1]["Remote-MTA"] == "dns; mx.d.test"
    assert groups[1]["Diagnostic-Code"] == "smtp; 550 5.1.1 no such user"


def test_dsn_15_our_own_decision_is_no_remote_reply() -> None:
    text, groups, _ = parts(written([held("u@d.test")], findings=[EXPIRED]))
    assert groups[1].keys() == {"Final-Recipient", "Action", "Status", "Last-Attempt-Date"}
    assert "no mail host of d.test passed its policy" in " ".join(text.split())
    assert "451" not in text


def test_dsn_15_what_a_host_lacks_is_not_told_as_its_answer() -> None:
    lacking = replace(answered("u@d.test"), remote=False)
    text, _, _ = parts(written([lacking]))
    assert "not an answer to your message" in " ".join(text.split())
    assert "is that of the recipient's mail host" not in " ".join(text.split())


def test_dsn_21_a_policy_failure_names_what_was_seen_and_whose_side_it_is() -> None:
    text, _, _ = parts(written([held("u@d.test")], findings=[EXPIRED]))
    told = " ".join(text.split())
    assert "d.test, host mx.d.test: certificate-expired: the certificate ended" in told
    policy = "The MTA-STS policy of d.test: mode enforce, id 20260101, hosts mx.d.test."
    assert policy in told
    assert "To repair: renew the certificate of this host." in told
    assert "Only the operators of that domain can repair this" in told
    assert "given up now" in told


def test_dsn_16_who_is_told_of_a_delay_is_told_its_end() -> None:
    text, _, _ = parts(written(delayed=[held("u@d.test")], findings=[EXPIRED]))
    assert f"goes on trying until {rfc5322(ENDS)}." in " ".join(text.split())


def test_of_a_policy_with_very_many_patterns_some_are_told() -> None:
    many = replace(POLICY, mx=tuple(f"mx{number}.d.test" for number in range(100)))
    findings = [replace(EXPIRED, policy=many)]
    text, _, _ = parts(written(delayed=[held("u@d.test")], findings=findings))
    assert "mx8.d.test, mx9.d.test and others." in " ".join(text.split())


def test_dsn_17_no_address_of_a_host_is_told() -> None:
    assert b"192.0.2.77" not in written([held("u@d.test")], findings=[EXPIRED]).body


def test_findings_are_not_told_where_a_host_has_answered() -> None:
    text, _, _ = parts(written([answered("u@d.test")], findings=[EXPIRED]))
    assert "certificate" not in text


@pytest.mark.parametrize(
    ("asked", "original", "kind"),
    [
        pytest.param({"ret": "FULL"}, ORIGINAL, "message/rfc822", id="whole"),
        pytest.param({"ret": "FULL"}, b"x: y\r\n\r\n\xff\r\n", "message/rfc822", id="8 bit"),
        pytest.param({"ret": "HDRS"}, ORIGINAL, "text/rfc822-headers", id="not asked for"),
        pytest.param({}, ORIGINAL, "text/rfc822-headers", id="nothing asked"),
        pytest.param(
            {"ret": "FULL", "requiretls": True}, ORIGINAL, "text/rfc822-headers", id="secret"
        ),
        pytest.param({"ret": "FULL", "smtputf8": True}, ORIGINAL, "text/rfc822-headers", id="utf8"),
        pytest.param({"ret": "FULL"}, b"x: y\r\n" * 200_000, "text/rfc822-headers", id="too large"),
        pytest.param({"ret": "FULL"}, b"x" * 999 + b"\r\n", "text/rfc822-headers", id="long line"),
    ],
)
def test_dsn_11_the_whole_message_goes_back_where_asked_for(
    asked: dict[str, Any], original: bytes, kind: str
) -> None:
    message = written([answered("u@d.test")], original=original, **asked)
    assert list(read(message).iter_parts())[2].get_content_type() == kind
    assert (original in message.body) is (kind == "message/rfc822")
    assert message.envelope.eight_bit is (not message.body.isascii())
    assert len(message.body) < 1_200_000


def test_dsn_11_a_delay_alone_returns_the_header_only() -> None:
    assert b"the body" not in written([], [held("u@d.test")], ret="FULL").body


def test_dsn_12_and_13_what_the_sender_gave_comes_back_decoded() -> None:
    dsn = {"u@d.test": DsnRequest(orcpt="rfc822;U+2BX@d.test")}
    _, groups, _ = parts(written([answered("u@d.test")], envid="Q+3D+2B1", dsn=dsn))
    assert groups[0]["Original-Envelope-Id"] == "Q=+1"
    assert groups[1]["Original-Recipient"] == "rfc822; U+X@d.test"
    _, groups, _ = parts(written([answered("u@d.test")]))
    assert "Original-Envelope-Id" not in groups[0]
    assert "Original-Recipient" not in groups[1]


def test_dsn_12_xtext_injects_no_field() -> None:
    dsn = {"u@d.test": DsnRequest(orcpt="rfc822;u+0D+0AX:+20y")}
    _, groups, _ = parts(written([answered("u@d.test")], envid="a+0D+0AEvil:+20y", dsn=dsn))
    assert groups[0]["Original-Envelope-Id"] == "a  Evil: y"
    assert groups[1]["Original-Recipient"] == "rfc822; u  X: y"
    assert "Evil" not in groups[0]


def test_dsn_05_and_14_mail_passed_on_is_told_with_class_2() -> None:
    taken = answered("u@d.test", Reply(250, None, "ok"), Status.DELIVERED)
    message = written(relayed=[taken])
    text, groups, _ = parts(message)
    assert read(message)["Subject"] == "Mail passed on"
    assert (groups[1]["Action"], groups[1]["Status"]) == ("relayed", "2.0.0")
    assert "no confirmation will follow" in " ".join(text.split())


def test_dsn_11_only_the_header_goes_back() -> None:
    message = written([answered("u@d.test")])
    _, _, header = parts(message)
    assert header.get_content_type() == "text/rfc822-headers"
    assert header.get_content() == "Received: here\r\nSubject: hello\r\n"
    assert b"the body" not in message.body


def test_a_huge_header_is_cut_at_the_end_of_a_line() -> None:
    message = written([answered("u@d.test")], original=b"X: y\r\n" * 100_000 + b"\r\nbody")
    assert len(message.body) < 40_000
    _, _, header = parts(message)
    assert header.get_content().endswith("X: y\r\n")


def test_ext_17_a_sender_in_ascii_is_told_in_ascii() -> None:
    message = written([answered("grün+x@d.test")], smtputf8=True)
    _, groups, header = parts(message)
    assert groups[1]["Final-Recipient"] == "utf-8; gr\\x{FC}n\\x{2B}x@d.test"
    assert header.get_content_type() == "text/rfc822-headers"
    assert not message.envelope.smtputf8


def test_ext_17_a_sender_in_utf_8_is_told_in_utf_8() -> None:
    original = "Subject: grün\r\n\r\n".encode()
    dsn = {"grün@d.test": DsnRequest(orcpt=r"utf-8;gr\x{FC}n@d.test")}
    message = written([answered("grün@d.test")], sender="mé@a.test", original=original, dsn=dsn)
    _, status, header = read(message).iter_parts()
    assert status.get_content_type() == "message/global-delivery-status"
    assert header.get_content_type() == "message/global-headers"
    lines = message.body.decode().split("\r\n")
    assert "Original-Recipient: utf-8; grün@d.test" in lines
    assert "Final-Recipient: utf-8; grün@d.test" in lines
    assert "Subject: grün" in lines
    assert message.envelope.smtputf8
    assert message.envelope.eight_bit


def test_ext_15_a_sender_with_a_domain_in_utf_8_is_told_in_ascii() -> None:
    message = written([answered("u@d.test")], sender="me@bücher.test")
    assert message.envelope.recipients == ("me@xn--bcher-kva.test",)
    assert not message.envelope.smtputf8
    assert message.body.isascii()


def test_an_8_bit_original_does_not_make_the_notice_8_bit() -> None:
    message = written([answered("u@d.test")], original="Subject: grün\r\n\r\n".encode())
    assert message.body.isascii()
    assert not message.envelope.eight_bit


@given(
    st.text(max_size=2000), st.binary(max_size=2000), st.text(max_size=300), st.sampled_from(Status)
)
def test_whatever_others_say_the_notice_keeps_its_form(
    said: str, original: bytes, detail: str, status: Status
) -> None:
    finding = Finding(NOW, "d.test", POLICY, Failure.MX_MISMATCH, detail, Action.REFUSED, "mx.test")
    local = Outcome("v@d.test", Status.DEFERRED, Reply(451, None, detail), Reason.POLICY)
    outcomes = [answered("u@d.test", parse_reply(550, said), status), local]
    message = written(outcomes, findings=[finding], original=original)
    assert message.body.isascii()
    assert message.body.count(b"\n") == message.body.count(b"\r") == message.body.count(b"\r\n")
    assert max(map(len, message.body.split(b"\r\n"))) <= 998
    report = read(message)
    assert report["To"] == "me@a.test"
    _, groups, _ = parts(message)
    assert [group.get("Final-Recipient") for group in groups] == [
        None,
        "rfc822; u@d.test",
        "rfc822; v@d.test",
    ]
