"""What relay.inbound touches below aiosmtpd's documented surface: fails when it changes."""

import ast
import asyncio
import inspect
from asyncio import sslproto
from types import ModuleType

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from relay.inbound import connection, hooks, intake, server, session, smtp

OVERRIDDEN = {
    "__init__": ["self", "handler"],
    "push": ["self", "status"],
    "connection_made": ["self", "transport"],
    "connection_lost": ["self", "error"],
    "eof_received": ["self"],
    "_handle_client": ["self"],
    "_reset_timeout": ["self", "duration"],
    "_timeout_cb": ["self"],
    "smtp_DATA": ["self", "arg"],
    "smtp_EHLO": ["self", "hostname"],
    "smtp_HELO": ["self", "hostname"],
    "smtp_HELP": ["self", "arg"],
    "smtp_MAIL": ["self", "arg"],
    "smtp_NOOP": ["self", "arg"],
    "smtp_QUIT": ["self", "arg"],
    "smtp_RCPT": ["self", "arg"],
    "smtp_RSET": ["self", "arg"],
    "smtp_VRFY": ["self", "arg"],
}
CALLED = {"_set_rset_state", "_create_session"}
READ = {"_writer", "_timeout_handle", "_timeout_duration"}


@pytest.mark.parametrize("name", OVERRIDDEN)
def test_what_is_overridden_is_there(name: str) -> None:
    parameters = inspect.signature(getattr(SMTP, name)).parameters.values()
    positional = [one.name for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD]
    assert positional == OVERRIDDEN[name]


@pytest.mark.parametrize("name", sorted(CALLED))
def test_what_is_called_is_there(name: str) -> None:
    assert callable(getattr(SMTP, name))


async def test_what_is_read_is_there() -> None:
    loop = asyncio.get_running_loop()
    made = SMTP(object(), loop=loop, hostname="x.test")
    assert made._timeout_handle is None
    assert made._timeout_duration == 300
    assert (made.transport, made.session, made.envelope) == (None, None, None)
    server = await loop.create_server(lambda: made, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    assert (await reader.readline()).startswith(b"220 x.test ")
    assert isinstance(made._writer, asyncio.StreamWriter)
    assert made._writer._transport is made.transport  # type: ignore[attr-defined]
    assert made._timeout_handle is not None
    made._timeout_handle.cancel()
    assert made.transport is not None
    writer.close()
    server.close()
    await server.wait_closed()
    await asyncio.wait([made._handler_coroutine])


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


@pytest.mark.parametrize(
    ("module", "touched"),
    [
        (connection, READ | CALLED),
        (intake, set()),
        (session, {"_writer", "_reset_timeout"}),
        (smtp, set()),
        (server, set()),
        (hooks, set()),
    ],
)
def test_nothing_else_is_touched(module: ModuleType, touched: set[str]) -> None:
    """Every underscored name that a module uses and does not define itself is listed above."""
    tree = ast.parse(inspect.getsource(module))
    nodes = list(ast.walk(tree))
    attributes = [node for node in nodes if isinstance(node, ast.Attribute)]
    used = {node.attr for node in attributes if isinstance(node.ctx, ast.Load)}
    ours = {node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    ours |= {node.name for node in nodes if isinstance(node, ast.AsyncFunctionDef)}
    ours |= {node.attr for node in attributes if isinstance(node.ctx, ast.Store)} - READ
    foreign = {name for name in used - ours if name.startswith("_") and not name.endswith("__")}
    assert foreign == touched


async def test_ext_31_command_limits_are_shared_by_the_class() -> None:
    """Why ours are the instance's own; when this fails, that line may go."""
    SMTP.command_size_limits["MAIL"] += 1
    SMTP(object(), loop=asyncio.get_running_loop(), hostname="x.test")
    assert not SMTP.command_size_limits


def test_commands_are_methods() -> None:
    for command in smtp.RelaySMTP.commands:
        assert inspect.iscoroutinefunction(getattr(smtp.RelaySMTP, f"smtp_{command}"))
