"""What a host offers and what that means for a message."""

import pytest

from relay.delivery.offer import parse_offer
from relay.envelope import Envelope

EHLO = "mx.d.test greets\nSIZE 1000\n8bitmime\nSMTPUTF8\nPIPELINING"
PLAIN = Envelope("a@b.test", ("u@d.test",))
EIGHT = Envelope("a@b.test", ("u@d.test",), eight_bit=True)
UTF8_HEADER = Envelope("a@b.test", ("u@d.test",), smtputf8=True)
UTF8 = Envelope("ä@b.test", ("u@d.test",), smtputf8=True, eight_bit=True)


@pytest.mark.parametrize(
    ("text", "envelope", "size", "parameters"),
    [
        pytest.param(EHLO, PLAIN, 10, [b"SIZE=10"], id="SND-32 nothing unneeded"),
        pytest.param(EHLO, EIGHT, 10, [b"SIZE=10", b"BODY=8BITMIME"], id="EXT-12"),
        pytest.param(EHLO, UTF8, 9, [b"SIZE=9", b"BODY=8BITMIME", b"SMTPUTF8"], id="EXT-13"),
        pytest.param("mx\nPIPELINING", PLAIN, 10, [], id="SND-32 nothing not offered"),
        pytest.param("SIZE 10", PLAIN, 10, [], id="the greeting line is no keyword"),
    ],
)
def test_parameters(text: str, envelope: Envelope, size: int, parameters: list[bytes]) -> None:
    offer = parse_offer("mx.d.test", text)
    assert offer.obstacle(envelope, size) is None
    assert offer.parameters(envelope, size) == parameters


@pytest.mark.parametrize(
    ("text", "envelope", "size", "status"),
    [
        pytest.param("mx\nSIZE 1000", EIGHT, 10, "5.6.3", id="EXT-11"),
        pytest.param("mx\n8BITMIME", UTF8, 10, "5.6.7", id="EXT-14"),
        pytest.param("mx\n8BITMIME", UTF8_HEADER, 10, "5.6.9", id="EXT-14 header"),
        pytest.param("mx\nSIZE 1000", PLAIN, 1001, "5.3.4", id="EXT-08"),
    ],
)
def test_obstacle(text: str, envelope: Envelope, size: int, status: str) -> None:
    reply = parse_offer("mx.d.test", text).obstacle(envelope, size)
    assert reply is not None
    assert reply.enhanced == status
    assert "mx.d.test" in reply.text


@pytest.mark.parametrize(
    "size", ["SIZE", "SIZE 0", "SIZE x", "SIZE \u0661\u0660", "SIZE 1_0", "SIZE 10 10"]
)
def test_no_size_limit(size: str) -> None:
    assert parse_offer("mx", f"mx\n{size}").obstacle(PLAIN, 5000) is None
