"""What a client has sent and nobody has read: lines, pieces, bounds, the end."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.inbound.intake import CHUNK, ClientGone, Intake


class Pipe(asyncio.Transport):
    """Notes whether it is read from."""

    def __init__(self) -> None:
        super().__init__()
        self.is_read = True
        self.closing = False

    def pause_reading(self) -> None:
        self.is_read = False

    def resume_reading(self) -> None:
        assert not self.closing
        self.is_read = True

    def is_closing(self) -> bool:
        return self.closing


@pytest.fixture
async def intake() -> Intake:
    made = Intake(memoryview(bytearray(CHUNK)), asyncio.get_running_loop())
    made.transport = Pipe()
    return made


def pipe(intake: Intake) -> Pipe:
    assert isinstance(intake.transport, Pipe)
    return intake.transport


def come(intake: Intake, octets: bytes) -> None:
    """As asyncio's event loop hands them over."""
    for start in range(0, len(octets), CHUNK):
        piece = octets[start : start + CHUNK]
        intake.get_buffer(-1)[: len(piece)] = piece
        intake.buffer_updated(len(piece))


@given(st.lists(st.binary(max_size=6).map(lambda line: line.replace(b"\n", b"")), max_size=8))
def test_lines_come_out_as_they_were_sent_in_pieces_of_any_size(lines: list[bytes]) -> None:
    octets = b"".join(line + b"\n" for line in lines)

    async def read(size: int) -> list[bytes]:
        intake = Intake(memoryview(bytearray(CHUNK)), asyncio.get_running_loop())
        intake.transport = Pipe()
        reading = asyncio.create_task(read_in_turn(intake, len(lines)))
        for start in range(0, len(octets), size):
            come(intake, octets[start : start + size])
            await asyncio.sleep(0)
        return await reading

    for size in (1, 3, len(octets) + 1):
        assert asyncio.run(read(size)) == [line + b"\n" for line in lines]


async def read_in_turn(intake: Intake, number: int) -> list[bytes]:
    return [await intake.read_line() for _ in range(number)]


async def test_what_was_put_back_is_read_first(intake: Intake) -> None:
    come(intake, b"content\r\n.\r\nQUIT\r\n")
    assert await intake.read() == b"content\r\n.\r\nQUIT\r\n"
    come(intake, b"late\r\n")
    intake.unread(b"QUIT\r\n")
    assert [intake.next_line(), await intake.read_line()] == [b"QUIT\r\n", b"late\r\n"]
    assert intake.next_line() is None


async def test_a_line_beyond_all_bounds_is_passed_over(intake: Intake) -> None:
    reading = asyncio.create_task(intake.read_line())
    for _ in range(5):
        come(intake, b"x" * CHUNK)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(intake._octets) <= CHUNK
    come(intake, b"the end of it\nNOOP\r\n")
    assert await reading == b""
    assert await intake.read_line() == b"NOOP\r\n"


async def test_with_too_much_unread_no_more_is_taken(intake: Intake) -> None:
    come(intake, b"x" * CHUNK)
    assert pipe(intake).is_read
    come(intake, b"\n")
    assert not pipe(intake).is_read
    assert len(await intake.read()) == CHUNK + 1
    reading = asyncio.create_task(intake.read())
    await asyncio.sleep(0)
    assert pipe(intake).is_read, "it is waited for now"
    come(intake, b"more")
    assert await reading == b"more"


async def test_it_is_held_up_again_and_again(intake: Intake) -> None:
    for _ in range(2):
        come(intake, b"x" * CHUNK + b"\n")
        assert not pipe(intake).is_read
        assert await intake.read_line()
        reading = asyncio.create_task(intake.read())
        await asyncio.sleep(0)
        assert pipe(intake).is_read
        come(intake, b"more")
        await reading


async def test_what_is_taken_lets_more_come(intake: Intake) -> None:
    come(intake, b"x" * CHUNK + b"\n")
    assert intake.take_input() == b"x" * CHUNK + b"\n"
    assert intake.next_line() is None
    assert pipe(intake).is_read


async def test_the_connection_that_was_held_up_goes_on(intake: Intake) -> None:
    """Not the one in TLS that has taken its place."""
    before = pipe(intake)
    come(intake, b"x" * CHUNK + b"\n")
    intake.transport = Pipe()
    intake.take_input()
    assert before.is_read


async def test_half_a_line_is_none(intake: Intake) -> None:
    come(intake, b"NOO")
    assert intake.next_line() is None
    come(intake, b"P\r\nQUIT")
    assert intake.next_line() == b"NOOP\r\n"
    assert intake.next_line() is None


async def test_a_line_that_fills_all_room_lets_more_come(intake: Intake) -> None:
    come(intake, b"x" * CHUNK + b"x")
    assert not pipe(intake).is_read
    assert intake.next_line() is None
    assert pipe(intake).is_read
    come(intake, b"the end of it\nNOOP\r\n")
    assert [intake.next_line(), intake.next_line()] == [b"", b"NOOP\r\n"]


class Told(Intake):
    """Notes what it is told of."""

    times = 0

    def input_came(self) -> None:
        self.times += 1


async def test_what_nobody_awaits_is_told_of() -> None:
    told = Told(memoryview(bytearray(CHUNK)), asyncio.get_running_loop())
    told.transport = Pipe()
    come(told, b"NOOP\r\n")
    assert told.times == 1
    assert await told.read_line() == b"NOOP\r\n"
    reading = asyncio.create_task(told.read())
    await asyncio.sleep(0)
    come(told, b"content")
    assert await reading == b"content"
    assert told.times == 1, "who awaits it has it"
    told.end_input()
    assert told.times == 2


async def test_it_has_ended_when_the_last_line_is_taken(intake: Intake) -> None:
    come(intake, b"NOOP\r\nQUI")
    assert not intake.has_ended
    intake.end_input()
    assert not intake.has_ended
    assert intake.next_line() == b"NOOP\r\n"
    assert intake.has_ended


async def test_a_connection_that_closes_is_not_read_from_again(intake: Intake) -> None:
    come(intake, b"x" * CHUNK + b"\n")
    pipe(intake).closing = True
    intake.take_input()
    assert not pipe(intake).is_read


@pytest.mark.parametrize("reader", [Intake.read, Intake.read_line])
async def test_the_end_comes_after_what_was_sent(intake: Intake, reader: Any) -> None:
    come(intake, b"QUIT\r\n")
    intake.end_input()
    assert await reader(intake) == b"QUIT\r\n"
    with pytest.raises(ClientGone):
        await reader(intake)


@pytest.mark.parametrize("reader", [Intake.read, Intake.read_line])
async def test_who_waits_is_told_of_the_end(intake: Intake, reader: Any) -> None:
    waiting = asyncio.create_task(reader(intake))
    await asyncio.sleep(0)
    intake.end_input()
    with pytest.raises(ClientGone):
        await waiting


async def test_a_piece_of_a_line_before_the_end_is_no_line(intake: Intake) -> None:
    come(intake, b"QUI")
    intake.end_input()
    with pytest.raises(ClientGone):
        await intake.read_line()


def test_an_event_loop_puts_octets_where_it_is_told() -> None:
    """Else each read allocates 256 KiB (asyncio) or makes a copy (uvloop, for `data_received`)."""
    assert issubclass(Intake, asyncio.BufferedProtocol)
    assert not hasattr(Intake, "data_received")
