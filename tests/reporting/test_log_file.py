"""The log file: whole lines, rotation, a disk that fills up."""

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from relay.reporting.log_file import LogFile


def test_lines_are_appended_to_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "violations.jsonl"
    for line in (b"one", b"two"):
        log = LogFile(path)
        log.write(line)
        log.close()
    assert path.read_bytes() == b"one\ntwo\n"
    assert path.stat().st_mode & 0o007 == 0


def test_a_moved_file_is_left_alone_and_a_new_one_begun(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = LogFile(path)
    log.write(b"before")
    path.rename(tmp_path / "log.1")
    log.write(b"after")
    log.close()
    assert (tmp_path / "log.1").read_bytes() == b"before\n"
    assert path.read_bytes() == b"after\n"


def test_reopen_lets_go_of_the_file(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "log")
    log.write(b"x")
    log.reopen(tmp_path / "log")
    descriptors = Path("/proc/self/fd").iterdir()
    assert tmp_path / "log" not in [one.readlink() for one in descriptors if one.exists()]


def test_reopen_may_name_another_path(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "old")
    log.write(b"x")
    log.reopen(tmp_path / "new")
    log.write(b"y")
    log.close()
    assert [(tmp_path / name).read_bytes() for name in ("old", "new")] == [b"x\n", b"y\n"]


def test_a_directory_in_the_way_is_an_oserror(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        LogFile(tmp_path).write(b"x")


@contextmanager
def file_size_limit(octets: int) -> Iterator[None]:
    """A full disk for this process: writes beyond `octets` fail."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (octets, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_after_a_full_disk_no_line_is_glued_to_a_torn_one(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = LogFile(path)
    with file_size_limit(8):
        log.write(b"whole")
        with pytest.raises(OSError, match="2 of 5"):
            log.write(b"torn")
        with pytest.raises(OSError, match=r".+"):
            log.write(b"none")
    log.write(b"later")
    log.close()
    assert path.read_bytes().split(b"\n") == [b"whole", b"to", b"later", b""]
