"""Failures to log in and the wait after them; seconds are counted, not waited."""

from relay.inbound import backoff
from relay.inbound.backoff import Backoff


def waits(count: int) -> list[float]:
    """The waits of a client that fails again as soon as it is heard."""
    guard, now, found = Backoff(), 0.0, []
    for _ in range(count):
        guard.fail("a", now)
        found.append(guard.wait("a", now))
        now += found[-1]
    return found


def test_the_wait_doubles_up_to_a_bound() -> None:
    assert waits(17) == [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600, 600]


def test_the_wait_passes() -> None:
    guard = Backoff()
    for _ in range(7):
        guard.fail("a", 100)
    assert [guard.wait("a", now) for now in (100, 102, 104, 105)] == [4, 2, 0, 0]


def test_each_client_by_itself() -> None:
    guard = Backoff()
    for _ in range(9):
        guard.fail("a", 0)
    assert guard.wait("b", 0) == 0


def test_a_success_forgives() -> None:
    guard = Backoff()
    for _ in range(9):
        guard.fail("a", 0)
    guard.succeed("a")
    guard.fail("a", 0)
    assert guard.wait("a", 0) == 0
    guard.succeed("never failed")


def test_an_hour_forgives() -> None:
    guard = Backoff()
    for _ in range(30):
        guard.fail("a", 0)
    guard.fail("a", 3601)
    assert guard.wait("a", 3601) == 0


def test_memory_is_bounded() -> None:
    guard = Backoff()
    for number in range(3 * backoff._CLIENTS):
        for _ in range(6):
            guard.fail(f"client {number}", 0)
    assert len(guard._failures) == backoff._CLIENTS
    # those that failed last are the ones remembered
    assert guard.wait(f"client {3 * backoff._CLIENTS - 1}", 0) == 2
    assert guard.wait("client 0", 0) == 0
