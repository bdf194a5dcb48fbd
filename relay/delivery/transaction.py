"""One mail transaction with one host (RFC 5321 §3.3), in one go where it takes that (RFC 2920).

Knows neither how the connection came about nor what comes after.
"""

import asyncio
from collections.abc import Sequence

from relay.address import plainest
from relay.delivery.caller import Caller
from relay.delivery.offer import Offer
from relay.delivery.wire import Disconnected, InDoubt, Wire
from relay.envelope import Envelope
from relay.immutable import immutable
from relay.reply import Reply, Severity

_SERVICE_CLOSING = 421
_START_MAIL_INPUT = 354
_TOO_MANY = 552


@immutable
class Content:
    """A message as it goes over the wire, but for the dot that ends it; `size` is in octets before
    dot-stuffing."""

    stuffed: bytes
    size: int


# RFC 5321 §4.5.2: a dot more where a line begins with one; CRLF.CRLF ends it, no line is added
def content_of(body: bytes) -> Content:
    """A body with CRLF line ends, ready for the wire; the same octets where no line begins with a
    dot, so that a large one is in memory once."""
    if body and not body.endswith(b"\r\n"):
        body += b"\r\n"
    first = b"." if body.startswith(b".") else b""
    return Content(first + body.replace(b"\r\n.", b"\r\n.."), len(body))


class Transaction:
    """MAIL, RCPT, DATA and the content; used once.

    `is_open`: the host waits for the rest, so that RSET comes before the next one. `is_closing`: it
    has said 421.
    """

    def __init__(
        self, wire: Wire, offer: Offer, caller: Caller, envelope: Envelope, content: Content
    ) -> None:
        """Nothing is said yet; the offer must be one without an obstacle."""
        self._wire = wire
        self._offer = offer
        self._caller = caller
        self._timeouts = caller.timeouts
        self._envelope = envelope
        self._content = content
        self._ahead = offer.has("PIPELINING")
        self._accepted: list[str] = []
        self._ends = 0.0  # the envelope's time, by the loop's clock
        self.is_open = False
        self.is_closing = False

    async def run(
        self, recipients: Sequence[str], replies: dict[str, Reply], *, kept: bool
    ) -> None:
        """Add to `replies` the last word on each recipient. Raises Disconnected.

        `kept`: the connection has served before, and may have been kept too long.
        """
        self._now = asyncio.get_running_loop().time
        self._ends = self._now() + self._timeouts.envelope
        go = await self._ask_for(recipients, replies, kept=kept)
        if go:
            verdict = await self._hand_over(go)
            replies |= dict.fromkeys(self._accepted, verdict)

    # The reply to DATA; None: it was not asked
    async def _ask_for(
        self, recipients: Sequence[str], replies: dict[str, Reply], *, kept: bool
    ) -> Reply | None:
        commands = [self._mail(), *map(self._rcpt, recipients), b"DATA"]
        # RFC 2920 §3.1: DATA may only be the last of a group
        if self._ahead:
            self._wire.send(*commands)
        mail = await self._ask(commands[0], self._timeouts.mail)
        # RFC 5321 §3.8: on a kept connection this only says that it was kept too long
        if kept and mail.code == _SERVICE_CLOSING:
            raise Disconnected(str(mail))
        self.is_open = mail.severity is Severity.SUCCESS
        if not self.is_open:
            replies |= dict.fromkeys(recipients, mail)
        # RFC 2920 §3.1: each reply is listened for, whatever those before it were
        if self._ahead or self.is_open:
            for recipient, command in zip(recipients, commands[1:-1], strict=True):
                reply = self._kept() or await self._ask(command, self._timeouts.rcpt)
                self._sort(recipient, reply, replies)
        if self._ahead or self._accepted:
            return self._kept() or await self._ask(commands[-1], self._timeouts.data)
        return None

    # Where MAIL was refused, that was the last word on everyone
    def _sort(self, recipient: str, reply: Reply, replies: dict[str, Reply]) -> None:
        if recipient in replies:
            return
        if reply.severity is Severity.SUCCESS:
            self._accepted.append(recipient)
        else:
            replies[recipient] = _as_too_many(reply) if self._accepted else reply

    async def _hand_over(self, go: Reply) -> Reply:
        # RFC 5321 §3.3: no content unless 354
        if go.code != _START_MAIL_INPUT:
            if go.severity is Severity.SUCCESS:
                # nobody knows what the host waits for now
                self._wire.abort()
                return Reply(451, "4.5.0", f"the host answers DATA with {go}")
            return go
        # RFC 2920 §3.1: where nobody is to have it, a lone dot ends what the host waits for
        data = self._content.stuffed if self._accepted else b""
        try:
            reply = await self._wire.content(data, self._timeouts.block, self._timeouts.final)
        except InDoubt as error:
            raise error if self._accepted else Disconnected(str(error)) from None
        self.is_open = False
        return reply

    def _mail(self) -> bytes:
        parameters = self._offer.parameters(self._envelope, self._content.size)
        # RFC 4954 §5: the relay vouches for no submitter where it has logged in itself
        if self._caller.identity:
            parameters.append(b"AUTH=<>")
        sender = _path(self._envelope.sender or "")
        return b" ".join((b"MAIL FROM:" + sender, *parameters))

    def _rcpt(self, recipient: str) -> bytes:
        parameters = self._offer.rcpt_parameters(self._envelope, recipient)
        return b" ".join((b"RCPT TO:" + _path(recipient), *parameters))

    # What was sent ahead is only to be listened for
    async def _ask(self, command: bytes, timeout: float) -> Reply:  # noqa: ASYNC109 - each step's own
        if not self._ahead:
            self._wire.send(command)
        left = self._ends - self._now()
        if timeout <= left:
            reply = await self._wire.reply(timeout)
        else:
            reply = await self._hurry(left, timeout)
        return self._heard(reply)

    # Most replies to what was sent ahead come together
    def _kept(self) -> Reply | None:
        reply = self._wire.kept_reply() if self._ahead else None
        return self._heard(reply) if reply else None

    def _heard(self, reply: Reply) -> Reply:
        self.is_closing |= reply.code == _SERVICE_CLOSING
        return reply

    async def _hurry(self, left: float, timeout: float) -> Reply:  # noqa: ASYNC109
        try:
            async with asyncio.timeout(left):
                return await self._wire.reply(timeout)
        except TimeoutError:
            self._wire.abort()
            raise Disconnected("the replies to the envelope came too slowly") from None


# RFC 5321 §2.4: addresses are sent as they were received, but that a domain may be in A-labels
def _path(address: str) -> bytes:
    return b"<" + plainest(address).encode("utf-8") + b">"


# RFC 5321 §4.5.3.1.10: 552 to a later RCPT means "too many recipients" and counts as 452
def _as_too_many(reply: Reply) -> Reply:
    return Reply(452, "4.5.3", reply.text) if reply.code == _TOO_MANY else reply
