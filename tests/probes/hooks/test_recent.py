"""The errno that is named is the most frequent of the last ten seconds, with its own share."""

from __future__ import annotations

from collections.abc import Mapping

from probes.hooks.syscalls.failing import Counts, Failed, Recent, by_call
from probes.kernel import syscall_table

EAGAIN, EBADF = (7, 11), (7, 9)
_OPEN = syscall_table.number("openat") or 0


def most_frequent(recent: Counts) -> Mapping[int, tuple[object, object]]:
    return {id: told[:2] for id, told in by_call(recent, {}).items()}  # type: ignore[misc]


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


def test_a_grave_errno_is_named_although_an_ordinary_one_is_more_frequent() -> None:
    """openat fails with ENOENT all day, and with EMFILE when the descriptors have run out."""
    counts = {(_OPEN, 2): 9000, (_OPEN, 24): 1000, (_OPEN, 13): 2000}
    failed = Failed()
    (told,) = by_call(counts, failed.of(counts)).values()
    assert told[:2] == ("ENOENT", 75.0)
    assert told[2] == 3000
    assert told[3] == "EMFILE"
    assert told[4] == 100 * 1000 / 12_000
    few = {**counts, (_OPEN, 24): 100}
    assert by_call(few, {})[_OPEN][3] == "EACCES", "one in twenty is not what is wrong"
    assert by_call({(_OPEN, 2): 5}, {})[_OPEN][2:] == (0, None, None)


def test_failures_only_grow_although_the_map_forgets() -> None:
    failed, denied = Failed(), (_OPEN, 13)
    totals = [
        dict(failed.of(seen))
        for seen in ({denied: 5, (_OPEN, 2): 70}, {denied: 9}, {}, {denied: 2}, {denied: 2})
    ]
    assert totals == [{_OPEN: 5}, {_OPEN: 9}, {_OPEN: 9}, {_OPEN: 11}, {_OPEN: 11}]
    assert by_call({}, totals[-1]) == {_OPEN: (None, None, 11, None, None)}
