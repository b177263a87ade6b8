"""How bad it is that a system call fails."""

from __future__ import annotations

import pytest

from probes.analysis.failing_calls import Badness, badness, failing_call
from probes.analysis.snapshot_row import SnapshotRow

CALM, NOTICE, ALARM = Badness


def _recorded(call: str, errno: str, errors: float) -> SnapshotRow:
    """100 calls a second, of which some fail with one errno: from before failures were counted."""
    values = {"syscall": call, "top_errno": errno, "top_share": 100.0}
    return SnapshotRow((call,), values, {"calls": 100.0, "errors": errors})


def _row(
    call: str,
    calls: float,
    errors: float,
    failures: float = 0,
    worst: tuple[str, float] | None = None,
) -> SnapshotRow:
    errno, share = worst or (None, None)
    values = {
        "syscall": call, "failures": 1, "worst_errno": errno, "worst_share": share,
        "top_errno": "ENOENT", "top_share": 100.0,
    }  # fmt: skip
    rates = {"calls": calls, "errors": errors, "failures": failures}
    return SnapshotRow((call,), values, rates)


@pytest.mark.parametrize(
    ("errno", "errors", "unusual", "bad"),
    [
        ("ENOENT", 11, True, CALM),
        ("ENOENT", 60, True, NOTICE),
        ("ENOENT", 60, False, CALM),
        ("ECONNREFUSED", 60, False, ALARM),
        ("ECONNREFUSED", 11, True, CALM),
        ("EACCES", 60, True, ALARM),
        ("EACCES", 60, False, NOTICE),
        ("EAGAIN", 100, True, CALM),
        ("EMFILE", 6, False, ALARM),
    ],
)
def test_recordings_before_failures_were_counted_are_judged_by_the_most_frequent_errno(
    errno: str, errors: float, unusual: bool, bad: Badness
) -> None:
    """More calls with their usual share of errors are only unusual; much that fails is wrong."""
    assert badness(_recorded("openat", errno, errors), unusual=unusual) is bad


@pytest.mark.parametrize("unusual", [False, True])
@pytest.mark.parametrize(
    ("call", "errno"),
    [
        ("futex", "ETIMEDOUT"), ("ioctl", "ENOTTY"), ("connect", "EINPROGRESS"), ("read", "EAGAIN"),
        ("wait4", "ECHILD"), ("recvfrom", "EAGAIN"), ("epoll_wait", "EINTR"),
    ],
)  # fmt: skip
def test_ordinary_answers_are_no_trouble_however_many(call: str, errno: str, unusual: bool) -> None:
    assert badness(_recorded(call, errno, 100.0), unusual=unusual) is CALM


def test_a_grave_errno_is_an_alarm_among_many_ordinary_ones() -> None:
    """openat: 40 % ENOENT as ever, and EMFILE 1,500 times a second."""
    row = _row("openat", 10_000, 5_500, 1_500, ("EMFILE", 100 * 1_500 / 5_500))
    found = failing_call(row)
    assert (found.errno, round(found.share, 3), round(found.by_errno, 3)) == ("EMFILE", 0.15, 0.15)
    assert badness(row, unusual=False) is ALARM
    few = _row("openat", 10_000, 4_010, 10, ("EMFILE", 100 * 10 / 4_010))
    assert badness(few, unusual=False) is CALM, "one in a thousand"


def test_what_fails_without_a_history_is_told() -> None:
    assert badness(_row("connect", 100, 90, 90, ("ETIMEDOUT", 100.0)), unusual=False) is ALARM
    assert badness(_row("openat", 100, 90, 90, ("EACCES", 100.0)), unusual=False) is NOTICE
    assert badness(_row("openat", 100, 30, 30, ("EACCES", 100.0)), unusual=False) is CALM
    assert badness(_row("openat", 100, 30, 30, ("EACCES", 100.0)), unusual=True) is ALARM


def test_a_program_that_starts_is_no_incident() -> None:
    """It looks for some files in vain, on a host where nobody did before."""
    values = {"syscall": "access", "top_errno": "ENOENT", "top_share": 100.0}
    row = SnapshotRow(("access",), values, {"calls": 9.0, "errors": 7.0})
    assert badness(row, unusual=True) is CALM


def test_a_call_that_is_not_made_any_more_is_calm() -> None:
    row = _row("openat", 0, 0)
    assert badness(row, unusual=True) is CALM
    assert failing_call(row)[:4] == (0, 0, None, 0)
