"""The file of a route's credentials: TOML with a user name and a password, closed to others.

No error tells a word of what is in it.
"""

import stat
import tomllib
from pathlib import Path

from relay.delivery.credentials import Credentials

_LIMIT = 16_384  # octets of the file
_LONGEST = 1024  # octets of each value; RFC 4616 §2 has every server take 255
_WANTED = {"username", "password"}


def read_credentials(path: Path) -> Credentials:
    """The credentials in a file. Raises a ValueError that says what is wrong with it."""
    try:
        _check(path)
        table = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError(f"{path} is not TOML") from None
    if table.keys() != _WANTED or not all(map(_is_usable, table.values())):
        raise ValueError(
            f"{path} must hold username and password and nothing else, each a text of "
            f"1 to {_LONGEST} octets without control characters"
        )
    return Credentials(**table)


def _check(path: Path) -> None:
    about = path.stat()
    if not stat.S_ISREG(about.st_mode) or about.st_size > _LIMIT:
        raise ValueError(f"{path} is no file of at most {_LIMIT} bytes")
    if about.st_mode & stat.S_IRWXO:
        raise ValueError(f"{path} is open to every user of this machine: chmod o= {path}")


# RFC 4616 §2: no NUL; the other control characters are nobody's intention
def _is_usable(value: object) -> bool:
    return isinstance(value, str) and value.isprintable() and 0 < len(value.encode()) <= _LONGEST
