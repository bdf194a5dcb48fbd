"""A stream server that knows its connections, so that it can be closed without leaving any."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def serving(
    serve: Serve, address: str, port: int, context: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """Serve on address and port (0 = any free one, which is yielded); cut all clients at the end.

    Raises OSError where the port is taken.
    """
    tasks: set[asyncio.Task[None]] = set()

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await _serve_one(serve, reader, writer)
        finally:
            tasks.discard(task)

    server = await asyncio.start_server(client, address, port, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


async def _serve_one(
    serve: Serve, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    # a client may vanish at any point, and that is no news to anybody here
    with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        try:
            await serve(reader, writer)
        except asyncio.CancelledError:
            writer.transport.abort()
            return
        writer.close()
        await writer.wait_closed()
