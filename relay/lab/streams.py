"""A stream server that knows its connections, so that it can be closed without leaving any."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import cast

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

_TLS_TIMEOUT = 5.0  # seconds for a handshake, and for the farewell of a client that is silent


@contextlib.asynccontextmanager
async def serving(
    serve: Serve, address: str, port: int, context: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """Serve on address and port (0 = any free one, yielded); cut all clients at the end.

    Raises OSError where the port is taken.
    """
    tasks: set[asyncio.Task[None]] = set()

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = cast("asyncio.Task[None]", asyncio.current_task())
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        await _serve_one(serve, reader, writer)

    timeout = _TLS_TIMEOUT if context else None
    server = await asyncio.start_server(
        client,
        address,
        port,
        ssl=context,
        ssl_handshake_timeout=timeout,
        ssl_shutdown_timeout=timeout,
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        ending = list(tasks)
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        await server.wait_closed()


async def _serve_one(
    serve: Serve, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    try:
        # a client may vanish at any point, and that is no news to anybody here
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await serve(reader, writer)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    finally:
        writer.transport.abort()
