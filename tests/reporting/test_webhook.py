"""Alerts posted to a URL: what arrives, what is told of trouble, and what never is."""

import asyncio
import socket
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from relay.lab.world import World
from relay.reporting.webhook import Webhook
from tests.reporting.receiver import receiving

SECRET = "s3cret"


async def test_the_object_is_posted_as_json() -> None:
    async with receiving(204) as receiver:
        hook = Webhook(f"http://joe:{SECRET}@127.0.0.1:{receiver.port}/hooks/x?token=y", None)
        assert await hook.tell(b'{"v":1}') is None
    assert receiver.alerts == [{"v": 1}]
    (head,) = receiver.heads
    assert head.startswith("POST /hooks/x?token=y HTTP/1.1\r\n")
    fields = head.lower()
    assert "content-type: application/json\r\n" in fields
    assert "authorization: basic am9lonmzy3jlda==\r\n" in fields  # joe:s3cret


@pytest.mark.parametrize(
    ("status", "told"),
    [(301, "answered 301"), (400, "answered 400"), (500, "answered 500"), (199, None)],
)
async def test_only_success_counts_and_no_redirect_is_followed(
    status: int, told: str | None
) -> None:
    async with receiving(status) as receiver:
        why = await Webhook(f"http://127.0.0.1:{receiver.port}/", None).tell(b"{}")
    assert why is not None
    assert told is None or why == told
    assert len(receiver.heads) == 1


async def test_who_does_not_answer_is_not_waited_for() -> None:
    async with receiving(None) as receiver:
        hook = Webhook(f"http://127.0.0.1:{receiver.port}/", None, longest=0.2)
        assert await hook.tell(b"{}") == "gave no answer within 0 seconds"


@pytest.mark.parametrize(
    ("name", "trusted", "taken"),
    [("localhost", True, True), ("other.test", True, False), ("localhost", False, False)],
)
async def test_certificates_are_verified(
    world: World, name: str, trusted: bool, taken: bool
) -> None:
    context = (world.ca if trusted else world.foreign_ca).issue([name]).server_context()
    async with receiving(tls=context) as receiver:
        hook = Webhook(f"https://localhost:{receiver.port}/", world.ca_file)
        why = await hook.tell(b"{}")
    assert (why is None, len(receiver.alerts)) == (taken, int(taken))
    assert taken or "certificate verify failed" in (why or "")


async def test_nobody_hears_what_is_secret_in_a_url(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    url = f"http://joe:{SECRET}@127.0.0.1:{world.smtp_port}/{SECRET}?{SECRET}"
    hook = Webhook(url, None)
    why = await hook.tell(b"{}")
    assert "cannot be reached" in (why or "")
    async with receiving() as receiver:
        open_hook = Webhook(url.replace(str(world.smtp_port), str(receiver.port)), None)
        assert await open_hook.tell(b"{}") is None
    assert SECRET not in f"{why} {hook} {caplog.text}"
    assert str(hook) == f"alert.webhook (http://127.0.0.1:{world.smtp_port})"


async def test_the_environment_has_no_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    async with receiving() as receiver:
        assert await Webhook(f"http://127.0.0.1:{receiver.port}/", None).tell(b"{}") is None


def test_what_configurations_may_hold_is_a_url_for_httpx() -> None:
    for host in ("[::1]", "localhost", "a-b.example.org"):
        assert httpx.URL(f"https://u%40x:p@{host}:1/a/b?c=d&e").port == 1


async def test_a_name_that_is_none_is_trouble_like_any_other() -> None:
    why = await Webhook("https://xn--a.invalid/", None).tell(b"{}")
    assert (why or "").startswith("cannot be reached: ")


async def test_each_address_of_a_name_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [(2, 1, 6, "", (address, 0)) for address in ("127.0.0.3", "127.0.0.1", "127.0.0.4")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: rows)
    async with receiving() as receiver:
        assert await Webhook(f"http://localhost:{receiver.port}/", None).tell(b"{}") is None
    assert f"host: localhost:{receiver.port}\r\n" in receiver.heads[0].lower()


def test_the_end_does_not_wait_for_a_name_server(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, answered = threading.Event(), threading.Event()

    def look_up(*_: Any, **__: Any) -> list[Any]:
        asked.set()
        answered.wait(20)
        answered.set()
        return []

    async def stop_amid() -> None:
        telling = asyncio.create_task(Webhook("https://localhost/", None).tell(b"{}"))
        await asyncio.to_thread(asked.wait, 20)
        telling.cancel()

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    asyncio.run(stop_amid())
    assert asked.is_set()
    assert not answered.is_set()
    answered.set()
