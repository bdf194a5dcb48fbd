"""PLAIN and LOGIN as conversations."""

import re
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.inbound.sasl import Credentials, SaslError, exchange


def b64(text: bytes) -> str:
    return b64encode(text).decode()


class Client:
    """Answers challenges one by one."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.challenges: list[str] = []

    async def __call__(self, challenge: str) -> bytes:
        self.challenges.append(challenge)
        return self.answers.pop(0)


JOE = b64(b"\0joe\0secret")


@pytest.mark.parametrize(
    ("argument", "answers", "challenges"),
    [
        (f"PLAIN {JOE}", [], []),
        ("PLAIN", [JOE], [""]),
        pytest.param(f"plain {JOE}", [], [], id="EXT-23: any case"),
        (f"PLAIN {b64(b'joe' + bytes(1) + b'joe' + bytes(1) + b'secret')}", [], []),
        ("LOGIN", [b64(b"joe"), b64(b"secret")], ["VXNlcm5hbWU6", "UGFzc3dvcmQ6"]),
        (f"LOGIN {b64(b'joe')}", [b64(b"secret")], ["UGFzc3dvcmQ6"]),
        ("login", [b64(b"joe"), b64(b"secret")], ["VXNlcm5hbWU6", "UGFzc3dvcmQ6"]),
    ],
)
async def test_good(argument: str, answers: list[str], challenges: list[str]) -> None:
    client = Client(*(answer.encode() for answer in answers))
    found = await exchange(argument, client)
    assert found == Credentials("joe", b"secret")
    assert client.challenges == challenges
    assert "secret" not in repr(found)


@pytest.mark.parametrize(
    ("argument", "answers", "reply"),
    [
        pytest.param("", [], "504 5.5.4", id="EXT-19: no mechanism"),
        pytest.param("CRAM-MD5", [], "504 5.5.4", id="EXT-19: unknown mechanism"),
        pytest.param("PLAIN", ["*"], "501 5.7.0", id="EXT-19: cancelled"),
        pytest.param("LOGIN", [b64(b"joe"), "*"], "501 5.7.0", id="EXT-19: cancelled late"),
        pytest.param("PLAIN *", [], "501 5.7.0", id="EXT-19: cancelled at once"),
        pytest.param("PLAIN a", [], "501 5.5.2", id="EXT-19: bad base64"),
        pytest.param("PLAIN", [f"{JOE} "], "501 5.5.2", id="EXT-19: a blank behind"),
        pytest.param("PLAIN", [f"{JOE}="], "501 5.5.2", id="EXT-19: a sign too many"),
        pytest.param("LOGIN ü", [], "501 5.5.2", id="EXT-19: no ASCII"),
        pytest.param("LOGIN \udcff", [], "501 5.5.2", id="EXT-19: no UTF-8"),
        pytest.param("PLAIN =", [], "501 5.5.2", id="empty"),
        pytest.param("PLAIN", [""], "501 5.5.2", id="empty answer"),
        pytest.param(f"PLAIN {b64(b'joe')}", [], "501 5.5.2", id="one part"),
        pytest.param(f"PLAIN {b64(bytes(4))}", [], "501 5.5.2", id="five parts"),
        pytest.param(f"PLAIN {b64(b'jim' + JOE.encode())}", [], "501 5.5.2", id="no NUL"),
        pytest.param("PLAIN " + b64(b"jim\0joe\0secret"), [], "535 5.7.8", id="for another"),
    ],
)
async def test_bad(argument: str, answers: list[str], reply: str) -> None:
    with pytest.raises(SaslError, match=f"^{re.escape(reply)} "):
        await exchange(argument, Client(*(answer.encode() for answer in answers)))


@given(st.text(), st.lists(st.binary(), min_size=2, max_size=2))
async def test_nonsense(argument: str, answers: list[bytes]) -> None:
    for mechanism in ("PLAIN", "LOGIN", "PLAIN ", "LOGIN ", ""):
        assert re.match(r"ok|5\d\d 5\.\d\.\d [ -~]+$", await outcome(mechanism + argument, answers))


async def outcome(argument: str, answers: list[bytes]) -> str:
    try:
        await exchange(argument, Client(*answers))
    except SaslError as refusal:
        return str(refusal)
    return "ok"
