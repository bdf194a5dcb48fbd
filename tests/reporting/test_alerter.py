"""The operator's programs are told; whatever they do, the ledger keeps what they have not heard."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from relay.clock import SystemClock
from relay.db.ledger import Ledger
from relay.errors import StorageClosedError, StorageError
from relay.evidence import Action, Failure, Finding
from relay.reporting.alert import Alert
from relay.reporting.alerter import Alerter, Channel
from relay.reporting.copier import entries_of

CLOCK = SystemClock()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "ledger.db")
    yield ledger
    ledger.close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.reporting.alerter._LONGEST", 0.01)


class Ear:
    """A channel that keeps what it is told, in vain so often first."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.heard: list[dict[str, Any]] = []
        self.tried = asyncio.Condition()

    def __str__(self) -> str:
        return "the ear"

    async def tell(self, data: bytes) -> str | None:
        async with self.tried:
            self.tried.notify_all()
        if self.failures:
            self.failures -= 1
            return "is deaf"
        self.heard.append(orjson.loads(data))
        return None

    async def hears(self, count: int) -> list[str]:
        """The domains heard of, once there are so many."""
        async with asyncio.timeout(20), self.tried:
            await self.tried.wait_for(lambda: len(self.heard) >= count)
        return [one["violation"]["domain"] for one in self.heard]


async def record(ledger: Ledger, *domains: str) -> None:
    now = CLOCK.now()
    found = [
        (f"{one}-{now}", Finding(now, one, None, Failure.POLICY_REMOVED, "gone", Action.NOTED))
        for one in domains
    ]
    await ledger.append(entries_of(found))


@asynccontextmanager
async def alerting(ledger: Ledger, channels: Sequence[Channel]) -> AsyncIterator[Alerter]:
    await ledger.next_alert(CLOCK.now())
    alerter = Alerter(ledger, CLOCK, "relay.test", channels)
    running = asyncio.create_task(alerter.run())
    yield alerter
    assert not running.done()
    running.cancel()


async def test_what_is_recorded_is_told_once_it_is_woken(ledger: Ledger) -> None:
    ear = Ear()
    async with alerting(ledger, [ear]) as alerter:
        await record(ledger, "a.test", "b.test")
        alerter.wake()
        assert await ear.hears(2) == ["a.test", "b.test"]
    (told, _) = ear.heard
    assert (told["kind"], told["hostname"], told["count"]) == ("downgrade", "relay.test", 1)


async def test_what_others_record_is_found_without_a_word(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.reporting.alerter._INTERVAL", 0.01)
    ear = Ear()
    async with alerting(ledger, [ear]):
        await record(ledger, "a.test")
        assert await ear.hears(1) == ["a.test"]


async def test_a_failure_is_logged_now_and_then_and_the_alert_told_later(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    ear = Ear(failures=5)
    async with alerting(ledger, [ear]) as alerter:
        await record(ledger, "a.test")
        alerter.wake()
        assert await ear.hears(1) == ["a.test"]
    assert [one.message for one in caplog.records] == ["the ear is deaf"]


async def test_what_one_has_heard_is_not_told_again_for_the_other(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    ear, deaf = Ear(), Ear(failures=10)
    async with alerting(ledger, [deaf, ear]) as alerter:
        await record(ledger, "a.test", "b.test")
        alerter.wake()
        assert await ear.hears(2) == ["a.test", "b.test"]
    assert deaf.failures == 8


async def test_without_anybody_to_tell_the_ledger_is_not_asked_until_there_is(
    ledger: Ledger,
) -> None:
    async with alerting(ledger, []) as alerter:
        await record(ledger, "a.test")
        alerter.wake()
        ear = Ear()
        alerter.renew("other.test", [ear])
        assert await ear.hears(1) == ["a.test"]
    assert ear.heard[0]["hostname"] == "other.test"


class Trouble:
    """A ledger that fails first; then it has two alerts, that it cannot take back."""

    def __init__(self, *errors: StorageError) -> None:
        self.errors = list(errors)
        self.left = 2

    async def next_alert(self, now: float) -> tuple[Alert | None, int]:
        if self.errors:
            raise self.errors.pop(0)
        self.left -= 1
        if self.left < 0:
            return None, 0
        return Alert(
            "d.test", "mx-mismatch", 1, 0.0, 0.0, {"detail": "", "action": "", "domain": "d.test"}
        ), 7

    async def give_back(self, alert: Alert, now: float) -> None:
        raise StorageError("stuck")


async def test_trouble_with_the_ledger_is_told_and_it_goes_on(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.reporting.alerter._INTERVAL", 0.01)
    ear = Ear(failures=1)
    alerter = Alerter(Trouble(StorageError("stuck")), CLOCK, "relay.test", [ear])
    running = asyncio.create_task(alerter.run())
    await ear.hears(1)
    running.cancel()
    assert "what is to be told cannot be looked up now: stuck" in caplog.text
    assert "alerts of 7 violations could not be told and are given up" in caplog.text


async def test_a_ledger_that_is_closed_ends_it() -> None:
    alerter = Alerter(Trouble(StorageClosedError("closed")), CLOCK, "relay.test", [Ear()])
    with pytest.raises(StorageClosedError):
        await alerter.run()
