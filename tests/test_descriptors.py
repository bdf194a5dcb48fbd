"""The limit of open files is raised as far as it goes, never lowered."""

import subprocess
import sys

import pytest

CODE = """
import resource
from relay.descriptors import make_room
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
print(make_room({clients}), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


# a process cannot raise its hard limit again, so each row has one of its own
@pytest.mark.parametrize(
    ("soft", "hard", "clients", "room", "after"),
    [
        pytest.param(256, 5000, 2000, 2000, 3000, id="raised"),
        pytest.param(4000, 5000, 2000, 2000, 4000, id="enough before"),
        pytest.param(3000, 3000, 2000, 2000, 3000, id="just enough"),
        pytest.param(256, 2999, 2000, 1999, 2999, id="one too few"),
        pytest.param(256, 500, 2000, 0, 500, id="none left"),
    ],
)
def test_room(soft: int, hard: int, clients: int, room: int, after: int) -> None:
    code = CODE.format(soft=soft, hard=hard, clients=clients)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(room), str(after), str(hard)]
