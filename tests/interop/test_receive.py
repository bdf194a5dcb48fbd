"""Mail of other people's servers and clients comes in and goes on octet by octet."""

import asyncio
import os
import smtplib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from subprocess import run as run_program

import pytest

from relay.lab.mx_host import MxHost, Received
from relay.lab.world import World
from tests.flow.conftest import Run
from tests.interop.corpus import CORPUS, Mail, after_trace
from tests.interop.peer import ADDRESS, Place, Server, root_of, running
from tests.interop.servers import SERVERS, passed_on

pytestmark = pytest.mark.interop

DOMAIN = "d.test"
PATIENCE = 60.0
# swaks takes a last line with a dot for the end, and ends a header by a blank line
MENDED_BY_SWAKS = ("dots", "no-body-no-blank-line")


async def destination(world: World) -> MxHost:
    """Where all mail of these tests goes in the end."""
    mx = await world.mx_host(f"mx.{DOMAIN}")
    world.domain(DOMAIN, mx=[(10, mx.name)], policy="enforce")
    return mx


def by_recipient(messages: Iterable[Received], hops: int) -> dict[str, tuple[str, bytes]]:
    return {
        to: (message.mail_from, after_trace(message.content, hops))
        for message in messages
        for to in message.rcpt_tos
    }


def submit(address: tuple[str, int]) -> None:
    with smtplib.SMTP(*address) as client:
        for mail in CORPUS:
            client.sendmail(mail.sender, mail.to(DOMAIN), mail.content)


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.name)
async def test_srv_16_26_mail_of_a_server(world: World, run: Run, server: Server) -> None:
    mx = await destination(world)
    name = f"mx.{server.name}.test"
    certificate = world.ca.issue([name])
    async with run() as relay:
        place = Place(name, ADDRESS, world.smtp_port, relay.address, certificate, world.ca_file)
        async with running(server, place):
            await asyncio.to_thread(submit, (place.address, place.port))
            messages = await mx.received(len(CORPUS), PATIENCE)
    sent = {to: (mail.sender, passed_on(server, mail)) for mail in CORPUS for to in mail.to(DOMAIN)}
    assert by_recipient(messages, 2) == sent


def as_file(mail: Mail) -> bytes:
    """A message as programs on UNIX keep it."""
    return mail.arrives.replace(b"\r\n", b"\n")


def msmtp(mail: Mail, server: tuple[str, int], path: Path) -> list[str]:
    root = root_of("msmtp")
    path.write_bytes(as_file(mail))
    headers = [f"--set-{name}-header=off" for name in ("from", "date", "msgid")]
    options = [f"--host={server[0]}", f"--port={server[1]}", "--tls=off", "--auth=off"]
    return [
        str(root / "usr/bin/msmtp"),
        *options,
        *headers,
        f"--from={mail.sender}",
        *mail.to(DOMAIN),
    ]


def swaks(mail: Mail, server: tuple[str, int], path: Path) -> list[str]:
    root = root_of("swaks")
    path.write_bytes(as_file(mail).removesuffix(b"\n"))  # it ends the last line itself
    options = ["--server", server[0], "--port", str(server[1]), "--from", mail.sender or "<>"]
    to = ",".join(mail.to(DOMAIN))
    return ["perl", str(root / "usr/bin/swaks"), *options, "--to", to, "--data", f"@{path}"]


def environment(root: Path) -> dict[str, str]:
    """Where a program unpacked below a root finds its libraries."""
    libraries = {path.parent for path in root.rglob("*.so*")}
    modules = [root / "usr/share/perl5", *(root / "usr/lib").glob("*/perl5/*")]
    return {
        **os.environ,
        "LD_LIBRARY_PATH": ":".join(map(str, libraries)),
        "PERL5LIB": ":".join(map(str, modules)),
    }


@dataclass(frozen=True, slots=True)
class Client:
    """A program that sends one message; `leaves_out` names those that it does not send as given."""

    name: str
    command: Callable[[Mail, tuple[str, int], Path], list[str]]
    leaves_out: tuple[str, ...] = ()


CLIENTS = (Client("msmtp", msmtp), Client("swaks", swaks, MENDED_BY_SWAKS))


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
async def test_srv_16_26_mail_of_a_client(
    world: World, run: Run, tmp_path: Path, client: Client
) -> None:
    mx = await destination(world)
    path, surroundings = tmp_path / "mail", environment(root_of(client.name))
    mails = [mail for mail in CORPUS if mail.name not in client.leaves_out]
    async with run() as relay:
        for mail in mails:
            command = client.command(mail, relay.address, path)
            await asyncio.to_thread(send, command, path, surroundings)
        messages = await mx.received(len(mails), PATIENCE)
    assert by_recipient(messages, 1) == {
        to: (mail.sender, mail.arrives) for mail in mails for to in mail.to(DOMAIN)
    }


def send(command: list[str], path: Path, surroundings: dict[str, str]) -> None:
    with path.open("rb") as content:
        done = run_program(
            command, stdin=content, capture_output=True, check=False, env=surroundings
        )
    assert done.returncode == 0, done.stdout + done.stderr
