"""The file of those who may log in: `name:hash` a line, replaced as a whole (docs/operating.md)."""

import contextlib
import fcntl
import logging
import os
import re
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from relay.errors import RelayError
from relay.inbound.passwords import NOBODY, is_hash, matches

log = logging.getLogger(__name__)

_NAME = re.compile(r"[^\s:#\x00-\x1f\x7f][^\s:\x00-\x1f\x7f]{0,254}")
Stamp = tuple[int, int, int]


class UsersError(RelayError):
    """The file of users cannot be read or written, or a line of it is wrong."""


def is_name(text: str) -> bool:
    """Whether a user may be called so: no blank, no colon, no control character, no # in front."""
    return bool(_NAME.fullmatch(text)) and text.isprintable()


def read_users(path: Path) -> dict[str, str]:
    """Each user's hash; nobody where there is no file. Raises UsersError."""
    try:
        lines = path.read_text("utf-8").split("\n")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UsersError(f"server.users: {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsersError(f"server.users: {path} is not a text in UTF-8") from None
    users: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line or line.startswith("#"):
            continue
        name, _, hashed = line.partition(":")
        # never the line itself: it may hold a password
        if not is_name(name) or not is_hash(hashed) or name in users:
            raise UsersError(
                f"server.users: {path} line {number} is not the NAME:HASH of a new user"
            )
        users[name] = hashed
    return users


def change_users(path: Path, change: Callable[[dict[str, str]], bool], owner: Path) -> bool:
    """Read the file, `change` the users and replace it; alone, and all or nothing.

    `change` says whether there is anything to write, which is what is returned. The file belongs to
    whom it did, a new one to the owner of `owner` where we may give it away. Raises UsersError.
    """
    try:
        with _alone_in(path.parent):
            users = read_users(path)
            changed = change(users)
            if changed:
                _replace(path, users, path if path.exists() else owner)
            return changed
    except OSError as error:
        raise UsersError(f"server.users: {path} cannot be written: {error.strerror}") from None


class UserFile:
    """The users of a running relay: the file is read again when it has changed."""

    def __init__(self, path: Path) -> None:
        """Nothing is read before the first `check`."""
        self._path = path
        self._stamp: Stamp | None = None
        self._users: Mapping[str, str] = {}
        self._reading = threading.Lock()

    def check(self, name: str, password: bytes) -> bool:
        """Whether this is the user's password; takes as long where there is no such user.

        Tens of milliseconds: for a thread of its own.
        """
        known = self._current().get(name)
        return matches(password, known or NOBODY) and known is not None

    # A file that has become unreadable changes nothing for those who are in it
    def _current(self) -> Mapping[str, str]:
        with self._reading:
            stamp = _stamp(self._path)
            if stamp != self._stamp:
                self._stamp = stamp
                try:
                    self._users = read_users(self._path)
                except UsersError as error:
                    log.error("the users stay as they were: %s", error)  # noqa: TRY400
            return self._users


def _stamp(path: Path) -> Stamp | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


@contextlib.contextmanager
def _alone_in(directory: Path) -> Iterator[None]:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _replace(path: Path, users: Mapping[str, str], owner: Path) -> None:
    content = "".join(f"{name}:{hashed}\n" for name, hashed in users.items())
    descriptor, new = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
            with contextlib.suppress(OSError):  # only root gives files away
                whose = owner.stat()
                os.fchown(descriptor, whose.st_uid, whose.st_gid)
        Path(new).replace(path)
    except BaseException:
        Path(new).unlink(missing_ok=True)
        raise
