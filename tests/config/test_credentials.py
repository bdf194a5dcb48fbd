"""The file of a route's credentials: what is taken, what is refused, and that nothing leaks."""

import os
import re
from pathlib import Path

import pytest

from relay.config.credentials import read_credentials
from relay.delivery.credentials import Credentials

GOOD = 'username = "me@isp.test"\npassword = "s3cr3t wörd"\n'


def written(directory: Path, text: str | bytes, mode: int = 0o600) -> Path:
    path = directory / "isp.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o640, 0o660])
def test_good(tmp_path: Path, mode: int) -> None:
    found = read_credentials(written(tmp_path, GOOD, mode))
    assert found == Credentials("me@isp.test", "s3cr3t wörd")


BAD = [
    pytest.param("", id="empty"),
    pytest.param('username = "me"\n', id="no password"),
    pytest.param('password = "s3cr3t"\n', id="no user name"),
    pytest.param(GOOD + 'host = "s3cr3t"\n', id="a key too many"),
    pytest.param('username = "me"\npassword = ""\n', id="nothing for a password"),
    pytest.param('username = "me"\npassword = 1234\n', id="a number"),
    pytest.param('username = "me"\npassword = ["s3cr3t"]\n', id="a list"),
    pytest.param('username = "me"\npassword = "s3cr3t\\u0000"\n', id="NUL"),
    pytest.param('username = "me"\npassword = "s3cr3t\\n"\n', id="a line break"),
    pytest.param(f'username = "me"\npassword = "{"ü" * 513}"\n', id="too long"),
    pytest.param("me:s3cr3t\n", id="another notation"),
    pytest.param('username = "me"\npassword = s3cr3t\n', id="no quotes"),
    pytest.param(b"\xff s3cr3t", id="no UTF-8"),
    pytest.param("a = " + "[" * 5000, id="nested"),
    pytest.param("#" * 20_000, id="a large file"),
]


@pytest.mark.parametrize("text", BAD)
def test_bad(tmp_path: Path, text: str | bytes) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ValueError, match=r"/isp\.toml ") as refusal:
        read_credentials(path)
    assert not re.search("s3cr3t|1234|ü", str(refusal.value))


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o644, 0o601])
def test_open_to_everybody(tmp_path: Path, mode: int) -> None:
    with pytest.raises(ValueError, match=r"isp.toml is open to every user .*: chmod o= /"):
        read_credentials(written(tmp_path, GOOD, mode))


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"isp.toml cannot be read: No such file"):
        read_credentials(tmp_path / "isp.toml")
    with pytest.raises(ValueError, match="is no file of at most"):
        read_credentials(tmp_path)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    with pytest.raises(ValueError, match="is no file of at most"):
        read_credentials(pipe)
