"""Listeners: addresses, bounds on connections, and a graceful end."""

import asyncio
import re
import socket
from dataclasses import replace

import pytest

from relay import event_loop
from relay.inbound.hooks import AcceptHooks
from relay.inbound.reception import Reception
from relay.inbound.server import Client, ListenError, Listeners
from tests.inbound.dialogue import (
    ACCEPTING,
    LISTENING,
    PATIENCE,
    SESSION,
    FrontDoor,
    Noon,
    Shelf,
    front_door,
)

MESSAGE = b"Subject: x\r\n\r\nbody\r\n"


def listeners(*addresses: tuple[str, int]) -> Listeners:
    hooks = AcceptHooks(Shelf().accept, ACCEPTING, Noon())
    return Listeners(replace(LISTENING, addresses=addresses), Reception(hooks, SESSION), Noon())


async def test_every_address_is_listened_on() -> None:
    both = listeners(("127.0.0.1", 0), ("127.0.0.2", 0))
    await both.start()
    assert [host for host, _ in both.bound] == ["127.0.0.1", "127.0.0.2"]
    for host, port in both.bound:
        reader, writer = await asyncio.open_connection(host, port)
        assert (await reader.readline()).startswith(b"220 ")
        writer.close()
    await both.close(PATIENCE)
    assert both.bound == []


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 on loopback here")
async def test_ipv6_and_ipv4_share_a_port() -> None:
    six = listeners(("::1", 0))
    await six.start()
    [(host, port)] = six.bound
    assert host == "::1"
    four = listeners(("127.0.0.1", port))
    await four.start()
    await four.close(PATIENCE)
    await six.close(PATIENCE)


async def test_a_port_in_use_is_named(door: FrontDoor) -> None:
    host, port = door.address
    second = listeners(("127.0.0.1", 0), (host, port))
    with pytest.raises(
        ListenError, match=f"^server.listen: cannot listen on {re.escape(f'{host}:{port}')}: .*use$"
    ):
        await second.start()
    assert second.bound == []


async def test_several_workers_share_a_port() -> None:
    hooks = AcceptHooks(Shelf().accept, ACCEPTING, Noon())
    first = Listeners(replace(LISTENING, reuse_port=True), Reception(hooks, SESSION), Noon())
    await first.start()
    sharing = replace(LISTENING, addresses=first.bound, reuse_port=True)
    second = Listeners(sharing, Reception(hooks, SESSION), Noon())
    await second.start()
    assert second.bound == first.bound
    await first.close(PATIENCE)
    await second.close(PATIENCE)


async def test_connections_in_all_are_bounded() -> None:
    """SRV-31: who is not served is told 421 and parted from; a greeting of 554 there is none."""
    async with front_door(max_connections=2) as door:
        first, second = await door.greeted(), await door.greeted()
        third = await door.connect()
        assert (await third.reply()).startswith("421 4.3.2 ")
        assert await third.closed()
        assert (await first.say("QUIT")).startswith("221")
        assert await first.closed()
        await door.greeted()
        assert (await second.say("NOOP")).startswith("250")


async def test_connections_of_a_stranger_are_bounded() -> None:
    async with front_door(replace(ACCEPTING, allow=()), max_connections_per_client=2) as door:
        await door.greeted(), await door.greeted()
        third = await door.connect()
        await third.send(b"EHLO x\r\n")
        assert (await third.reply()).startswith("421 4.7.0 ")
        await door.greeted("127.0.0.9")


async def test_connections_of_those_who_may_relay_are_not(door: FrontDoor) -> None:
    clients = [await door.greeted() for _ in range(LISTENING.max_connections_per_client + 1)]
    assert (await clients[-1].say("NOOP")).startswith("250")


async def test_srv_23_idle_clients_are_told_at_once(door: FrontDoor) -> None:
    fresh, busy = await door.greeted(), await door.greeted()
    await busy.say("EHLO x", "MAIL FROM:<a@b.test>", "RCPT TO:<c@d.test>")
    await door.listeners.close(PATIENCE)
    for client in (fresh, busy):
        assert (await client.reply()).startswith("421 4.3.2 ")
        assert await client.closed()
    assert door.shelf.messages == []


async def test_srv_23_a_reply_about_to_leave_comes_before_the_421(door: FrontDoor) -> None:
    client = await door.greeted()
    outbox = door.listeners._reception.outbox
    await client.send(b"NOOP\r\n")
    while not outbox._waiting:  # noqa: ASYNC110 - the very turn in which the reply waits
        await asyncio.sleep(0)
    await door.listeners.close(PATIENCE)
    assert (await client.reply()).startswith("250 ")
    assert (await client.reply()).startswith("421 4.3.2 ")


async def test_srv_23_a_message_under_way_is_waited_for(door: FrontDoor) -> None:
    client, uploading = await door.greeted(), await door.greeted()
    await client.begin()
    await uploading.begin()
    await uploading.send(MESSAGE)
    door.shelf.open.clear()
    await client.send(MESSAGE + b".\r\n")
    await door.shelf.waiting.wait()
    [address] = door.listeners.bound
    closing = asyncio.create_task(door.listeners.close(PATIENCE))
    await asyncio.sleep(0)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*address)
    door.shelf.open.set()
    await uploading.send(b".\r\n")
    for each in (client, uploading):
        assert (await each.reply()).startswith("250 2.0.0 queued as ")
        assert (await each.reply()).startswith("421 4.3.2 ")
        assert await each.closed()
    await closing
    assert door.shelf.contents == [MESSAGE, MESSAGE]


async def test_srv_23_an_upload_that_takes_too_long_is_cut(door: FrontDoor) -> None:
    client = await door.greeted()
    await client.begin()
    await client.send(MESSAGE)
    await door.listeners.close(0.1)
    assert await client.closed()
    assert door.shelf.messages == []


async def test_a_client_that_reads_nothing_does_not_hold_up_the_end(door: FrontDoor) -> None:
    client = await door.greeted()
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    client.writer.write(b"HELP\r\n" * 1_000_000)
    other = await door.greeted()
    assert (await other.say("NOOP")).startswith("250")
    async with asyncio.timeout(PATIENCE):
        await door.listeners.close(0.1)


async def test_who_comes_in_the_turn_of_the_close_is_told(door: FrontDoor) -> None:
    """Accepted by the system, but not yet counted when the clients were told."""
    late = Client(door.listeners, door.listeners._reception, tls_first=False)
    await door.listeners.close(0)
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=theirs)
    await asyncio.get_running_loop().connect_accepted_socket(lambda: late, ours)
    said = await asyncio.wait_for(reader.readline(), PATIENCE)
    writer.close()
    assert said == b"421 4.3.2 The service stops, come back later\r\n"
    assert not door.listeners._clients


async def test_close_without_clients_and_twice(door: FrontDoor) -> None:
    await door.listeners.close(0)
    await door.listeners.close(0)


# uvloop's transports are of none of asyncio's classes
def test_bounds_hold_under_uvloop() -> None:
    async def all_of_them() -> None:
        await test_connections_in_all_are_bounded()
        async with front_door() as door:
            await test_srv_23_an_upload_that_takes_too_long_is_cut(door)

    event_loop.run(all_of_them(), "uvloop")
