"""Passwords as they are kept: Argon2id in PHC strings (RFC 9106). Knows neither users nor files."""

import re
import secrets

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

# RFC 9106 §4 asks for more memory where it can be had; this much for each of the two checks that
# run at a time is borne by the smallest machine, and no password falls to guessing
_MEMORY = 19_456  # KiB
_PASSES = 2
_LANES = 1
_SALT = 16  # octets
_DIGEST = 32  # octets
_HASH = re.compile(
    r"\$argon2id\$v=19\$m=[1-9]\d{0,6},t=[1-9]\d?,p=[1-9]\d?\$[A-Za-z0-9+/]{11,}\$[A-Za-z0-9+/]{22,}",
    re.ASCII,
)
# What no password is known to give: for users that do not exist
NOBODY = f"$argon2id$v=19$m={_MEMORY},t={_PASSES},p={_LANES}${'A' * 22}${'A' * 43}"


def hash_password(password: bytes) -> str:
    """The password as it is kept. Takes tens of milliseconds."""
    derive = Argon2id(
        salt=secrets.token_bytes(_SALT),
        length=_DIGEST,
        iterations=_PASSES,
        lanes=_LANES,
        memory_cost=_MEMORY,
    )
    return derive.derive_phc_encoded(password)


def is_hash(text: str) -> bool:
    """Whether this is a hash as `hash_password` makes them; with less than 10 GiB of memory."""
    return bool(_HASH.fullmatch(text))


def matches(password: bytes, hashed: str) -> bool:
    """Whether the password gives this hash. Takes tens of milliseconds, other threads go on."""
    try:
        Argon2id.verify_phc_encoded(password, hashed)
    except InvalidKey:
        return False
    return True
