"""Calls that fail or stall, and whose they are."""

from __future__ import annotations

import pytest

from probes.analysis.cases.claim import Claim, Gravity
from probes.analysis.cases.detectors.calls import calls
from probes.analysis.cases.judgement import wants
from probes.model import HookId, Value
from tests.support.watched_host import WatchedHost

_BUCKETS = 40


def _call(
    name: str, made: int, errno: str | None = None, failures: int = 0, errors: int = 0
) -> dict[str, Value]:
    """What is counted in a second. errors: those that are ordinary answers as well."""
    every = max(errors, failures)
    share = 100 * failures / every if every and errno else None
    return {
        "syscall": name, "calls": made, "errors": every, "failures": failures,
        "top_errno": errno or "ENOENT", "top_share": 100.0, "worst_errno": errno,
        "worst_share": share, "latency": (0,) * _BUCKETS,
    }  # fmt: skip


def _process(comm: str, made: int, errno: str | None = None, failures: int = 0) -> dict[str, Value]:
    return {
        "pid": len(comm), "comm": comm, "calls": made, "errors": failures, "failures": failures,
        "errno": errno, "latency": (0,) * _BUCKETS,
    }  # fmt: skip


def _told(call: dict[str, Value], *processes: dict[str, Value], ticks: int = 4) -> list[Claim]:
    host, more = WatchedHost(), {f"syscall_processes__{call['syscall']}": processes}
    for _ in range(ticks):
        host.more(syscalls=[call], **(more if processes else {}))  # type: ignore[arg-type]
    return list(calls(host.facts).claims)


def test_a_grave_errno_is_an_alarm_with_its_process_and_the_share_of_its_calls() -> None:
    """Also where few of all calls on the host fail."""
    call = _call("openat", 100_000, "EMFILE", 1500, 40_000)
    (claim,) = _told(call, _process("leakyd", 1500, "EMFILE", 1500), _process("make", 90_000))
    assert (claim.id, claim.severity) == ("syscalls/openat/EMFILE", Gravity.ALARM)
    assert (claim.what, claim.share) == ("openat fails with EMFILE", 1.0)
    assert claim.of == "leakyd's openat calls"
    assert [who.comm for who in claim.who] == ["leakyd"]
    assert claim.next[0] == "prlimit --nofile --pid 6"
    assert claim.ties == {("errno", "openat", "EMFILE")}


def test_whose_calls_they_are_is_asked_for_while_it_goes_on() -> None:
    host = WatchedHost()
    for _ in range(3):
        host.more(syscalls=[_call("openat", 100_000, "EACCES", 99), _call("read", 9000)])
    assert not calls(host.facts).claims
    assert wants(host.facts) == [HookId("syscall-processes", "openat"), HookId("exits")]


def test_what_fails_often_is_asked_for_at_once_and_told_with_the_second_reading() -> None:
    host = WatchedHost("syscalls")
    rows = {"syscalls": [_call("openat", 100_000, "EACCES", 99)]}
    host.more(**rows)  # type: ignore[arg-type]
    want = HookId("syscall-processes", "openat")
    assert wants(host.facts) == [want, HookId("exits")]
    host.more(**rows, syscall_processes__openat=[])  # type: ignore[arg-type]
    host.more(**rows, syscall_processes__openat=[_process("reportd", 99, "EACCES", 99)])  # type: ignore[arg-type]
    (claim,) = calls(host.facts).claims
    assert claim.severity is Gravity.ALARM


@pytest.mark.parametrize(
    ("errno", "failures", "severity"),
    [
        ("EACCES", 100, Gravity.ALARM),
        ("EACCES", 60, None),  # an agent that may not read everything
        ("EMSGSIZE", 60, Gravity.ALARM),
        ("ECONNRESET", 60, Gravity.ALARM),
        ("EINVAL", 100, None),
    ],
)
def test_a_process_of_which_most_calls_fail_is_harmed(
    errno: str, failures: int, severity: Gravity | None
) -> None:
    told = _told(_call("sendto", 5000, errno, failures), _process("streamd", 100, errno, failures))
    assert [claim.severity for claim in told] == ([] if severity is None else [severity])


@pytest.mark.parametrize(
    ("call", "errno"),
    [
        ("futex", "ETIMEDOUT"), ("openat", "ENOENT"), ("access", "ENOENT"), ("read", "EAGAIN"),
        ("epoll_wait", "EINTR"), ("wait4", "ECHILD"), ("ioctl", "ENOTTY"),
    ],
)  # fmt: skip
def test_ordinary_answers_are_no_claim(call: str, errno: str) -> None:
    row = _call(call, 1000, None, 0, 1000) | {"top_errno": errno}
    assert not _told(row)


def test_connects_are_told_of_by_their_own_hook() -> None:
    host = WatchedHost()
    for _ in range(4):
        host.more(
            syscalls=[_call("connect", 100, "ECONNREFUSED", 90)],
            tcp_connect=[_refused(100, 90)],
        )
    assert not calls(host.facts).claims


def test_connects_to_a_unix_socket_that_are_refused_are_none_of_its() -> None:
    """They are told, and whose they are is looked for: then somebody is harmed."""
    host = WatchedHost()
    failing = {"pid": 7, "comm": "php-fpm", "calls": 40, "errors": 40, "failures": 40}
    for _ in range(4):
        host.more(
            syscalls=[_call("connect", 500, "ECONNREFUSED", 40)], tcp_connect=[_refused(460, 0)]
        )
    assert HookId("syscall-processes", "connect") in calls(host.facts).wanted
    for _ in range(3):
        host.more(
            syscalls=[_call("connect", 500, "ECONNREFUSED", 40)],
            tcp_connect=[_refused(460, 0)],
            syscall_processes__connect=[{**failing, "errno": "ECONNREFUSED"}],
        )
    (claim,) = calls(host.facts).claims
    assert (claim.severity, claim.what) == (Gravity.ALARM, "connect fails with ECONNREFUSED")
    assert [who.comm for who in claim.who] == ["php-fpm"]


def _refused(connects: int, refused: int) -> dict[str, Value]:
    row: dict[str, Value] = {"pid": 7, "comm": "caller", "raddr": "10.0.0.5", "rport": 80}
    return {**row, "connects": connects, "refused": refused, "failed": refused}


def _slow(name: str, ms: int, made: int = 4) -> dict[str, Value]:
    ns = ms * 1_000_000
    hit = ns.bit_length() - 1
    row = _call(name, made) | {"total_ns": made * ns}
    return row | {"latency": tuple(made * (place == hit) for place in range(_BUCKETS))}


@pytest.mark.parametrize(
    ("call", "ms", "severity"),
    [
        ("fsync", 250, Gravity.ALARM), ("fsync", 20, None), ("futex", 9000, None),
        ("recvfrom", 9000, None), ("fdatasync", 250, Gravity.ALARM),
    ],
)  # fmt: skip
def test_a_disk_that_is_slow_is_told_at_once_and_waits_are_not(
    call: str, ms: int, severity: Gravity | None
) -> None:
    told = _told(_slow(call, ms))
    assert [claim.severity for claim in told] == ([] if severity is None else [severity])
    assert [claim.what for claim in told] == [f"{call} is slow"] * len(told)
    assert [(claim.share, claim.of) for claim in told] == [(1.0, "one thread's time")] * len(told)
