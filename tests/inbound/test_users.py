"""The file of users: read, changed, watched."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from relay.inbound.passwords import NOBODY, hash_password
from relay.inbound.users import UserFile, UsersError, change_users, is_name, read_users

HASH = hash_password(b"secret")


def adding(name: str, hashed: str = HASH) -> Callable[[dict[str, str]], bool]:
    def change(known: dict[str, str]) -> bool:
        known[name] = hashed
        return True

    return change


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "users"


def test_a_file_is_made_for_its_owner_alone(path: Path) -> None:
    assert read_users(path) == {}
    assert change_users(path, adding("joe@example.org"), path.parent)
    assert read_users(path) == {"joe@example.org": HASH}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text("utf-8") == f"joe@example.org:{HASH}\n"


def test_a_file_is_replaced_as_a_whole(path: Path) -> None:
    change_users(path, adding("a"), path.parent)
    path.chmod(0o644)
    with path.open(encoding="utf-8") as before:
        change_users(path, adding("b"), path.parent)
        assert before.read() == f"a:{HASH}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(read_users(path)) == ["a", "b"]
    assert [one.name for one in path.parent.iterdir()] == ["users"]


def test_nothing_to_change_writes_nothing(path: Path) -> None:
    assert not change_users(path, lambda _: False, path.parent)
    assert not path.exists()


def test_a_change_that_fails_leaves_the_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change_users(path, adding("a"), path.parent)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UsersError, match=r"^server.users: .* cannot be written: No space left"):
        change_users(path, adding("b"), path.parent)
    assert list(read_users(path)) == ["a"]
    assert [one.name for one in path.parent.iterdir()] == ["users"]


@pytest.mark.parametrize(
    "line",
    ["joe", "joe:", "joe:secret", f":{HASH}", f"j oe:{HASH}", f"a:{HASH}:x", f"a:{HASH} ", " "],
    ids=[
        "no hash",
        "empty hash",
        "clear",
        "no name",
        "blank",
        "third",
        "blank behind",
        "blank line",
    ],
)
def test_a_wrong_line_is_named_and_not_shown(path: Path, line: str) -> None:
    path.write_text(f"# people\n\nok:{HASH}\n{line}\n", "utf-8")
    with pytest.raises(UsersError) as refusal:
        read_users(path)
    assert str(refusal.value) == (f"server.users: {path} line 4 is not the NAME:HASH of a new user")


def test_a_user_twice(path: Path) -> None:
    path.write_text(f"a:{HASH}\na:{NOBODY}\n", "utf-8")
    with pytest.raises(UsersError, match="line 2 is not"):
        read_users(path)


def test_a_file_that_cannot_be_read(path: Path) -> None:
    path.write_bytes(b"\xff:x\n")
    with pytest.raises(UsersError, match="is not a text in UTF-8"):
        read_users(path)
    with pytest.raises(UsersError, match="cannot be read: Is a directory"):
        read_users(path.parent)
    with pytest.raises(UsersError, match="cannot be written: No such file or directory"):
        change_users(path.parent / "none" / "users", adding("a"), path.parent)


@pytest.mark.parametrize("name", ["joe", "joe@example.org", "jürgen", "a#b", "x" * 255])
def test_names(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize(
    "name", ["", " joe", "a b", "a:b", "#a", "a\n", "a\0", "a\u2028b", "a\u202eb", "x" * 256]
)
def test_what_is_no_name(name: str) -> None:
    assert not is_name(name)


def test_a_running_relay_sees_changes(path: Path) -> None:
    file = UserFile(path)
    assert not file.check("joe", b"secret")
    change_users(path, adding("joe"), path.parent)
    assert file.check("joe", b"secret")
    assert not file.check("joe", b"Secret")
    assert not file.check("Joe", b"secret")
    change_users(path, adding("joe", hash_password(b"other")), path.parent)
    assert not file.check("joe", b"secret")
    assert file.check("joe", b"other")
    path.unlink()
    assert not file.check("joe", b"other")


def test_a_broken_file_changes_nothing_and_is_told_once(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    change_users(path, adding("joe"), path.parent)
    file = UserFile(path)
    assert file.check("joe", b"secret")
    path.write_text("joe:oops\n", "utf-8")
    assert file.check("joe", b"secret")
    assert file.check("joe", b"secret")
    assert caplog.text.count("the users stay as they were") == 1
    assert "oops" not in caplog.text


def test_nobody_has_no_password(path: Path) -> None:
    path.write_text(f"a:{NOBODY}\n", "utf-8")
    file = UserFile(path)
    for name in ("a", "b", "", "\udcff"):
        assert not file.check(name, b"")
