"""Octets in, SMTP replies out (RFC 5321 §4.2), whatever a server sends. Knows no connection."""

import re
from functools import lru_cache

_LINE = re.compile(rb"([0-9]{3})(?:([^0-9])(.*))?", re.DOTALL)
_LINE_LIMIT = 8192  # octets; RFC 5321 §4.5.3.1.5 asks for 512
_REPLY_LIMIT = 65_536  # octets of all lines
_COMMON = 512  # octets of a line that is remembered


class NoReply(ValueError):
    """What came is none; says why, for a person."""


class ReplyReader:
    """Takes replies off the front of a buffer; each octet is looked at once."""

    def __init__(self, buffer: bytearray) -> None:
        """The buffer is filled by its owner."""
        self._buffer = buffer
        self._texts: list[str] = []
        self._size = 0

    def take(self) -> tuple[int, str] | None:
        """The next reply, the lines of its text ended by LF; None: more octets are needed.

        Raises NoReply, after which the connection is of no use.
        """
        while (end := self._buffer.find(b"\n")) >= 0:
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            self._size += end
            if end > _LINE_LIMIT or self._size > _REPLY_LIMIT:
                raise NoReply(f"a reply is longer than {_REPLY_LIMIT} octets, or one of its lines")
            code, is_last, text = (_parse if end <= _COMMON else _parse.__wrapped__)(line)
            if is_last and not self._texts:  # as most have one line
                self._size = 0
                return code, text
            self._texts.append(text)
            if is_last:
                texts, self._texts, self._size = self._texts, [], 0
                return code, "\n".join(texts)
        if len(self._buffer) > _LINE_LIMIT:
            raise NoReply(f"a reply has a line of more than {_LINE_LIMIT} octets")
        return None


@lru_cache(maxsize=1024)  # hosts say the same again and again
def _parse(line: bytes) -> tuple[int, bool, str]:
    found = _LINE.fullmatch(line.rstrip(b"\r"))
    # RFC 5321 §4.2.1: no reply has another first digit
    if not found or found[1][0] not in b"2345":
        raise NoReply(f"{line[:80].decode('ascii', 'replace')!r} is no reply")
    text = (found[3] or b"").strip(b" \t").decode("utf-8", "surrogateescape")
    return int(found[1]), found[2] != b"-", text
