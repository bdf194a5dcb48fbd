"""What relay.inbound takes from aiosmtpd, and from asyncio below its surface: fails on a change."""

import ast
import asyncio
import inspect
from asyncio import sslproto
from types import ModuleType
from typing import Any

import pytest
from aiosmtpd.smtp import Envelope, Session

from relay.inbound import connection, hooks, intake, message, server, session, smtp


def test_asyncio_gives_a_tls_connection_the_buffer_we_say() -> None:
    assert sslproto.SSLProtocol.max_size < 20_000
    assert "bytearray(self.max_size)" in inspect.getsource(sslproto.SSLProtocol.__init__)


def test_sessions_and_envelopes_hold_what_the_hooks_read() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    client, envelope = vars(Session(loop)), vars(Envelope())
    assert {
        "peer",
        "ssl",
        "host_name",
        "extended_smtp",
        "authenticated",
        "auth_data",
    } <= client.keys()
    assert {"mail_from", "mail_options", "rcpt_tos", "rcpt_options"} <= envelope.keys()
    assert {"content", "original_content", "smtp_utf8"} <= envelope.keys()


OURS = (connection, hooks, intake, message, server, session, smtp)


@pytest.mark.parametrize("module", OURS)
def test_nothing_below_the_surface_is_used(module: ModuleType) -> None:
    """Every underscored name that a module uses is defined by one of ours."""
    used = {node.attr for node in _nodes(module, ast.Attribute) if isinstance(node.ctx, ast.Load)}
    foreign = used - set[str]().union(*map(_defined, OURS))
    assert [name for name in foreign if name[0] == "_" and not name.endswith("__")] == []


def _nodes(module: ModuleType, *kinds: Any) -> list[Any]:
    return [node for node in ast.walk(ast.parse(inspect.getsource(module))) if type(node) in kinds]


def _defined(module: ModuleType) -> set[str]:
    functions = _nodes(module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    attributes = _nodes(module, ast.Attribute)
    stored = {node.attr for node in attributes if isinstance(node.ctx, ast.Store)}
    return stored | {node.name for node in functions}


def test_commands_are_methods() -> None:
    for command in (*smtp.RelaySMTP.commands, "STARTTLS", "AUTH"):
        assert callable(getattr(smtp.RelaySMTP, f"smtp_{command}"))
