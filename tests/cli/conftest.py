"""A configuration for the commands, in the lab's world."""

from pathlib import Path

import pytest

from relay.lab.world import World


@pytest.fixture
def path(world: World, tmp_path: Path) -> Path:
    """A configuration file whose storage is still to be made."""
    path = tmp_path / "config.toml"
    path.write_text(world.config(tmp_path / "var", extra='[queue]\nretry = ["1h"]\n'), "utf-8")
    return path
