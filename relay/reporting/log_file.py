"""An append-only file of lines that survives rotation and a full disk. Knows no format."""

import os
from pathlib import Path


class LogFile:
    """Appends whole lines, each with one write(2), so that several processes may share the file.

    The file is opened anew when its path no longer names it (logrotate's `create`), and after
    `reopen`. OSError (disk full, no permission) is the caller's to bear: nothing is buffered.
    """

    def __init__(self, path: Path) -> None:
        """Name the file; it is opened, and its directory made, by the first write."""
        self._path = path
        self._descriptor: int | None = None
        self._torn = False

    def write(self, line: bytes) -> None:
        """Append one line; `line` has no line end. Raises OSError when it could not be kept."""
        descriptor = self._current()
        data = (b"\n" if self._torn else b"") + line + b"\n"
        written = os.write(descriptor, data)
        if written < len(data):
            # a disk that fills up takes part of a line: the next one starts on a line of its own
            self._torn = True
            raise OSError(f"only {written} of {len(data)} octets fitted into {self._path}")
        self._torn = False

    def reopen(self, path: Path) -> None:
        """Write to this path from now on, opened anew (SIGHUP)."""
        self.close()
        self._path = path

    def close(self) -> None:
        """Close the file; a later write opens it again."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _current(self) -> int:
        if self._descriptor is not None and not self._is_moved(self._descriptor):
            return self._descriptor
        self.close()
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
        return self._descriptor

    def _is_moved(self, descriptor: int) -> bool:
        try:
            named = self._path.stat()
        except FileNotFoundError:
            return True
        ours = os.fstat(descriptor)
        return (named.st_dev, named.st_ino) != (ours.st_dev, ours.st_ino)
