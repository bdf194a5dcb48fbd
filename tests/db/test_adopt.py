"""Spools of workers there are no more become part of the first one, once, whatever cuts it off."""

import shutil
from contextlib import closing
from pathlib import Path

from relay.db.adopt import adopt_spools, spool_name
from relay.db.desk import Desk
from relay.db.spool import Spool
from relay.envelope import Envelope, Message
from relay.evidence import Action, Finding


async def fill(path: Path, name: str) -> None:
    with closing(Spool(path)) as spool:
        envelope = Envelope("me@a.test", ("a@d.test", "b@e.test"))
        await spool.put(Message(name, envelope, b"x: y\r\n\r\nz\r\n", 100.0), claimed=True)
        await spool.add_findings([Finding(1.0, "d.test", None, None, name, Action.NOTED)])


def names(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


async def test_mail_and_findings_are_taken_over(tmp_path: Path) -> None:
    for number, name in enumerate(("Q0", "Q1", "Q2")):
        await fill(tmp_path / spool_name(number), name)
    assert adopt_spools(tmp_path, 2) == ["spool-2.db"]
    assert adopt_spools(tmp_path, 2) == []
    assert adopt_spools(tmp_path, 1) == ["spool-1.db"]
    assert names(tmp_path) == ["spool-0.db"]
    with closing(Spool(tmp_path / spool_name(0))) as spool:
        told = [finding.detail for _, finding in await spool.pending_findings(9)]
        assert told == ["Q0", "Q2", "Q1"]
        await spool.release_all()
        claims = await spool.claim(100.0, 9)
        assert {one.job.id for one in claims} == {f"Q{n}.{part}" for n in range(3) for part in "12"}
        assert await spool.body("Q2") == b"x: y\r\n\r\nz\r\n"


async def test_what_was_cut_off_is_done_again_without_doubles(tmp_path: Path) -> None:
    """SND-34."""
    await fill(tmp_path / spool_name(1), "Q1")
    shutil.copy(tmp_path / spool_name(1), tmp_path / "copy")
    adopt_spools(tmp_path, 1)
    shutil.copy(tmp_path / "copy", tmp_path / spool_name(1))
    adopt_spools(tmp_path, 1)
    assert [job.id for job in Desk(tmp_path).jobs()] == ["Q1.1", "Q1.2"]


def test_without_spools_nothing_is_done(tmp_path: Path) -> None:
    assert adopt_spools(tmp_path, 1) == []
