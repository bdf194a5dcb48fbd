"""Places shared among domains: none takes them all, whatever the order of takers."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from relay.queue.share import Share


def fill(share: Share, domain: str) -> int:
    taken = 0
    while share.has_room(domain):
        share.take(domain)
        taken += 1
    return taken


def test_one_domain_alone_leaves_half_of_the_places() -> None:
    assert fill(Share(10, lambda _: 10), "a.test") == 5


def test_snd_37_a_domain_has_a_limit_of_its_own() -> None:
    assert fill(Share(10, lambda _: 2), "a.test") == 2


def test_a_full_domain_is_named_until_it_gives_a_place_back() -> None:
    share = Share(4, lambda _: 4)
    fill(share, "a.test")
    assert share.full() == ["a.test"]
    share.give_back("a.test")
    assert share.full() == []
    assert share.free == 3


@given(st.integers(1, 50), st.integers(1, 50), st.lists(st.sampled_from("abcde")))
def test_there_is_room_for_a_newcomer_while_there_is_a_place(
    places: int, each: int, takers: list[str]
) -> None:
    share = Share(places, lambda _: each)
    taken: Counter[str] = Counter()
    for domain in takers:
        if share.has_room(domain):
            share.take(domain)
            taken[domain] += 1
    assert share.free == places - taken.total() >= 0
    assert max(taken.values(), default=0) <= each
    assert share.has_room("newcomer.test") is (share.free > 0)
