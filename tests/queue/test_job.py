"""Splitting a message into jobs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.address import AddressError
from relay.envelope import DsnRequest, Envelope, Message
from relay.queue.job import split


def message(*recipients: str) -> Message:
    envelope = Envelope("me@a.test", recipients, smtputf8=True)
    return Message("Q1", envelope, b"", 5.0, utf8_header=True)


@pytest.mark.parametrize(
    ("recipients", "jobs"),
    [
        pytest.param(["a@x.test", "b@x.test"], [("x.test", 2)], id="SND-16 one copy for a domain"),
        pytest.param(["a@x.test", "b@y.test"], [("x.test", 1), ("y.test", 1)], id="per domain"),
        pytest.param(["a@x.test", "b@X.TEST"], [("x.test", 2)], id="SRV-09 domains have no case"),
        pytest.param(["a@x.test", "a@x.test"], [("x.test", 1)], id="named twice, one copy"),
        pytest.param(["a@x.test", "A@x.test"], [("x.test", 2)], id="SRV-09 local parts have case"),
        pytest.param(["a@bücher.test"], [("xn--bcher-kva.test", 1)], id="EXT-15 A-labels"),
        pytest.param(["a@[192.0.2.1]"], [("[192.0.2.1]", 1)], id="an address literal"),
    ],
)
def test_split(recipients: list[str], jobs: list[tuple[str, int]]) -> None:
    made = split(message(*recipients))
    assert [(job.domain, len(job.envelope.recipients)) for job in made] == jobs


def test_a_job_has_the_message_s_envelope_but_its_own_recipients_and_id() -> None:
    first, second = split(message("a@x.test", "b@y.test"))
    assert (first.id, second.id) == ("Q1.1", "Q1.2")
    assert second.envelope == Envelope("me@a.test", ("b@y.test",), smtputf8=True)
    assert (second.message_id, second.created, second.attempts) == ("Q1", 5.0, 0)


def test_dsn_04_a_job_has_the_requests_for_its_own_recipients() -> None:
    asked = {one: DsnRequest(("NEVER",)) for one in ("a@x.test", "b@y.test")}
    envelope = Envelope("me@a.test", tuple(asked), ret="FULL", envid="QQ", dsn=asked)
    first, second = split(Message("Q1", envelope, b"", 5.0))
    assert (list(first.envelope.dsn), list(second.envelope.dsn)) == (["a@x.test"], ["b@y.test"])
    assert (second.envelope.ret, second.envelope.envid) == ("FULL", "QQ")


def test_snd_31_a_job_needs_smtputf8_only_for_its_own_addresses_and_the_header() -> None:
    envelope = Envelope("me@a.test", ("jörg@x.test", "b@y.test"), smtputf8=True)
    first, second = split(Message("Q1", envelope, b"", 5.0))
    assert (first.envelope.smtputf8, second.envelope.smtputf8) == (True, False)
    first, second = split(Message("Q1", envelope, b"", 5.0, utf8_header=True))
    assert (first.envelope.smtputf8, second.envelope.smtputf8) == (True, True)


def test_ext_15_a_domain_in_utf_8_alone_needs_no_smtputf8() -> None:
    envelope = Envelope("me@bücher.test", ("u@straße.test", "ü@b.test"), smtputf8=True)
    first, second = split(Message("Q1", envelope, b"", 5.0))
    assert (first.envelope.smtputf8, second.envelope.smtputf8) == (False, True)
    (job,) = split(Message("Q1", first.envelope, b"", 5.0, utf8_header=True))
    assert job.envelope.smtputf8


def test_what_is_no_address_is_refused() -> None:
    with pytest.raises(AddressError):
        split(message("nobody"))


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz")), max_size=12))
def test_every_recipient_is_in_exactly_one_job(parts: list[tuple[str, str]]) -> None:
    recipients = [f"{local}@{domain}.test" for local, domain in parts]
    jobs = split(message(*recipients))
    assert sorted(one for job in jobs for one in job.envelope.recipients) == sorted(set(recipients))
