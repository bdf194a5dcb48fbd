"""Where a message's content ends, and what its octets were before dot-stuffing (RFC 5321 §4.5.2).

Knows no connection: octets come in pieces of any size, down to single ones.
"""

import re
from io import IncrementalNewlineDecoder

_LINE_END = b"\r\n"
# RFC 5321 §4.1.1.4: these five octets end the content and nothing else does
_END = b"\r\n.\r\n"
_STUFFED = b"\r\n."
_ANY_LINE_END = re.compile(rb"\r\n|\r|\n")


class Content:
    """Takes what follows the 354 reply apart; the octets are collected until they are drained.

    What exceeds the limit is read but not kept, nor is anything after a bare CR or LF, unless those
    are to be normalised. `bare`: there was such a one. `eight_bit`: an octet is 0x80 or above.
    """

    def __init__(self, limit: int, *, normalise: bool = False) -> None:
        """Begin with nothing; `limit` counts octets as they are kept."""
        self._limit = limit
        self._normalise = normalise
        # the line end of the DATA command itself: so a first line that begins with a dot is like
        # any other
        self._tail = _LINE_END
        self._foreign = len(_LINE_END)
        self._kept: list[bytes] = []
        self.held = 0
        """How many octets are waiting to be drained."""
        self._wanted = True
        self.size = 0
        self.too_large = self.bare = self.eight_bit = False

    def feed(self, chunk: bytes) -> bytes | None:
        """Take a piece; None asks for more, else the content is complete and this came after it."""
        if self._foreign and self._tail == _LINE_END and chunk and not chunk.startswith(b"."):
            self._tail, self._foreign = b"", 0
        data = self._tail + chunk
        # both the end and what was stuffed begin like that, so most contents are searched once
        dot = data.find(_STUFFED)
        end = data.find(_END, dot) if dot >= 0 else dot
        if end >= 0:
            self._keep(data[: end + len(_LINE_END)], stuffed=dot < end)
            return data[end + len(_END) :]
        held = _begun(data)
        self._tail = data[len(data) - held :]
        self._keep(data[: len(data) - held], stuffed=dot >= 0)
        return None

    def take(self, octets: bytes) -> None:
        """Take a whole content at once, dots and all as they were before dot-stuffing."""
        self._foreign = 0
        self._judge(octets)

    def drain(self) -> bytes:
        """The octets since the last time, whole lines or not."""
        octets = b"".join(self._kept)
        self._forget()
        return octets

    def discard(self) -> None:
        """Keep nothing more: the content will be refused."""
        self._wanted = False
        self._forget()

    def _forget(self) -> None:
        self._kept.clear()
        self.held = 0

    # No piece begins or ends within a CRLF: it is the beginning of the end, so it is held together
    def _keep(self, data: bytes, *, stuffed: bool) -> None:
        if not self._wanted or not data:
            return
        # RFC 5321 §4.5.2: the first dot of a line that holds more was added on the way
        self._judge(data.replace(_STUFFED, _LINE_END) if stuffed else data)

    def _judge(self, data: bytes) -> None:
        if has_bare_line_end(data):
            self.bare = True
            data = normalised(data)
        if self._foreign:
            data, self._foreign = data[self._foreign :], 0
        self._kept.append(data)
        self.held += len(data)
        self.size += len(data)
        self.eight_bit = self.eight_bit or not data.isascii()
        self.too_large = self.size > self._limit
        if self.too_large or (self.bare and not self._normalise):
            self.discard()


def has_bare_line_end(content: bytes) -> bool:
    """Whether a CR or LF stands alone (RFC 5321 §2.3.8): what smuggling is made of."""
    # the standard library's own judge of line ends is the fastest; in Latin-1 an octet is a letter
    judge = IncrementalNewlineDecoder(None, translate=False)
    judge.decode(content.decode("latin-1"), final=True)
    return judge.newlines not in (None, "\r\n")


def normalised(content: bytes) -> bytes:
    """The content with each CR or LF that stands alone made a CRLF."""
    return _ANY_LINE_END.sub(_LINE_END, content)


# How many octets at the end may be the beginning of the end, or of a stuffed line
def _begun(data: bytes) -> int:
    return next((n for n in range(len(_END) - 1, 0, -1) if data.endswith(_END[:n])), 0)
