"""Both event loops carry the same relay: mail in, policy, TLS, mail out, a graceful end."""

import asyncio
import smtplib
import sys
from pathlib import Path

import pytest

from relay import config, event_loop
from relay.errors import ConfigError
from relay.lab.world import World
from tests.cli.process import serving

LARGE = b"Subject: x\r\n\r\n" + (b"z" * 998 + b"\r\n") * 1000


def send(port: int, number: int) -> None:
    with smtplib.SMTP("127.0.0.1", port) as client:
        content = LARGE if number == 0 else b"Subject: x\r\n\r\nhello\r\n"
        client.sendmail("me@a.test", [f"u{number}@d.test"], content)


def loaded(pid: int) -> bool:
    """Whether uvloop is in the process."""
    return "uvloop" in Path(f"/proc/{pid}/maps").read_text("utf-8")


@pytest.mark.skipif(sys.platform != "linux", reason="what is loaded is read from /proc")
@pytest.mark.parametrize(
    ("loop", "workers", "is_uvloop"),
    [("auto", 1, True), ("asyncio", 1, False), ("asyncio", 2, False), ("uvloop", 2, True)],
)
async def test_mail_on_each_loop(
    world: World, tmp_path: Path, loop: str, workers: int, is_uvloop: bool
) -> None:
    mx = await world.mx_host("mx.d.test")
    world.domain("d.test", mx=[(10, "mx.d.test")], policy="enforce")
    path = tmp_path / "config.toml"
    extra = f"[server]\nloop = '{loop}'\nworkers = {workers}"
    path.write_text(world.config(tmp_path / "var", extra=extra), "utf-8")
    async with serving(path) as (child, port):
        await asyncio.gather(*(asyncio.to_thread(send, port, number) for number in range(8)))
        received = await mx.received(8, 20.0)
        if workers == 1:
            assert loaded(child.pid) == is_uvloop
        child.terminate()
        assert await child.wait() == 0
    assert {one.tls_version for one in received} == {"TLSv1.3"}
    assert sorted(one.rcpt_tos for one in received) == [(f"u{n}@d.test",) for n in range(8)]
    assert max(len(one.content) for one in received) > len(LARGE)


def test_a_loop_that_is_not_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    with pytest.raises(ConfigError, match=r"server\.loop: uvloop is not installed: pip install"):
        config.parse({"server": {"loop": "uvloop"}}, tmp_path)


def test_without_uvloop_there_is_asyncio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert event_loop._factory("auto") is asyncio.new_event_loop
