"""An HTTP server that takes alerts, and answers what it is told to."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson

from relay.lab.streams import serving

PATIENCE = 20.0


class Receiver:
    """What was posted: `heads` as text, `alerts` as objects. `status` None: no answer ever."""

    def __init__(self, status: int | None = 200) -> None:
        self.status = status
        self.port = 0
        self.heads: list[str] = []
        self.alerts: list[dict[str, Any]] = []
        self._grown = asyncio.Event()

    async def received(self, count: int) -> list[dict[str, Any]]:
        """The alerts, once there are so many."""
        async with asyncio.timeout(PATIENCE):
            while len(self.alerts) < count:
                self._grown.clear()
                await self._grown.wait()
        return self.alerts

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii")
        fields = dict(line.lower().split(": ", 1) for line in head.splitlines()[1:] if line)
        body = await reader.readexactly(int(fields["content-length"]))
        self.heads.append(head)
        if self.status is None:
            await reader.read()
        elif 200 <= self.status < 300:
            self.alerts.append(orjson.loads(body))
        self._grown.set()
        answer = f"HTTP/1.1 {self.status} X\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n"
        writer.write(answer.encode())


@asynccontextmanager
async def receiving(
    status: int | None = 200, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Receiver]:
    """A receiver on a free port of 127.0.0.1."""
    receiver = Receiver(status)
    async with serving(receiver.serve, "127.0.0.1", 0, tls) as receiver.port:
        yield receiver
