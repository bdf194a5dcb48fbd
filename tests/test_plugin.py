"""The relay inside someone else's aiosmtpd, in both forms of docs/plugin.md."""

import asyncio
import smtplib
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller

from relay.config import load
from relay.errors import StorageLockedError
from relay.lab.world import World
from relay.plugin import RelayHandler

CONTENT = b"Subject: x\r\n\r\n.dot\r\n\xff\r\n"


def send(port: int, content: bytes = CONTENT) -> dict[str, tuple[int, bytes]]:
    with smtplib.SMTP("127.0.0.1", port) as client:
        return client.sendmail("me@a.test", ["u@d.test"], content)


def configured(world: World, tmp_path: Path, extra: str = "") -> Path:
    path = tmp_path / "config.toml"
    path.write_text(world.config(tmp_path / "var", extra=extra), "utf-8")
    return path


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


async def stop(controller: Controller, handler: RelayHandler) -> None:
    closing = asyncio.run_coroutine_threadsafe(handler.aclose(), controller.loop)
    await asyncio.wrap_future(closing)
    await asyncio.to_thread(controller.stop)


async def test_in_a_controller(world: World, tmp_path: Path) -> None:
    mx = await world.mx_host("mx.d.test")
    world.domain("d.test", mx=[(10, mx.name)], policy="enforce")
    settings = load(configured(world, tmp_path))
    handler = RelayHandler(settings)
    with pytest.raises(StorageLockedError):
        RelayHandler(settings)
    controller = Controller(handler, hostname="127.0.0.1", port=free_port())
    await asyncio.to_thread(controller.start)
    try:
        assert await asyncio.to_thread(send, controller.port) == {}
        (message,) = await mx.received(1)
        with pytest.raises(smtplib.SMTPDataError, match=r"5\.6\.0"):
            await asyncio.to_thread(_send_bare, controller.port)
    finally:
        await stop(controller, handler)
    assert message.content.endswith(b"\r\n" + CONTENT)
    assert (message.tls, message.sni) == (True, "mx.d.test")
    await RelayHandler(settings).aclose()  # the lock is free again


def _send_bare(port: int) -> None:
    with smtplib.SMTP("127.0.0.1", port) as client:
        client.ehlo()
        client.mail("me@a.test")
        client.rcpt("u@d.test")
        client.docmd("DATA")
        client.send(b"Subject: x\r\n\r\na\n.\r\n.\r\n")
        raise smtplib.SMTPDataError(*client.getreply())


async def test_strangers_are_refused(world: World, tmp_path: Path) -> None:
    handler = RelayHandler(load(configured(world, tmp_path, '[server]\nallow = ["::1/128"]\n')))
    controller = Controller(handler, hostname="127.0.0.1", port=free_port())
    await asyncio.to_thread(controller.start)
    try:
        with pytest.raises(smtplib.SMTPRecipientsRefused) as caught:
            await asyncio.to_thread(send, controller.port)
    finally:
        await stop(controller, handler)
    ((code, text),) = caught.value.recipients.values()
    assert code == 550
    assert text.startswith(b"5.7.1 ")


@asynccontextmanager
async def aiosmtpd(port: int, path: Path) -> AsyncIterator[asyncio.StreamReader]:
    """aiosmtpd's own command line; its log."""
    words = ["-m", "aiosmtpd", "-n", "-d", "-l", f"127.0.0.1:{port}"]
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *words,
        "-c",
        "relay.plugin.RelayHandler",
        str(path),
        stderr=asyncio.subprocess.PIPE,
    )
    assert child.stderr is not None
    try:
        yield child.stderr
    finally:
        child.kill()
        await child.wait()
        while await child.stderr.readline():
            pass


async def test_from_the_command_line_left_over_mail_goes_first(
    world: World, tmp_path: Path
) -> None:
    mx = await world.mx_host("mx.d.test", greeting="421 closed")
    world.domain("d.test", mx=[(10, mx.name)])
    path = configured(world, tmp_path, '[queue]\nretry = ["1s"]\n')
    port = free_port()
    async with aiosmtpd(port, path) as log:
        await _line_with(log, b"is listening")
        await asyncio.to_thread(send, port)
        await _line_with(log, b"deferred")
    mx.greeting = None
    async with aiosmtpd(free_port(), path):
        assert len(await mx.received(1, timeout=15)) == 1


async def _line_with(log: asyncio.StreamReader, word: bytes) -> None:
    while word not in (line := await log.readline()):
        assert line, "aiosmtpd has ended"


def test_a_wrong_configuration_is_said_in_one_go(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text("[server]\nlisen = 1\n[foo]\n", "utf-8")
    run = subprocess.run(
        [sys.executable, "-m", "aiosmtpd", "-n", "-c", "relay.plugin.RelayHandler", str(path)],
        capture_output=True,
        check=False,
    )
    assert run.returncode == 2
    assert b"server.lisen" in run.stderr
    assert b"foo" in run.stderr
    assert b"Traceback" not in run.stderr
