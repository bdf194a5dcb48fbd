"""`relay user`, and a client from elsewhere that logs in to the running relay."""

import asyncio
import os
import pty
import signal
import smtplib
import ssl
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from relay.inbound.users import read_users
from relay.lab.world import World
from tests.cli.process import relay, serving


@pytest.fixture
def relaying(world: World, path: Path) -> Path:
    """A configuration with certificate and users, and nobody who may relay without."""
    certificate = world.ca.issue(["relay.lab.test"]).path
    (path.parent / "relay.pem").write_bytes(certificate.read_bytes())
    (path.parent / "relay.pem").chmod(0o600)
    extra = '[server]\nallow = []\ntls_cert = "relay.pem"\nusers = "users"\n'
    path.write_text(world.config(path.parent / "var", extra=extra), "utf-8")
    return path


def user(*words: str | Path, password: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "relay", "user", *words],
        input=password,
        capture_output=True,
        text=True,
        check=False,
    )


def test_users_come_and_go(relaying: Path) -> None:
    users = relaying.parent / "users"
    assert "is not there yet" in relay("check", "-c", relaying).stderr
    added = user("add", "joe", "-c", relaying, password="secret\n")
    assert (added.returncode, added.stdout) == (0, "joe may log in\n")
    assert stat.S_IMODE(users.stat().st_mode) == 0o600
    first = read_users(users)
    user("add", "ann@example.org", "-c", relaying, password="secret")
    again = user("add", "joe", "-c", relaying, password="other\n")
    assert again.stdout == "joe has a new password\n"
    assert read_users(users)["joe"] != first["joe"]
    assert user("list", "-c", relaying).stdout == "joe\nann@example.org\n"
    assert user("remove", "joe", "-c", relaying).returncode == 0
    assert user("list", "-c", relaying).stdout == "ann@example.org\n"
    assert relay("check", "-c", relaying).stderr == ""


@pytest.mark.parametrize(
    ("words", "password", "status", "told"),
    [
        (["add", "a b"], "x\n", 2, "a name has no blank"),
        (["add", "a"], "\n", 2, "a password has 1 to 1024"),
        (["add", "a"], "", 2, "a password has 1 to 1024"),
        (["add", "a"], "x" * 1025, 2, "a password has 1 to 1024"),
        (["add", "a"], "x\0y\n", 2, "a password has 1 to 1024"),
        (["remove", "a"], "", 1, "there is no user 'a'"),
    ],
)
def test_wrong_use(relaying: Path, words: list[str], password: str, status: int, told: str) -> None:
    run = user(*words, "-c", relaying, password=password)
    assert run.returncode == status
    assert told in run.stderr
    assert "Traceback" not in run.stderr
    assert not (relaying.parent / "users").exists()


def test_without_a_file_of_users(path: Path) -> None:
    run = user("list", "-c", path)
    assert run.returncode == 2
    assert "server.users: is not set" in run.stderr


def test_a_terminal_is_asked_twice_and_shows_nothing(relaying: Path) -> None:
    ours, theirs = pty.openpty()
    words = [sys.executable, "-m", "relay", "user", "add", "joe", "-c", str(relaying)]
    with subprocess.Popen(
        words, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    ) as child:
        os.close(theirs)
        shown = ""
        for asked in (1, 2):
            while shown.count(":") < asked:
                shown += os.read(ours, 1024).decode()
            os.write(ours, b"secret\n")
        assert child.wait(20) == 0
    os.close(ours)
    assert "secret" not in shown
    assert shown.count(":") == 2
    assert list(read_users(relaying.parent / "users")) == ["joe"]


async def test_a_client_from_elsewhere(world: World, relaying: Path) -> None:
    mx = await world.mx_host("mx.d.test")
    world.domain("d.test", mx=[(10, mx.name)])
    context = ssl.create_default_context(cafile=world.ca_file)
    context.check_hostname = False

    def send(port: int, password: str) -> str:
        with smtplib.SMTP("127.0.0.1", port) as client:
            client.starttls(context=context)
            client.login("joe", password)
            client.sendmail("me@a.test", ["u@d.test"], b"Subject: x\r\n\r\nhello\r\n")
            serial = client.sock.getpeercert()["serialNumber"]  # type: ignore[union-attr]
            return str(serial)

    async with serving(relaying) as (child, port):
        with pytest.raises(smtplib.SMTPAuthenticationError):
            await asyncio.to_thread(send, port, "secret")
        await asyncio.to_thread(user, "add", "joe", "-c", relaying, password="secret\n")
        old = await asyncio.to_thread(send, port, "secret")
        (message,) = await mx.received(1, timeout=10)
        assert b" with ESMTPSA id " in message.content
        renewed = world.ca.issue(["relay.lab.test"]).path
        (relaying.parent / "relay.pem").write_bytes(renewed.read_bytes())
        child.send_signal(signal.SIGHUP)
        async with asyncio.timeout(10):
            while await asyncio.to_thread(send, port, "secret") == old:
                pass  # the signal is on its way
        child.send_signal(signal.SIGTERM)
        assert await child.wait() == 0
