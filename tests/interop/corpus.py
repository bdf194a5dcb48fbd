"""The messages that every peer is given: one table, so that all are asked the same."""

import re
from dataclasses import dataclass

_TRACE = re.compile(rb"Received:[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Mail:
    """A message; `content` as the client sends it, `arrives` as it ought to come out."""

    name: str
    content: bytes
    recipients: tuple[str, ...] = ()
    sender: str = "me@a.test"

    @property
    def arrives(self) -> bytes:
        """SMTP has no content without a final CRLF (RFC 5321 §4.1.1.4)."""
        return self.content if self.content.endswith(b"\r\n") else self.content + b"\r\n"

    def to(self, domain: str) -> tuple[str, ...]:
        """The recipients in a domain; the message's name where it does not say whom."""
        return tuple(f"{local}@{domain}" for local in self.recipients or (self.name,))


_HEADER = b"From: me@a.test\r\nTo: you@b.test\r\nSubject: x\r\n\r\n"
_OCTETS = bytes(set(range(1, 256)) - {10, 13})  # all but NUL and the parts of a line end
_LATIN = bytes(range(0xA0, 0x100))

# what the header says is nobody's business, and lines may have 998 octets (RFC 5322 §2.1.1)
CORPUS = (
    Mail("plain", _HEADER + b"hello\r\n"),
    Mail("empty-body", _HEADER),
    Mail("no-body-no-blank-line", _HEADER.removesuffix(b"\r\n")),
    Mail("no-final-newline", _HEADER + b"hello"),
    Mail("blank-lines-at-the-end", _HEADER + b"hello\r\n \r\n\t\r\n\r\n\r\n"),
    Mail("dots", _HEADER + b".\r\n..\r\n.x\r\n...\r\nx.\r\n.\r\nMAIL FROM:<x@evil.test>\r\n.\r\n"),
    Mail("line-of-998", _HEADER + b"x" * 998 + b"\r\n"),
    Mail("line-of-998-after-a-dot", _HEADER + b"." + b"x" * 997 + b"\r\nend\r\n"),
    Mail("utf-8", _HEADER + "Grüße, 世界, 🙂\r\n".encode()),
    Mail("octets-that-are-no-utf-8", _HEADER + _LATIN + b"\r\n"),
    Mail("control-characters", _HEADER + _OCTETS[:31] + b"\r\n"),
    Mail("from-at-a-line-start", _HEADER + b"From nobody\r\n>From nobody\r\n"),
    Mail(
        "odd-header", b"X-A:\r\nx-b:  two  blanks \r\nX-C: folded\r\n\t\tonce\r\n more\r\n\r\nx\r\n"
    ),
    Mail(
        "traced", b"Received: from x by y; Thu, 1 Jan 2026 00:00:00 +0000\r\n" + _HEADER + b"x\r\n"
    ),
    Mail("signed", b"DKIM-Signature: v=1; a=rsa-sha256;\r\n\tb=AAAA\r\n" + _HEADER + b"x\r\n"),
    Mail("300-kilobytes", _HEADER + (b"0123456789" * 7 + b"\r\n") * 4200),
    Mail("several-recipients", _HEADER + b"hello\r\n", ("one", "Two", "three+tag")),
    Mail("null-path", _HEADER + b"hello\r\n", sender=""),
)


def after_trace(content: bytes, hops: int) -> bytes:
    """The content below the trace lines of so many hosts."""
    trace = re.match(rb"(?:%s){%d}" % (_TRACE.pattern, hops), content, re.IGNORECASE)
    return content[trace.end() :] if trace else content


def top_trace(content: bytes) -> bytes:
    """The trace line of the last host, unfolded."""
    trace = _TRACE.match(content)
    return b" ".join(trace[0].split()) if trace else b""
