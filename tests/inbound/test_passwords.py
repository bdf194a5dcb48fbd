"""Password hashes: made, recognised, checked."""

import pytest

from relay.inbound.passwords import NOBODY, hash_password, is_hash, matches


def test_a_password_matches_its_hash_and_no_other() -> None:
    hashed = hash_password("pässword".encode())
    assert is_hash(hashed)
    assert "pässword" not in hashed
    assert matches("pässword".encode(), hashed)
    for wrong in ("passwort", "", "pässword ", "PÄSSWORD", "pässword\0"):
        assert not matches(wrong.encode(), hashed)


def test_two_hashes_of_a_password_differ() -> None:
    assert hash_password(b"x") != hash_password(b"x")


# whoever measures time learns nothing: the same work is done for a user that is not there
def test_nobody_costs_as_much_as_somebody() -> None:
    assert is_hash(NOBODY)
    assert not matches(b"x", NOBODY)
    costs = [text.rsplit("$", 2)[0] for text in (NOBODY, hash_password(b"x"))]
    lengths = [[len(part) for part in text.split("$")] for text in (NOBODY, hash_password(b"x"))]
    assert costs[0] == costs[1]
    assert lengths[0] == lengths[1]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "secret",
        "$2b$12$abcdefghijklmnopqrstuuJHRUO8VBrn6cAXLNkQz0YsWqMCFAKtq",
        NOBODY.replace("argon2id", "argon2i"),
        NOBODY.replace("19456", "99999999"),
        NOBODY.replace("m=", "m=-"),
        NOBODY + "\n",
        NOBODY.replace("A", "Ä"),
        NOBODY.rpartition("$")[0],
    ],
)
def test_what_is_no_hash(text: str) -> None:
    assert not is_hash(text)
