"""msmtp and swaks: each sends one message over TLS that it verifies."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE, STDOUT

from tests.interop.corpus import Mail
from tests.interop.peer import NextHop, root_of


def _msmtp(root: Path, roots: Path, server: NextHop) -> list[str]:
    address = [f"--host={server.address}", f"--port={server.port}", "--auth=off"]
    tls = ["--tls=on", f"--tls-trust-file={roots}", f"--tls-host-override={server.name}"]
    header = [f"--set-{name}-header=off" for name in ("from", "date", "msgid")]
    return [str(root / "usr/bin/msmtp"), *address, *tls, *header]


def _swaks(root: Path, roots: Path, server: NextHop) -> list[str]:
    address = ["--server", server.address, "--port", str(server.port)]
    tls = ["--tls", "--tls-verify", "--tls-ca-path", str(roots)]
    return ["perl", str(root / "usr/bin/swaks"), *address, *tls, "--data", "-"]


@dataclass(frozen=True, slots=True)
class Client:
    """A program, by its command line but for the envelope, and how it takes a message.

    `adds` is what it puts at the end of the text it is given; `mends` names the messages of the
    corpus that it changes.
    """

    name: str
    command: Callable[[Path, Path, NextHop], list[str]]
    envelope: Callable[[str, tuple[str, ...]], list[str]]
    adds: bytes = b""
    mends: tuple[str, ...] = ()

    async def send(self, mail: Mail, domain: str, server: NextHop, roots: Path) -> None:
        """Send a message; what the program says is shown where it fails."""
        root = root_of(self.name)
        command = self.command(root, roots, server) + self.envelope(mail.sender, mail.to(domain))
        process = await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, stderr=STDOUT, env=_environment(root)
        )
        # programs on UNIX keep mail with LF
        content = mail.arrives.replace(b"\r\n", b"\n").removesuffix(self.adds)
        said, _ = await process.communicate(content)
        assert process.returncode == 0, (mail.name, said.decode("utf-8", "replace"))


# Where a program finds what was unpacked with it
def _environment(root: Path) -> dict[str, str]:
    libraries = {path.parent for path in root.rglob("*.so*")}
    modules = [*(root / "usr/share").glob("perl*"), *(root / "usr/share/perl").glob("*")]
    modules += [*(root / "usr/lib").glob("*/perl*/*")]
    found = {"LD_LIBRARY_PATH": libraries, "PERL5LIB": modules}
    return {**os.environ, **{key: ":".join(map(str, paths)) for key, paths in found.items()}}


CLIENTS = (
    Client("msmtp", _msmtp, lambda sender, to: [f"--from={sender}", *to]),
    Client(
        "swaks",
        _swaks,
        lambda sender, to: ["--from", sender or "<>", "--to", ",".join(to)],
        adds=b"\n",
        # takes a dot in the last line for the end, and sees to the end of a header
        mends=("dots", "empty-body", "no-body-no-blank-line"),
    ),
)
