"""What an attempt's result means: done, retry, notice; and the notices themselves."""

import email
from dataclasses import replace
from email.policy import default

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.envelope import DsnRequest, Envelope
from relay.evidence import Action, Failure, Finding
from relay.outcome import DeliveryResult, Outcome, Reason, Status
from relay.queue.job import Job
from relay.queue.retry import Schedule
from relay.queue.settle import Rules, settle, settle_later
from relay.reply import Reply, parse_reply

HOUR = 3600.0
RULES = Rules(
    Schedule((60.0, 300.0), 5 * 24 * HOUR, 4 * HOUR), "relay.test", lambda: 0.5, lambda: "NOTICE1"
)
ORIGINAL = b"Received: here\r\nSubject: hello\r\nX-Secret-Body: no\r\n\r\nthe body\r\n"
ANSWERS = {
    Status.DELIVERED: Reply(250, "2.0.0", "ok"),
    Status.DEFERRED: Reply(451, "4.7.1", "not now"),
    Status.FAILED: Reply(550, "5.1.1", "no such user"),
}


def job(
    *recipients: str, sender: str | None = "me@a.test", age: float = 1, attempts: int = 0
) -> Job:
    return Job("Q1.1", "Q1", 1e9 - age, "d.test", Envelope(sender, recipients), attempts)


def outcome(recipient: str, status: Status, *, remote: bool = True) -> Outcome:
    reason = None if status is Status.DELIVERED else Reason.ANSWERED
    return Outcome(recipient, status, ANSWERS[status], reason, remote=remote, host="mx.d.test")


@given(st.lists(st.sampled_from(Status), min_size=1, max_size=6), st.sampled_from([1, 5e5]))
def test_snd_17_every_recipient_is_accounted_for_once(statuses: list[Status], age: float) -> None:
    names = [f"u{number}@d.test" for number in range(len(statuses))]
    result = DeliveryResult(tuple(map(outcome, names, statuses)))
    settlement = settle(job(*names, age=age), result, ORIGINAL, 1e9, RULES)
    kept = settlement.remainder.recipients if settlement.remainder else ()
    told = [
        part.split("; ")[1].strip()
        for notice in settlement.notices
        for part in notice.body.decode().split("\r\n")
        if part.startswith("Final-Recipient:") and b"Action: failed" in notice.body
    ]
    done = [n for n, s in zip(names, statuses, strict=True) if s is Status.DELIVERED]
    assert sorted([*kept, *told, *done]) == sorted(names)
    assert not (kept and age > 5 * 24 * HOUR)


@pytest.mark.parametrize(
    ("attempts", "delay"),
    [(0, 60.0), (1, 300.0), (7, 300.0)],
    ids=["first", "second", "last repeats"],
)
def test_snd_21_schedule(attempts: int, delay: float) -> None:
    result = DeliveryResult((outcome("u@d.test", Status.DEFERRED),))
    rest = settle(job("u@d.test", attempts=attempts), result, ORIGINAL, 1e9, RULES).remainder
    assert rest is not None
    assert rest.next_attempt == 1e9 + delay
    assert (rest.reason, rest.last.reply) == ("answered", "451 4.7.1 not now")


def test_the_last_attempt_falls_on_the_end_of_the_lifetime() -> None:
    schedule = RULES.schedule
    ends = schedule.ends(0)
    assert schedule.next_attempt(9, 0, ends - 10, lambda: 1.0) == ends
    assert schedule.is_expired(0, ends)


def notice(status: Status, *, remote: bool = True, age: float = 1) -> email.message.EmailMessage:
    result = DeliveryResult((outcome("u@d.test", status, remote=remote),))
    (message,) = settle(job("u@d.test", age=age), result, ORIGINAL, 1e9, RULES).notices
    assert message.envelope.sender is None
    assert message.envelope.recipients == ("me@a.test",)
    assert message.body.replace(b"\r\n", b"").count(b"\n") == 0
    parsed = email.message_from_bytes(message.body, policy=default)
    assert isinstance(parsed, email.message.EmailMessage)
    assert not parsed.defects
    return parsed


