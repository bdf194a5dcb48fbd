"""What is said of clients in the log: something of each, and not too much of any."""

import logging

import pytest

from relay.inbound.complaints import Complaints


async def test_each_client_is_told_of_once_for_each_kind(caplog: pytest.LogCaptureFixture) -> None:
    complaints = Complaints()
    for peer in ("192.0.2.1", "192.0.2.1", "192.0.2.2", ""):
        complaints.tell(peer, "relaying", "may not relay")
        complaints.tell(peer, "loop", "a mail loop", level=logging.ERROR)
    assert caplog.messages == [
        "192.0.2.1: may not relay",
        "192.0.2.1: a mail loop",
        "192.0.2.2: may not relay",
        "192.0.2.2: a mail loop",
        "a client: may not relay",
        "a client: a mail loop",
    ]
    assert [one.levelno for one in caplog.records[:2]] == [logging.WARNING, logging.ERROR]
