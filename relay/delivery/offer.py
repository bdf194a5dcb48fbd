"""What a host offers in its reply to EHLO and what that means for a message. Pure.

SIZE is RFC 1870, 8BITMIME RFC 6152, SMTPUTF8 RFC 6531, DSN RFC 3461.
"""

import re
from dataclasses import field
from functools import lru_cache

from relay.address import as_ascii
from relay.envelope import Envelope
from relay.immutable import immutable
from relay.reply import Reply

_SIZE = re.compile(r"[0-9]{1,20}", re.ASCII)


@immutable
class Offer:
    """The keywords of an EHLO reply in upper case, each with its parameters as one text."""

    host: str
    keywords: dict[str, str] = field(default_factory=dict)

    def has(self, keyword: str) -> bool:
        """Whether the host offers an extension."""
        return keyword in self.keywords

    def obstacle(self, envelope: Envelope, size: int) -> Reply | None:
        """Why the host cannot take this message, None where it can; `size` in octets."""
        # RFC 6152 §3: 8-bit content is not sent to a host that did not say it copes with it
        if envelope.eight_bit and not self.has("8BITMIME"):
            return Reply(554, "5.6.3", f"{self.host} does not take 8-bit content (no 8BITMIME)")
        if envelope.smtputf8 and not self.has("SMTPUTF8"):
            return self._no_smtputf8(envelope)
        # RFC 1870 §6.2: no use to begin; 0 and nothing mean no fixed limit
        if 0 < (limit := _size_limit(self.keywords.get("SIZE", ""))) < size:
            text = f"the message has {size} octets, {self.host} takes no more than {limit}"
            return Reply(552, "5.3.4", text)
        return None

    # RFC 5321 §4.1.1.3: only parameters that were offered
    def parameters(self, envelope: Envelope, size: int) -> list[bytes]:
        """The parameters of MAIL for a message without an obstacle."""
        wanted = [("SIZE", f"SIZE={size}")]
        if envelope.eight_bit:
            wanted.append(("8BITMIME", "BODY=8BITMIME"))
        if envelope.smtputf8:
            wanted.append(("SMTPUTF8", "SMTPUTF8"))
        # RFC 3461 §5.2.1: passed on unchanged, and not invented
        if envelope.ret:
            wanted.append(("DSN", f"RET={envelope.ret}"))
        if envelope.envid:
            wanted.append(("DSN", f"ENVID={envelope.envid}"))
        return [text.encode("ascii") for keyword, text in wanted if self.has(keyword)]

    def rcpt_parameters(self, envelope: Envelope, recipient: str) -> list[bytes]:
        """The parameters of RCPT for a recipient."""
        asked = envelope.asked(recipient)
        parameters = []
        if self.has("DSN") and asked.notify:
            parameters.append(b"NOTIFY=" + ",".join(asked.notify).encode("ascii"))
        if self.has("DSN") and asked.orcpt:
            # RFC 6533 §3: in UTF-8 only where the transaction is
            orcpt = asked.orcpt if envelope.smtputf8 else as_ascii(asked.orcpt)
            parameters.append(b"ORCPT=" + orcpt.encode("utf-8"))
        return parameters

    # RFC 6531 §3.5: 5.6.7 for addresses, 5.6.9 for a header
    def _no_smtputf8(self, envelope: Envelope) -> Reply:
        if envelope.has_utf8_address:
            return Reply(553, "5.6.7", f"{self.host} does not take UTF-8 addresses (no SMTPUTF8)")
        return Reply(554, "5.6.9", f"{self.host} does not take a UTF-8 header (no SMTPUTF8)")


@lru_cache(maxsize=64)  # most hosts have one of a few
def _size_limit(text: str) -> int:
    return int(text) if _SIZE.fullmatch(text) else 0


# RFC 5321 §4.1.1.1: the first line greets, each other one is a keyword with parameters
def parse_offer(host: str, text: str) -> Offer:
    """The offer in the text of an EHLO reply, lines ended by LF."""
    lines = (line.strip(" ").partition(" ") for line in text.split("\n")[1:])
    return Offer(host, {keyword.upper(): rest.strip(" ") for keyword, _, rest in lines})