def test_dsn_10_a_failure_is_a_multipart_report() -> None:
    report = notice(Status.FAILED)
    assert report.get_content_type() == "multipart/report"
    assert report.get_param("report-type") == "delivery-status"
    assert report["Auto-Submitted"] == "auto-replied"
    text, status, header = report.iter_parts()
    assert "u@d.test" in text.get_content()
    assert "550 5.1.1 no such user" in text.get_content()
    per_message, per_recipient = list(status.walk())[1:]
    assert per_message["Reporting-MTA"] == "dns; relay.test"
    assert dict(per_recipient.items()) | {"Last-Attempt-Date": ""} == {
        "Final-Recipient": "rfc822; u@d.test",
        "Action": "failed",
        "Status": "5.1.1",
        "Remote-MTA": "dns; mx.d.test",
        "Diagnostic-Code": "smtp; 550 5.1.1 no such user",
        "Last-Attempt-Date": "",
    }
    assert header.get_content_type() == "text/rfc822-headers"
    assert "Subject: hello" in str(header)
    assert "the body" not in str(report)


def test_dsn_14_an_expired_4xx_is_failed_with_class_5() -> None:
    text = str(notice(Status.DEFERRED, age=6 * 24 * HOUR))
    assert "Action: failed" in text
    assert "Status: 5.7.1" in text


def test_dsn_15_no_remote_reply_is_invented() -> None:
    text = str(notice(Status.FAILED, remote=False))
    assert "Diagnostic-Code" not in text
    assert "Remote-MTA" not in text


def test_dsn_16_a_delay_is_told_once_with_its_end() -> None:
    late = job("u@d.test", age=5 * HOUR)
    result = DeliveryResult((outcome("u@d.test", Status.DEFERRED),))
    settlement = settle(late, result, ORIGINAL, 1e9, RULES)
    assert b"Will-Retry-Until:" in settlement.notices[0].body
    assert b"Action: delayed" in settlement.notices[0].body
    assert settlement.remainder is not None
    assert settlement.remainder.warned
    again = Job("Q1.1", "Q1", 1e9 - 5 * HOUR, "d.test", late.envelope, 1, warned=True)
    assert settle(again, result, ORIGINAL, 1e9, RULES).notices == ()


HELD = Outcome(
    "u@d.test", Status.DEFERRED, Reply(451, "4.7.5", "bad certificate"), Reason.POLICY, host="mx"
)
FLOOR = replace(HELD, reason=Reason.TLS_FLOOR)
OTHER = outcome("v@d.test", Status.DEFERRED)


@pytest.mark.parametrize(
    ("outcomes", "anew", "given_up"),
    [
        pytest.param([HELD], False, False, id="STS-64 no look at the record"),
        pytest.param([HELD], True, True, id="STS-64 a fresh look"),
        pytest.param([FLOOR], False, False, id="our own floor"),
        pytest.param([FLOOR], True, True, id="our own floor, a fresh look"),
        pytest.param([OTHER, HELD], False, False, id="one of two"),
        pytest.param([OTHER], False, True, id="what a host has answered"),
    ],
)
def test_nothing_held_back_is_given_up_without_a_fresh_look(
    outcomes: list[Outcome], anew: bool, given_up: bool
) -> None:
    names = [one.recipient for one in outcomes]
    result = DeliveryResult(tuple(outcomes), anew=anew)
    settlement = settle(job(*names, age=6 * 24 * HOUR), result, ORIGINAL, 1e9, RULES)
    assert (settlement.remainder is None) is given_up
    if settlement.remainder:
        assert settlement.remainder.next_attempt == 1e9


EARLY = replace(RULES, schedule=replace(RULES.schedule, warn_after_policy=HOUR))


@pytest.mark.parametrize(
    ("outcomes", "age", "told"),
    [
        pytest.param([HELD], HOUR, True, id="held back"),
        pytest.param([HELD], HOUR - 1, False, id="not yet"),
        pytest.param([OTHER], HOUR, False, id="for another reason"),
        pytest.param([OTHER], 4 * HOUR, True, id="for another reason, at its time"),
        pytest.param([OTHER, HELD], HOUR, True, id="one of two"),
    ],
)
def test_who_is_held_back_by_a_policy_is_told_early_and_once(
    outcomes: list[Outcome], age: float, told: bool
) -> None:
    names = [one.recipient for one in outcomes]
    result = DeliveryResult(tuple(outcomes))
    settlement = settle(job(*names, age=age), result, ORIGINAL, 1e9, EARLY)
    assert bool(settlement.notices) is told
    assert settlement.remainder is not None
    assert settlement.remainder.warned is told
    again = replace(job(*names, age=5 * HOUR), warned=True)
    assert settle(again, result, ORIGINAL, 1e9, EARLY).notices == ()


