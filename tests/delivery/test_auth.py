"""Logging in: which mechanism, every answer, and that no secret comes out of it."""

from base64 import b64decode, b64encode

import pytest

from relay.delivery.auth import as_ours_to_mend, log_in
from relay.delivery.credentials import Credentials
from relay.delivery.hop import Declined, Exchange, HopReport, Unreachable
from relay.delivery.offer import Offer
from relay.reply import Reply, parse_reply

ME = Credentials("jürgen", "s3cr3t")
PLAIN = b64encode("\0jürgen\0s3cr3t".encode())
NAME, PASSWORD = b64encode("jürgen".encode()), b64encode(b"s3cr3t")
GO_ON, GOOD, BAD = "334 ", "235 2.7.0 welcome", "535 5.7.8 who are you"


class Host:
    """Gives these replies in turn and keeps what was said."""

    def __init__(self, *replies: str) -> None:
        self._replies = list(replies)
        self.heard: list[bytes] = []

    async def ask(self, *words: bytes) -> Reply:
        self.heard.append(b" ".join(words))
        code, _, text = self._replies.pop(0).partition(" ")
        return parse_reply(int(code), text)


async def talk(offered: str | None, *replies: str) -> tuple[Reply | None, list[bytes]]:
    host = Host(*replies)
    offer = Offer("out.isp.test", {} if offered is None else {"AUTH": offered})
    return await log_in(host.ask, offer, ME), host.heard


@pytest.mark.parametrize(
    ("offered", "replies", "said"),
    [
        pytest.param("PLAIN", (GO_ON, GOOD), [b"AUTH PLAIN", PLAIN], id="PLAIN"),
        pytest.param("LOGIN PLAIN", (GO_ON, GOOD), [b"AUTH PLAIN", PLAIN], id="PLAIN first"),
        pytest.param("login plain", (GO_ON, GOOD), [b"AUTH PLAIN", PLAIN], id="any case"),
        pytest.param(
            "CRAM-MD5 LOGIN", ("334 VXNlcm5hbWU6", GO_ON, GOOD), [b"AUTH LOGIN", NAME, PASSWORD],
            id="LOGIN",
        ),
        pytest.param("PLAIN", ("235 already",), [b"AUTH PLAIN"], id="at once"),
    ],
)  # fmt: skip
async def test_taken(offered: str, replies: tuple[str, ...], said: list[bytes]) -> None:
    assert await talk(offered, *replies) == (None, said)


def test_what_is_said() -> None:
    assert b64decode(PLAIN).split(b"\0") == [b"", "jürgen".encode(), b"s3cr3t"]


@pytest.mark.parametrize(
    ("offered", "replies", "said", "words"),
    [
        pytest.param("PLAIN", (GO_ON, BAD), 2, BAD, id="535"),
        pytest.param("PLAIN", (GO_ON, "454 4.7.0 later"), 2, "454 4.7.0 later", id="454"),
        pytest.param("PLAIN", ("504 5.5.4 which",), 1, "504 5.5.4 which", id="at once"),
        pytest.param("PLAIN", ("421 4.3.2 bye",), 1, "421 4.3.2 bye", id="closing"),
        pytest.param("LOGIN", (GO_ON, BAD), 2, BAD, id="no password for a refused name"),
        pytest.param("PLAIN", (GO_ON, GO_ON, "501 5.7.0 over"), 3, "501 5.7.0 over", id="EXT-19 *"),
        pytest.param("XOAUTH2 NTLM", (), 0, "offers no AUTH", id="other mechanisms"),
        pytest.param("XPLAIN", (), 0, "offers no AUTH", id="whole words"),
        pytest.param(None, (), 0, "offers no AUTH", id="none"),
    ],
)
async def test_refused(
    offered: str | None, replies: tuple[str, ...], said: int, words: str
) -> None:
    refusal, heard = await talk(offered, *replies)
    assert refusal
    assert (refusal.code, refusal.enhanced) == (454, "4.7.8")
    assert refusal.text.startswith("out.isp.test ")
    assert words in refusal.text
    assert len(heard) == said
    if said == 3:
        assert heard[-1] == b"*"


@pytest.mark.parametrize("echo", ["s3cr3t", PLAIN.decode()])
async def test_a_host_that_repeats_secrets(echo: str) -> None:
    refusal, _ = await talk("PLAIN", GO_ON, f"535 5.7.8 bad {echo}!")
    assert refusal
    assert refusal.text.endswith("credentials: 535 (its text repeats them)")


@pytest.mark.parametrize(
    ("report", "told"),
    [
        (
            Exchange({"a": Reply(530, "5.7.0", "log in"), "b": Reply(550, "5.1.1", "who")}),
            Exchange({"a": Reply(454, "4.7.0", "log in"), "b": Reply(550, "5.1.1", "who")}),
        ),
        (Declined(Reply(554, None, "no")), Declined(Reply(554, None, "no"))),
        (Unreachable("gone"), Unreachable("gone")),
    ],
)
def test_mail_does_not_bounce_for_a_missing_login(report: HopReport, told: HopReport) -> None:
    assert as_ours_to_mend(report) == told
