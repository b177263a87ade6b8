"""The errno that is named is the most frequent of the last ten seconds, with its own share."""

from __future__ import annotations

from probes.hooks.syscalls.hook import Recent, most_frequent

EAGAIN, EBADF = (7, 11), (7, 9)


def test_what_was_frequent_long_ago_is_not_named_now() -> None:
    recent = Recent()
    seen = {EAGAIN: 5000}
    assert most_frequent(recent.added(seen, 0.0)) == {7: ("EAGAIN", 100.0)}
    for second in range(1, 31):
        seen = {EAGAIN: 5000 + second, EBADF: 3 * second}
        most = most_frequent(recent.added(seen, float(second)))
        assert most[7][0] == ("EAGAIN" if second < 10 else "EBADF")
    assert recent.added(seen, 30.0) == {EAGAIN: 10, EBADF: 30}
    assert most == {7: ("EBADF", 75.0)}


def test_where_nothing_failed_lately_nothing_is_named() -> None:
    recent = Recent()
    for second in range(15):
        added = recent.added({EAGAIN: 9}, float(second))
    assert most_frequent(added) == {}


def test_frequent_readings_keep_ten_and_a_count_that_began_anew_is_new() -> None:
    recent = Recent()
    for tick in range(1000):
        added = recent.added({EAGAIN: tick}, tick / 10)
    assert added[EAGAIN] in range(100, 111)
    assert len(recent._kept) <= 12
    assert recent.added({EAGAIN: 4}, 100.0) == {EAGAIN: 4}
