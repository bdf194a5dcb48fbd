"""Logging in at a next hop: AUTH (RFC 4954) by PLAIN (RFC 4616), else LOGIN. Knows no connection.

The caller has seen to it that the host is verified.
"""

from base64 import b64encode
from collections.abc import Awaitable, Callable
from dataclasses import replace

from relay.delivery.credentials import Credentials
from relay.delivery.hop import Exchange, HopReport
from relay.delivery.offer import Offer
from relay.reply import Reply, Severity

_GO_ON = 334
_AUTH_REQUIRED = 530


async def log_in(
    ask: Callable[..., Awaitable[Reply]], offer: Offer, credentials: Credentials
) -> Reply | None:
    """None: the host takes us. Else why not, as our own transient reply.

    `ask` gives the reply to one line of words; `offer` is what the host said within TLS.
    """
    known = {"PLAIN": _plain(credentials), "LOGIN": _login(credentials)}
    offered = offer.keywords.get("AUTH", "").upper().split(" ")
    mechanism = next((one for one in known if one in offered), None)
    if mechanism is None:
        return _later(f"{offer.host} offers no AUTH by PLAIN or LOGIN, so the relay cannot log in")
    # no initial response: a long one would not fit into the line (RFC 4954 §4)
    reply = await ask(b"AUTH", mechanism.encode("ascii"))
    for response in known[mechanism]:
        if reply.code == _GO_ON:
            reply = await ask(response)
    if reply.code == _GO_ON:
        reply = await ask(b"*")
    if reply.severity is Severity.SUCCESS:
        return None
    secrets = [credentials.password, *(one.decode("ascii") for one in known[mechanism])]
    told = f"{reply.code} (its text repeats them)" if _tells(reply, secrets) else str(reply)
    return _later(f"{offer.host} does not take the relay's credentials: {told}")


# RFC 4954 §6: only the operator can mend that, so mail must not bounce for it
def as_ours_to_mend(report: HopReport) -> HopReport:
    """What a route's host said, transient where it only wants the relay to log in."""
    if not isinstance(report, Exchange):
        return report
    return replace(report, replies={who: _softened(one) for who, one in report.replies.items()})


def _softened(reply: Reply) -> Reply:
    return Reply(454, "4.7.0", reply.text) if reply.code == _AUTH_REQUIRED else reply


def _plain(credentials: Credentials) -> list[bytes]:
    return [_coded(f"\0{credentials.username}\0{credentials.password}")]


def _login(credentials: Credentials) -> list[bytes]:
    return [_coded(credentials.username), _coded(credentials.password)]


def _coded(text: str) -> bytes:
    return b64encode(text.encode("utf-8"))


def _tells(reply: Reply, secrets: list[str]) -> bool:
    return any(secret in reply.text for secret in secrets)


def _later(text: str) -> Reply:
    return Reply(454, "4.7.8", text)
