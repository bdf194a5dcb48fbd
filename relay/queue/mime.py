"""Text of any origin in a form that every mail host passes on: 7 bit, short lines (RFC 2045). Pure;
does not know what the text is about."""

import binascii
from collections.abc import Iterable

_LINE_LIMIT = 998  # octets without CRLF, RFC 5322 §2.1.1


def lines_of(lines: Iterable[str]) -> str:
    """Lines with CRLF after each."""
    return "".join(f"{line}\r\n" for line in lines)


def as_seven_bit(content_type: str, content: bytes) -> bytes:
    """A MIME part with its header: as it is where that is 7 bit, else quoted-printable."""
    encoding, lines = "7bit", content.split(b"\r\n")
    if not all(map(_is_plain, lines)):
        encoding, lines = "quoted-printable", [_quoted(line) for line in lines]
    head = f"Content-Type: {content_type}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    return head.encode("ascii") + b"\r\n".join(lines)


def as_token(text: str) -> str:
    """Text for a header field: ASCII, on one line, without control characters."""
    shown = text.encode("ascii", "backslashreplace").decode("ascii")
    return "".join(char if char.isprintable() else " " for char in shown)


def _is_plain(line: bytes) -> bool:
    return len(line) <= _LINE_LIMIT and line.isascii() and not set(line) & {0, 10, 13}


# RFC 2045 §6.7; b2a_qp ends its soft breaks as UNIX does
def _quoted(line: bytes) -> bytes:
    return binascii.b2a_qp(line, istext=False).replace(b"\n", b"\r\n")
