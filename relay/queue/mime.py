"""Text of any origin as a MIME part, in a form that mail hosts pass on (RFC 2045). Pure; does not
know what the text is about."""

import binascii
from collections.abc import Iterable

_LINE_LIMIT = 998  # octets without CRLF, RFC 5322 §2.1.1


def lines_of(lines: Iterable[str]) -> str:
    """Lines with CRLF after each."""
    return "".join(f"{line}\r\n" for line in lines)


def as_seven_bit(content_type: str, content: bytes) -> bytes:
    """A MIME part with its header: as it is where that is 7 bit, else quoted-printable."""
    return _part(content_type, content, "7bit" if fits(content) and content.isascii() else "")


def as_eight_bit(content_type: str, content: bytes) -> bytes:
    """A MIME part with its header: as it is but for lines that no host takes."""
    plain = "7bit" if content.isascii() else "8bit"
    return _part(content_type, content, plain if fits(content) else "")


# RFC 2045 §2.7, §2.8
def fits(content: bytes) -> bool:
    """Whether content may go unencoded where 8 bits may: no line too long, no NUL, CR or LF."""
    return all(
        len(line) <= _LINE_LIMIT and not set(line) & {0, 10, 13} for line in content.split(b"\r\n")
    )


def as_token(text: str) -> str:
    """Text for a header field: ASCII, on one line, without control characters."""
    shown = text.encode("ascii", "backslashreplace").decode("ascii")
    return "".join(char if char.isprintable() else " " for char in shown)


def _part(content_type: str, content: bytes, plain: str) -> bytes:
    encoding = plain or "quoted-printable"
    head = f"Content-Type: {content_type}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    if not plain:
        content = b"\r\n".join(map(_quoted, content.split(b"\r\n")))
    return head.encode("ascii") + content


# RFC 2045 §6.7; b2a_qp ends its soft breaks as UNIX does
def _quoted(line: bytes) -> bytes:
    return binascii.b2a_qp(line, istext=False).replace(b"\n", b"\r\n")
