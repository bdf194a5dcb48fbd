"""`relay demo`: the real relay in a small internet on loopback, and what became of each message."""

import asyncio
import contextlib
import io
import smtplib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from relay.cli.output import print_table

if TYPE_CHECKING:
    from relay.config import Settings
    from relay.lab.demo import Scene
    from relay.lab.world import World
    from relay.reporting.violations import Record

_MOST = 50  # violations shown
_PATIENCE = 25.0  # seconds for all messages together
_CONTENT = """\
From: sender@lab.test\r
To: {recipient}\r
Subject: {title}\r
\r
Sent by relay demo.\r
"""


@click.command("demo")
@click.option("--keep", is_flag=True, help="Stay up afterwards, for mail of your own.")
def command(keep: bool) -> None:
    """Send mail through the real relay to domains that show what it does, and explain.

    Needs neither root nor a network: DNS, policy hosts and MX hosts run on loopback.
    """
    with tempfile.TemporaryDirectory(prefix="relay-demo-") as directory:
        try:
            asyncio.run(_demo(Path(directory), keep=keep))
        except KeyboardInterrupt:
            click.echo("stopped")


class _Log(io.BytesIO):
    """The relay's log in memory; `grown` is set by each line."""

    def __init__(self) -> None:
        super().__init__()
        self.grown = asyncio.Event()

    def flush(self) -> None:
        self.grown.set()


async def _demo(directory: Path, *, keep: bool) -> None:
    from relay import config
    from relay.lab.demo import furnish
    from relay.lab.world import World

    async with World.start() as world:
        scenes = await furnish(world)
        path = directory / "config.toml"
        path.write_text(world.config(directory / "var"), "utf-8")
        settings = config.load(path)
        click.echo(
            f"A small internet on loopback: {len(scenes)} domains. Sending one message each."
        )
        await _run(world, settings, scenes, keep=keep)


async def _run(world: "World", settings: "Settings", scenes: "list[Scene]", *, keep: bool) -> None:
    from relay.clock import SystemClock
    from relay.reporting.journal import Journal
    from relay.service import serve

    log = _Log()
    journal = Journal(log, SystemClock(), human=False)
    listening: asyncio.Queue[str] = asyncio.Queue()
    task = asyncio.ensure_future(serve(settings, journal, listening.put_nowait))
    task.add_done_callback(lambda _: listening.put_nowait(""))
    address = (await listening.get()).removeprefix("listening on ")
    if not address:
        await task  # it could not begin, and says why
    try:
        await asyncio.to_thread(_send, address, scenes)
        await _wait_for_all(log, len(scenes))
        await _wait_for_records(settings)
        _show(settings, scenes, log)
        if keep:
            _invite(address, settings)
            await task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _send(address: str, scenes: "list[Scene]") -> None:
    host, _, port = address.rpartition(":")
    with smtplib.SMTP(host, int(port)) as client:
        for scene in scenes:
            recipient = f"user@{scene.domain}"
            content = _CONTENT.format(recipient=recipient, title=scene.title)
            client.sendmail("sender@lab.test", [recipient], content.encode())


async def _wait_for_all(log: "_Log", count: int) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE):
            while len(_ends(log)) < count:
                log.grown.clear()
                await log.grown.wait()


# Violations reach the ledger a moment after the mail is settled
async def _wait_for_records(settings: "Settings") -> None:
    seen = -1
    while seen != len(records := _records(settings)):
        seen = len(records)
        await asyncio.sleep(1.5)


def _ends(log: io.BytesIO) -> "dict[str, dict[str, str]]":
    import orjson

    rows = [orjson.loads(line) for line in log.getvalue().splitlines()]
    told = [row for row in rows if row["event"] in ("delivered", "deferred", "bounced")]
    return {row["to"]: row for row in told if row["to"] != "sender@lab.test"}


def _records(settings: "Settings") -> "list[Record]":
    from relay.db.ledger_reader import read_ledger
    from relay.reporting.store import Filter
    from relay.storage import LEDGER

    path = settings.storage_directory / LEDGER
    return [record for _, record in read_ledger(path, Filter())]


def _show(settings: "Settings", scenes: "list[Scene]", log: io.BytesIO) -> None:
    from relay.cli.violations_table import print_repeats
    from relay.reporting.store import Filter
    from relay.storage import LEDGER

    ends = _ends(log)
    rows = []
    for scene in scenes:
        end = ends.get(f"user@{scene.domain}", {})
        where = f"{end['host']}, {end['tls']}" if end.get("tls") else end.get("reply", "-")
        rows.append((scene.domain, scene.title, end.get("event", "nothing yet"), where))
    print_table(("domain", "what it shows", "became", "where, or why not"), rows, empty="")
    click.echo("\nThe violation log, as `relay violations` shows it:\n")
    print_repeats(settings.storage_directory / LEDGER, Filter(), _MOST, wide=False)


def _invite(address: str, settings: "Settings") -> None:
    host, _, port = address.rpartition(":")
    path = settings.directory / "config.toml"
    click.echo(
        f"The relay stays up on {address}; Ctrl-C ends it. Send to it, and look:\n\n"
        f"  python3 -c \"import smtplib; smtplib.SMTP('{host}', {port}).sendmail("
        f"'me@lab.test', ['you@good.test'], 'Subject: hi')\"\n"
        f"  relay violations -c {path}\n"
        f"  relay queue list -c {path}"
    )
