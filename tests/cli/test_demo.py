"""`relay demo` as a user types it, and what the README shows of it."""

import re
from pathlib import Path

from relay.lab.demo import furnish
from relay.lab.world import World
from tests.cli.process import relay

README = Path(__file__).parents[2] / "README.md"


def lines(text: str) -> set[str]:
    """The lines without times and ids, in no order: mail to many domains goes out at once."""
    plain = re.sub(r"[0-9-]{10} [0-9:]{8}", "TIME", text)
    return {re.sub(r"[0-9a-f]{12}$", "ID", line) for line in plain.splitlines()}


async def test_every_domain_ends_as_it_should_and_as_the_readme_says(world: World) -> None:
    scenes = await furnish(world)
    done = relay("demo")
    assert (done.returncode, done.stderr) == (0, "")
    for scene in scenes:
        (line,) = [one for one in lines(done.stdout) if one.startswith(f"{scene.domain} ")]
        assert f" {scene.title} " in line
        assert f" {scene.expected} " in line
    (shown,) = re.findall(r"^```\n(A small internet.*?)^```$", README.read_text(), re.M | re.S)
    assert lines(shown) == lines(done.stdout)
