"""What the operator reads when mail leaves that was kept back."""

from dataclasses import replace

import pytest

from relay.outcome import Prospect
from relay.queue.release_text import release_text

SEEN = Prospect("d.test", "mx1.d.test", "verified TLSv1.3", ("enforce", "2"), ("mx1.d.test",))
BEFORE = replace(SEEN, host=None, tls=None)
MANY = tuple(f"mx{number}.d.test" for number in range(1, 9))


@pytest.mark.parametrize(
    ("seen", "before", "text"),
    [
        (SEEN, BEFORE, "mx1.d.test verifies again"),
        (SEEN, None, "mx1.d.test verifies again"),
        (replace(SEEN, tls="TLSv1.3"), BEFORE, "mx1.d.test can be given mail again"),
        (
            SEEN,
            replace(BEFORE, policy=("enforce", "1")),
            "d.test has another policy (mode enforce, id 2)",
        ),
        (replace(SEEN, policy=("none", None)), BEFORE, "d.test has no policy any more"),
        (SEEN, replace(BEFORE, mx=("old.d.test",)), "d.test has other MX hosts (mx1.d.test)"),
        (
            replace(SEEN, mx=MANY),
            BEFORE,
            "d.test has other MX hosts (mx1.d.test, mx2.d.test, mx3.d.test, mx4.d.test, mx5.d.test"
            " and others)",
        ),
    ],
)
def test_why(seen: Prospect, before: Prospect | None, text: str) -> None:
    assert release_text(seen, before, 12) == f"{text}: 12 messages for d.test leave now"
    assert release_text(seen, before, 1) == f"{text}: 1 message for d.test leaves now"
