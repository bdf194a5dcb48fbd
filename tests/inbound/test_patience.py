"""How long a client is waited for; seconds are counted, not waited."""

from relay.inbound.patience import Patience


def test_srv_24_silence() -> None:
    patience = Patience(300, 3600, 1000)
    assert patience.left(1000) == 300
    assert patience.left(1300) == 0
    patience.hear(1299)
    assert patience.left(1300) == 299


def test_srv_24_progress_counts() -> None:
    patience = Patience(300, 3600, 0)
    patience.begin(10)
    for second in range(10, 3600, 100):
        patience.receive(100_000, second)
        assert patience.left(second) > 0


def test_single_octets_do_not_hold_a_connection() -> None:
    patience = Patience(300, 3600, 0)
    patience.begin(0)
    for second in range(0, 300, 10):
        patience.receive(1, second)
    # 30 octets are worth 0.3 seconds
    assert 0 < patience.left(300) < 1
    assert patience.left(301) < 0


def test_a_message_has_its_time_however_fast_it_is() -> None:
    patience = Patience(300, 3600, 0)
    patience.begin(3000)
    patience.receive(10**9, 6590)
    assert patience.left(6590) == 10
    patience.end(6595)
    assert patience.left(6595) == 300


def test_commands_alone_do_not_hold_a_connection() -> None:
    patience = Patience(300, 3600, 0)
    for second in range(0, 3600, 100):
        patience.hear(second)
    assert patience.left(3500) == 100
    patience.begin(3500)
    patience.end(3510)
    assert patience.left(3510) == 300
