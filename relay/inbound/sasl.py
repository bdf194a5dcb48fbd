"""The mechanisms PLAIN (RFC 4616) and LOGIN, and what may go wrong in them (RFC 4954 §4).

Knows no password but the one in hand, and no connection: the client is asked through a callable.
"""

import binascii
from collections.abc import Awaitable, Callable
from dataclasses import field

from relay.immutable import immutable

MECHANISMS = ("PLAIN", "LOGIN")
_USER_NAME = "VXNlcm5hbWU6"  # "Username:" and "Password:", as every client expects them
_PASSWORD = "UGFzc3dvcmQ6"  # noqa: S105 - a question, not an answer

Ask = Callable[[str], Awaitable[bytes]]
"""Sends a challenge in base64; the client's answer, still in base64."""


class SaslError(ValueError):
    """The exchange has failed; the text is the reply."""


@immutable
class Credentials:
    """Who the client says it is; never printed with its password."""

    name: str
    password: bytes = field(repr=False)


async def exchange(argument: str, ask: Ask) -> Credentials:
    """What follows AUTH, and the conversation after it. Raises SaslError."""
    mechanism, _, initial = argument.partition(" ")
    match mechanism.upper():
        case "PLAIN":
            return _plain(await _answer(initial, "", ask))
        case "LOGIN":
            name = await _answer(initial, _USER_NAME, ask)
            return _credentials(name, await _answer("", _PASSWORD, ask))
    raise SaslError("504 5.5.4 This mechanism is not known; PLAIN and LOGIN are")


# RFC 4616 §2: authorization identity, NUL, authentication identity, NUL, password
def _plain(message: bytes) -> Credentials:
    parts = message.split(b"\0")
    if len(parts) != len(("authzid", "authcid", "passwd")):
        raise SaslError("501 5.5.2 PLAIN is three texts with NUL between them")
    acting_for, name, password = parts
    if acting_for not in (b"", name):
        raise SaslError("535 5.7.8 Nobody may act for another here")
    return _credentials(name, password)


def _credentials(name: bytes, password: bytes) -> Credentials:
    # what is no UTF-8 is nobody's name
    return Credentials(name.decode("utf-8", "surrogateescape"), password)


async def _answer(initial: str, challenge: str, ask: Ask) -> bytes:
    # RFC 4954 §4: "=" is an initial response that is there and empty
    if initial == "=":
        return b""
    answer = initial.encode("utf-8", "surrogateescape") if initial else await ask(challenge)
    if answer == b"*":
        raise SaslError("501 5.7.0 The log-in is cancelled")
    try:
        return binascii.a2b_base64(answer, strict_mode=True)
    except ValueError:
        raise SaslError("501 5.5.2 This is not base64") from None
