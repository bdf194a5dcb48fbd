"""Writes that leave together: nothing is reordered, and nothing goes to who is gone."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from relay.outbox import Outbox

PATIENCE = 20.0


@asynccontextmanager
async def _connection() -> AsyncIterator[tuple[asyncio.WriteTransport, asyncio.StreamReader]]:
    ours, theirs = socket.socketpair()
    _, writer = await asyncio.open_connection(sock=ours)
    reader, far_end = await asyncio.open_connection(sock=theirs)
    try:
        yield writer.transport, reader
    finally:
        for end in (writer, far_end):
            end.close()
            await end.wait_closed()


async def test_what_is_put_leaves_by_itself_in_its_order() -> None:
    outbox = Outbox()
    async with _connection() as (transport, reader):
        for octets in (b"one ", b"two ", b"three"):
            outbox.put(transport, octets)
        assert await reader.readexactly(13) == b"one two three"


async def test_send_comes_before_what_is_written_directly() -> None:
    outbox = Outbox()
    async with _connection() as (transport, reader):
        outbox.put(transport, b"reply ")
        outbox.send()
        transport.write(b"goodbye")
        transport.close()
        assert await reader.read() == b"reply goodbye"


async def test_who_takes_nothing_is_cut_and_stops_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    outbox = Outbox()
    async with (
        _connection() as (ended, lost),
        _connection() as (transport, reader),
        asyncio.timeout(PATIENCE),
    ):
        ended.write_eof()  # asyncio's raises for what is written after it, uvloop's does not
        outbox.put(ended, b"lost")
        outbox.put(transport, b"come")
        assert await reader.readexactly(4) == b"come"
        assert await lost.read() == b""
    assert all("takes no octets" in message for message in caplog.messages)


async def test_who_is_gone_gets_nothing_and_stops_nobody() -> None:
    outbox = Outbox()
    async with _connection() as (gone, lost), _connection() as (transport, reader):
        outbox.put(gone, b"lost")
        outbox.put(transport, b"come")
        gone.close()
        assert await reader.readexactly(4) == b"come"
        assert await lost.read() == b""
