"""Loops: processes that crash again and again, and programs that cannot be started."""

from __future__ import annotations

import pytest

from probes.analysis.cases.claim import Claim, Gravity
from probes.analysis.cases.detectors import processes
from probes.analysis.cases.joined import joined
from probes.model import HookId, Value
from tests.support.watched_host import WatchedHost

Values = dict[str, Value]


def _claims(**rows: list[Values]) -> list[Claim]:
    """After ten seconds in which these counters grow by so much each second."""
    host = WatchedHost(*[hook.replace("_", "-") for hook in rows])
    for _ in range(10):
        host.more(**rows)
    return list(processes.DETECTOR.claims(host.facts))


def _end(comm: str, end: str, ends: int, **known: Value) -> Values:
    return {"comm": comm, "parent": "runsv", "end": end, "ends": ends, **known}


def _start(comm: str, file: str, calls: int, failed: int = 0, error: str = "ENOENT") -> Values:
    told: Values = {"error": error if failed else "-"}
    return {"comm": comm, "file": file, "calls": calls, "failed": failed, **told}


def test_a_crash_loop_is_told_with_who_starts_it_and_how_long_it_lives() -> None:
    (claim,) = _claims(exits=[_end("quoted", "SIGSEGV", 2, lived_ns=200_000_000)])
    assert claim.what == "quoted crashes again and again: SIGSEGV"
    assert (claim.severity, claim.share, claim.of) == (Gravity.ALARM, 1.0, "the ends of quoted")
    assert [who.comm for who in claim.who] == ["quoted", "runsv"]
    assert (
        claim.evidence[0].text == "20 ended like this in 10 s, after 100ms each; started by runsv"
    )


@pytest.mark.parametrize(
    ("end", "good", "severity"),
    [("SIGSEGV", 0, Gravity.ALARM), ("SIGSEGV", 20, Gravity.NOTICE),
     ("status 127", 0, Gravity.ALARM), ("SIGKILL", 0, Gravity.NOTICE), ("SIGTERM", 0, None),
     ("status 1", 0, None), ("status 0", 0, None)],
)  # fmt: skip
def test_it_is_as_bad_as_what_ends_it_and_its_share(
    end: str, good: int, severity: Gravity | None
) -> None:
    rows = [_end("job", end, 2)] + [_end("job", "status 0", good)] * bool(
        good and end != "status 0"
    )
    assert [claim.severity for claim in _claims(exits=rows)] == [severity] * bool(severity)


def test_a_program_that_is_not_there_is_told_with_its_path() -> None:
    (claim,) = _claims(execs=[_start("superd", "/opt/acme/workerd", 3, 3)])
    assert claim.what == "superd cannot start /opt/acme/workerd: ENOENT"
    assert (claim.severity, claim.share) == (Gravity.ALARM, 1.0)
    assert claim.next == ("ls -l /opt/acme/workerd",)


def test_a_program_that_is_found_in_the_second_place_is_none() -> None:
    rows = [_start("make", "/usr/local/bin/gcc", 5, 5), _start("make", "gcc", 5)]
    assert _claims(execs=rows) == []


def test_one_that_is_in_none_of_the_places_is_one_claim() -> None:
    rows = [_start("sh", f"{place}/acme", 2, 2) for place in ("/bin", "/usr/bin", "/sbin")]
    (claim,) = _claims(execs=rows)
    assert claim.evidence[0].text == "60 times in 10 s, in 3 places"


def test_the_children_that_end_for_it_are_the_same_case() -> None:
    ends = [_end("runsv", "status 127", 3)]
    claims = _claims(execs=[_start("runsv", "/opt/acme", 3, 3)], exits=ends)
    (case,) = joined(claims)
    assert case.head.what == "runsv cannot start /opt/acme: ENOENT"


def test_what_tells_it_is_attached_beside_the_calls_and_starts_once_some_fail() -> None:
    host = WatchedHost()
    assert not processes.DETECTOR.looks(host.facts)
    host = WatchedHost("syscalls")
    assert list(processes.DETECTOR.looks(host.facts)) == [HookId("exits")]
    for _ in range(2):
        host.more(syscalls=[{"syscall": "execve", "calls": 5, "errors": 5}])
    assert list(processes.DETECTOR.looks(host.facts)) == [HookId("execs"), HookId("exits")]