@pytest.mark.parametrize(
    ("notify", "told"),
    [((), True), (("DELAY",), True), (("FAILURE",), False), (("NEVER",), False)],
)
def test_an_early_notice_is_one_of_a_delay(notify: tuple[str, ...], told: bool) -> None:
    envelope = Envelope("me@a.test", ("u@d.test",), dsn={"u@d.test": DsnRequest(notify)})
    late = replace(job("u@d.test", age=HOUR), envelope=envelope)
    settlement = settle(late, DeliveryResult((HELD,)), ORIGINAL, 1e9, EARLY)
    assert bool(settlement.notices) is told


def test_snd_24_a_null_sender_is_never_told() -> None:
    result = DeliveryResult((outcome("u@d.test", Status.FAILED),))
    settlement = settle(job("u@d.test", sender=None), result, ORIGINAL, 1e9, RULES)
    assert (settlement.notices, settlement.remainder) == ((), None)


@given(st.text(), st.text(max_size=50))
def test_a_remote_text_injects_no_header(text: str, name: str) -> None:
    reply = parse_reply(550, text)
    result = DeliveryResult(
        (Outcome("ü@d.test", Status.FAILED, reply, Reason.ANSWERED, remote=True, host="mx.test"),)
    )
    (message,) = settle(job("ü@d.test"), result, ORIGINAL, 1e9, RULES).notices
    assert b"\r" not in message.body.replace(b"\r\n", b"")
    assert b"\n" not in message.body.replace(b"\r\n", b"")
    assert max(map(len, message.body.split(b"\r\n"))) <= 998
    status = message.body.partition(b"message/delivery-status")[2].partition(b"--=_")[0]
    assert status.isascii()
    fields = [line.partition(b":")[0] for line in status.split(b"\r\n") if line]
    assert len(fields) == 9


def test_findings_are_stamped_with_the_queue_id_unless_noted() -> None:
    def seen(action: Action) -> Finding:
        return Finding(0.0, "d.test", None, Failure.MX_MISMATCH, "x", action)

    result = DeliveryResult(
        (outcome("u@d.test", Status.DELIVERED),), (seen(Action.REFUSED), seen(Action.NOTED))
    )
    findings = settle(job("u@d.test"), result, ORIGINAL, 1e9, RULES).findings
    assert [one.queue_id for one in findings] == ["Q1", None]


def test_a_recipient_without_an_outcome_is_kept() -> None:
    result = DeliveryResult((outcome("a@d.test", Status.DELIVERED),))
    rest = settle(job("a@d.test", "b@d.test"), result, ORIGINAL, 1e9, RULES).remainder
    assert rest is not None
    assert rest.recipients == ("b@d.test",)


def test_an_outcome_for_nobody_is_not_told() -> None:
    answers = (outcome("u@d.test", Status.DELIVERED), outcome("other@d.test", Status.FAILED))
    settlement = settle(job("u@d.test"), DeliveryResult(answers), ORIGINAL, 1e9, RULES)
    assert (settlement.notices, settlement.remainder) == ((), None)


def test_snd_26_a_failure_and_a_delay_make_one_notice() -> None:
    answers = (outcome("a@d.test", Status.FAILED), outcome("b@d.test", Status.DEFERRED))
    late = job("a@d.test", "b@d.test", age=5 * HOUR)
    settlement = settle(late, DeliveryResult(answers), ORIGINAL, 1e9, RULES)
    (told,) = settlement.notices
    assert (told.body.count(b"Action: failed"), told.body.count(b"Action: delayed")) == (1, 1)
    assert settlement.remainder is not None
    assert settlement.remainder.recipients == ("b@d.test",)


def test_dsn_20_a_failure_before_the_delay_tells_of_no_delay() -> None:
    answers = (outcome("a@d.test", Status.FAILED), outcome("b@d.test", Status.DEFERRED))
    settlement = settle(job("a@d.test", "b@d.test"), DeliveryResult(answers), b"", 1e9, RULES)
    assert b"delayed" not in settlement.notices[0].body
    assert settlement.remainder is not None
    assert not settlement.remainder.warned


def test_snd_25_a_sender_that_is_no_address_cannot_be_told() -> None:
    result = DeliveryResult((outcome("u@d.test", Status.FAILED),))
    settlement = settle(job("u@d.test", sender="nobody"), result, ORIGINAL, 1e9, RULES)
    assert (settlement.notices, settlement.remainder) == ((), None)


