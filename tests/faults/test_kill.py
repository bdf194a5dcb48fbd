"""Ends in a loop under load, by kill -9 and by SIGTERM: what was accepted arrives.

RELAY_FAULT_ROUNDS=1000 .venv/bin/pytest -s tests/faults/test_kill.py is the long version.
"""

import asyncio
import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from relay.lab.mx_host import MxHost
from tests.faults.conftest import all_arrived, arrived, send_until_cut, serving

ROUNDS = int(os.environ.get("RELAY_FAULT_ROUNDS", "4"))
CLIENTS = 4


async def one_round(
    path: Path, mx: MxHost, number: int, accepted: set[str], how: signal.Signals
) -> int:
    """Press mail on a relay, end it after some more has arrived; its exit status."""
    async with serving(path) as child:
        clients = [
            asyncio.to_thread(send_until_cut, child.port, f"{number}-{client}", accepted)
            for client in range(CLIENTS)
        ]
        sending = asyncio.gather(*clients)
        await mx.received(len(mx.messages) + 5 + number * 37 % 60, timeout=60)
        os.kill(child.pid, how)
        await sending
        return await child.process.wait()


@pytest.mark.parametrize(
    ("how", "status", "doubles"),
    [
        # at most what was under way: never the same message again and again
        pytest.param(signal.SIGKILL, -signal.SIGKILL, ROUNDS * 200, id="kill -9"),
        pytest.param(signal.SIGTERM, 0, 0, id="SIGTERM"),
    ],
)
async def test_snd_34_snd_35_an_end_under_load_loses_nothing(
    path: Path,
    mx: MxHost,
    capsys: pytest.CaptureFixture[str],
    how: signal.Signals,
    status: int,
    doubles: int,
) -> None:
    accepted: set[str] = set()
    for number in range(ROUNDS):
        assert await one_round(path, mx, number, accepted, how) == status
    async with serving(path) as child:
        await all_arrived(mx, accepted)
        child.process.terminate()
        assert await child.process.wait() == 0
    counts = Counter(arrived(mx))
    lost = accepted - set(counts)
    duplicated = sum(number - 1 for number in counts.values())
    with capsys.disabled():
        print(
            f"\n{how.name}, {ROUNDS} times: {len(accepted)} accepted, {len(lost)} lost,"
            f" {duplicated} duplicated"
        )
    assert accepted
    assert not lost
    assert duplicated <= doubles
