"""The storage lock, and what it says about the directory."""

from pathlib import Path

import pytest

from relay.db.lock import StorageLock
from relay.errors import StorageError, StorageLockedError


def test_one_relay_on_one_storage_directory(tmp_path: Path) -> None:
    lock = StorageLock(tmp_path)
    with pytest.raises(StorageLockedError, match="another relay"):
        StorageLock(tmp_path)
    lock.release()
    StorageLock(tmp_path).release()


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"storage\.url"):
        StorageLock(tmp_path / "file" / "var")


@pytest.mark.parametrize(("mode", "warned"), [(0o700, False), (0o750, True), (0o755, True)])
def test_a_directory_open_to_others_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: int, warned: bool
) -> None:
    tmp_path.chmod(mode)
    StorageLock(tmp_path).release()
    assert ("other users may enter" in caplog.text) is warned
