"""Content while it comes in: the same from memory and from a file."""

import asyncio
import resource
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from relay.errors import StorageFullError
from relay.inbound import upload as module
from relay.inbound.upload import Body, Upload
from tests.inbound.dialogue import PATIENCE, names_in

HEADER = b"Subject: x\r\nX: \xc3\xbc\r\n"
HEAD = b"Received: us\r\n"


@asynccontextmanager
async def taking(
    directory: Path, content: bytes, step: int
) -> AsyncIterator[tuple[Body, bytes | None]]:
    octets, rest = content + b".\r\nQUIT\r\n", None
    with Upload(directory, 10**7, normalise=False) as upload:
        for begin in range(0, len(octets), step):
            if rest is None:
                rest = await upload.feed(octets[begin : begin + step])
            else:
                rest += octets[begin : begin + step]
        yield await upload.complete(), rest


async def taken(directory: Path, content: bytes, step: int) -> tuple[Body, bytes | None]:
    async with taking(directory, content, step) as (body, rest):
        return body, rest


@pytest.mark.parametrize("size", [0, 10, 262_144, 262_145, 300_000, 2_000_000])
@pytest.mark.parametrize("step", [65_536, 999_983])
async def test_any_size(tmp_path: Path, size: int, step: int) -> None:
    content = HEADER + b"\r\n" + b"z" * size + b"\r\n"
    async with taking(tmp_path, content, step) as (body, rest):
        whole = body.under(HEAD)
    assert (body.size, body.header(), body.eight_bit) == (len(content), HEADER, True)
    assert rest == b"QUIT\r\n"
    assert bytes(whole) == HEAD + content
    assert isinstance(whole, bytes) is (len(content) <= 262_144)
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("padding", [0, 300_000], ids=["memory", "file"])
@pytest.mark.parametrize(
    ("begin", "header"),
    [
        (b"\r\nSubject: no header\r\n", b""),
        (b"Subject: x\r\n\r\n", b"Subject: x\r\n"),
        (b"\r\n\r\n", b""),
    ],
)
async def test_header(tmp_path: Path, begin: bytes, header: bytes, padding: int) -> None:
    body, _ = await taken(tmp_path, begin + b"z" * padding + b"\r\n", 65_536)
    assert body.header() == header


async def test_a_header_without_end(tmp_path: Path) -> None:
    for content in (b"X: y\r\n", b"X: y\r\n" * 100_000):
        body, _ = await taken(tmp_path, content, 65_536)
        assert body.header() == content


async def test_of_an_endless_header_only_the_start_is_held(tmp_path: Path) -> None:
    body, _ = await taken(tmp_path, b"X: y\r\n" * 200_000, 65_536)
    assert body.header() == b"X: y\r\n" * (module._HEADER_LIMIT // 6)


async def test_a_client_that_vanishes_while_its_content_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = asyncio.Event(), threading.Event()
    loop, append, files = asyncio.get_running_loop(), Upload._append, []

    def slowly(self: Upload, octets: bytes) -> None:
        loop.call_soon_threadsafe(begun.set)
        go_on.wait(PATIENCE)
        append(self, octets)
        files.append(self._file)
        raise OSError("and it fails in the end")

    async def upload() -> None:
        with Upload(tmp_path, 10**7, normalise=False) as taking:
            await taking.feed(b"z" * 300_000)

    monkeypatch.setattr(Upload, "_append", slowly)
    task = asyncio.create_task(upload())
    await begun.wait()
    task.cancel()
    await asyncio.wait([task])
    # the loop has gone on although the disk has not; then the file is closed
    go_on.set()
    async with asyncio.timeout(PATIENCE):
        while not (files and files[0] and files[0].closed):
            await asyncio.to_thread(lambda: None)
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("size", [1_000_000, 1_200_000], ids=["at the end", "before"])
@pytest.mark.parametrize("room", [900_000, 655_361], ids=["writing fails", "closing fails too"])
async def test_srv_18_a_disk_that_fills_up_amid_the_content(
    tmp_path: Path, size: int, room: int
) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        with pytest.raises(StorageFullError):
            await taken(tmp_path, b"z" * size + b"\r\n", 65_536)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert names_in(tmp_path) == []


async def test_little_is_held(tmp_path: Path) -> None:
    with Upload(tmp_path, 10**7, normalise=False) as upload:
        most = 0
        for _ in range(100):
            await upload.feed(b"z" * 65_536)
            most = max(most, upload.content.held)
        assert most <= module._IN_MEMORY


async def test_the_longest_trace_line_has_room(tmp_path: Path) -> None:
    head = b"R" * 4094 + b"\r\n"
    async with taking(tmp_path, b"z" * 300_000 + b"\r\n", 65_536) as (body, _):
        whole = body.under(head)
    assert bytes(whole) == head + b"z" * 300_000 + b"\r\n"
