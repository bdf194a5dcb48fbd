"""Where a message's content ends, and what its octets were before dot-stuffing (RFC 5321 §4.5.2).

Knows no connection: octets come in pieces of any size, down to single ones.
"""

_LINE_END = b"\r\n"
# RFC 5321 §4.1.1.4: these five octets end the content and nothing else does
_END = b"\r\n.\r\n"
_STUFFED = b"\r\n."


class Content:
    """Collects what follows the 354 reply; what exceeds `limit` octets is read but not kept."""

    def __init__(self, limit: int) -> None:
        """Begin with nothing; `limit` counts octets as they were before dot-stuffing."""
        self._limit = limit
        # the line end of the DATA command itself: so the first line is like any other
        self._tail = _LINE_END
        self._kept = bytearray()
        self.too_large = False

    def feed(self, chunk: bytes) -> bytes | None:
        """Take a piece; None asks for more, else the content is complete and this came after it."""
        data = self._tail + chunk
        end = data.find(_END)
        if end >= 0:
            self._keep(data[: end + len(_LINE_END)])
            return data[end + len(_END) :]
        held = _begun(data)
        self._tail = data[len(data) - held :]
        self._keep(data[: len(data) - held])
        return None

    def content(self) -> bytes:
        """The whole content, each line with its CRLF; nothing where it was too large."""
        return bytes(memoryview(self._kept)[len(_LINE_END) :])

    def _keep(self, data: bytes) -> None:
        if self.too_large:
            return
        # RFC 5321 §4.5.2: the first dot of a line that holds more was added on the way
        self._kept += data.replace(_STUFFED, _LINE_END)
        if len(self._kept) > self._limit + len(_LINE_END):
            self.too_large = True
            self._kept = bytearray()


# How many octets at the end may be the beginning of the end, or of a stuffed line
def _begun(data: bytes) -> int:
    return next((n for n in range(len(_END) - 1, 0, -1) if data.endswith(_END[:n])), 0)
