"""The ledger beside the mail: it tells whom to tell what, and where it is stuck no mail waits."""

import sqlite3
from contextlib import closing
from typing import Literal

import pytest

from relay.db.ledger_counts import fold
from relay.lab.world import World
from relay.reporting.store import Filter
from relay.storage import LEDGER
from tests.flow.conftest import Run, violations


async def test_cnf_13_mail_goes_on_while_the_ledger_is_stuck(world: World, run: Run) -> None:
    mx = await world.mx_host("mx.d.test")
    world.domain("d.test", mx=[(10, mx.name)], policy="testing", patterns=["other.test"])
    async with run() as relay:
        path = relay.settings.storage_directory / LEDGER
        with closing(sqlite3.connect(path, isolation_level=None)) as stuck:
            stuck.execute("BEGIN IMMEDIATE")
            for count in (1, 2):
                await relay.send("u@d.test")
                await relay.events("delivered", count=count)
            assert violations(relay.settings) == []
            stuck.execute("ROLLBACK")
    assert len(violations(relay.settings)) == 2
    log = relay.settings.violation_log.read_bytes()
    assert log.count(b"\n") == 2


@pytest.mark.parametrize("mode", ["enforce", "testing"])
async def test_one_row_tells_what_is_wrong_and_how_often(
    world: World, run: Run, mode: Literal["enforce", "testing"]
) -> None:
    bad = world.ca.issue(["old.test"], self_signed=True)
    mx = await world.mx_host("mx.d.test", certificate=bad)
    world.domain("d.test", mx=[(10, mx.name)], policy=mode)
    async with run() as relay:
        for count in (1, 2, 3):
            await relay.send("u@d.test")
            await relay.events("delivered", "deferred", count=count)
    ((row,), kinds, records) = fold(relay.settings.storage_directory / LEDGER, Filter(), 10)
    assert (kinds, records, row.count) == (1, 3, 3)
    assert (row.domain, row.mode, row.mx) == ("d.test", mode, "mx.d.test")
    assert row.first < row.last
    # also where the second time the flaw is only remembered
    shown = [record["certificate"]["san"] for record in violations(relay.settings)]
    assert shown == [["old.test"]] * 3