TOLD = [
    # NOTIFY -> actions told of a failure, of a delay, of mail taken by a host without DSN
    pytest.param((), ["failed"], ["delayed"], [], id="DSN-07 nothing asked"),
    pytest.param(("NEVER",), [], [], [], id="DSN-06 never"),
    pytest.param(("FAILURE",), ["failed"], [], [], id="DSN-06 failures only"),
    pytest.param(("DELAY",), [], ["delayed"], [], id="DSN-06 delays only"),
    pytest.param(("SUCCESS",), [], [], ["relayed"], id="DSN-05 success only"),
    pytest.param(("SUCCESS", "FAILURE"), ["failed"], [], ["relayed"], id="DSN-06 both"),
]


def actions(notify: tuple[str, ...], answer: Outcome) -> list[str]:
    asked = {"u@d.test": DsnRequest(notify)}
    late = job("u@d.test", age=5 * HOUR)
    late = replace(late, envelope=replace(late.envelope, dsn=asked))
    notices = settle(late, DeliveryResult((answer,)), ORIGINAL, 1e9, RULES).notices
    lines = [line for one in notices for line in one.body.decode().split("\r\n")]
    return [line.removeprefix("Action: ") for line in lines if line.startswith("Action: ")]


@pytest.mark.parametrize(("notify", "failed", "delayed", "taken"), TOLD)
def test_what_was_asked_for_is_told(
    notify: tuple[str, ...], failed: list[str], delayed: list[str], taken: list[str]
) -> None:
    """DSN-04: of what a host with DSN has taken, it is the one to tell."""
    assert actions(notify, outcome("u@d.test", Status.FAILED)) == failed
    assert actions(notify, outcome("u@d.test", Status.DEFERRED)) == delayed
    assert actions(notify, outcome("u@d.test", Status.DELIVERED)) == taken
    assert actions(notify, replace(outcome("u@d.test", Status.DELIVERED), dsn=True)) == []


def test_dsn_06_an_unwanted_delay_counts_as_told() -> None:
    late = job("u@d.test", age=5 * HOUR)
    late = replace(late, envelope=replace(late.envelope, dsn={"u@d.test": DsnRequest(("NEVER",))}))
    result = DeliveryResult((outcome("u@d.test", Status.DEFERRED),))
    rest = settle(late, result, ORIGINAL, 1e9, RULES).remainder
    assert rest is not None
    assert rest.warned


@pytest.mark.parametrize("sender", [None, "nobody"], ids=["null sender", "no address"])
def test_snd_27_dsn_08_the_postmaster_is_told_what_no_sender_can_be(sender: str | None) -> None:
    rules = replace(RULES, postmaster="pm@relay.test")
    result = DeliveryResult((outcome("u@d.test", Status.FAILED),))
    (message,) = settle(job("u@d.test", sender=sender), result, ORIGINAL, 1e9, rules).notices
    assert message.envelope.sender is None
    assert message.envelope.recipients == ("pm@relay.test",)
    assert "you, the postmaster, are told" in " ".join(message.body.decode().split())
    assert b"Final-Recipient: rfc822; u@d.test" in message.body


def test_snd_27_a_failing_notice_to_the_postmaster_ends_there() -> None:
    rules = replace(RULES, postmaster="pm@relay.test")
    result = DeliveryResult((outcome("pm@relay.test", Status.FAILED),))
    settlement = settle(job("pm@relay.test", sender=None), result, ORIGINAL, 1e9, rules)
    assert (settlement.notices, settlement.remainder) == ((), None)


def test_snd_24_no_delay_of_a_notice_is_told() -> None:
    rules = replace(RULES, postmaster="pm@relay.test")
    result = DeliveryResult((outcome("u@d.test", Status.DEFERRED),))
    late = job("u@d.test", sender=None, age=5 * HOUR)
    assert settle(late, result, ORIGINAL, 1e9, rules).notices == ()


def test_a_fault_of_our_own_gives_nothing_up_however_old_the_mail() -> None:
    old = job("u@d.test", age=50 * 24 * HOUR, attempts=3)
    settlement = settle_later(old, "a bug", 1e9, RULES)
    assert settlement.notices == ()
    assert settlement.remainder is not None
    assert settlement.remainder.recipients == ("u@d.test",)
    assert settlement.remainder.next_attempt == 1e9 + 300
    assert settlement.remainder.last.reply == "451 4.3.0 a bug"
