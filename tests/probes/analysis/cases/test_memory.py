"""Who waits for memory, which limit it is, who is killed; and all sockets of a host."""

from __future__ import annotations

import pytest

from probes.analysis.cases.claim import Claim, Gravity
from probes.analysis.cases.detectors import memory
from probes.model import Value
from tests.support.watched_host import WatchedHost

Values = dict[str, Value]
MS = 1_000_000
MB = 1 << 20


def _waits(where: str, some: int, full: int = 0, **known: Value) -> Values:
    """A row of somebody that waits so many milliseconds a second."""
    return {"where": where, "some_ns": some * MS, "full_ns": full * MS, **known}


def _claims(*rows: Values) -> list[Claim]:
    host = WatchedHost()
    for _ in range(2):
        host.more(memory=rows)
    return list(memory.DETECTOR.claims(host.facts))


def test_a_cgroup_at_its_limit_is_told_with_its_largest_process() -> None:
    row = _waits("/shop", 630, 400, used=255 * MB, limit=256 * MB, comm="indexer", pid=7)
    (claim,) = _claims(_waits("host", 300), row)
    assert claim.id == "memory//shop"
    assert claim.what == "cgroup /shop is at its memory limit of 256MB"
    assert (claim.severity, claim.share, claim.of) == (Gravity.ALARM, 0.63, "the time")
    assert [who[:2] for who in claim.who] == [("indexer", 7)]
    assert claim.evidence[0].text == ("some wait for memory 63.0% of the time, all at once 40.0%")
    assert claim.evidence[1].text == "255MB of 256MB in use"


@pytest.mark.parametrize(
    ("some", "full", "severity"),
    [(40, 0, None), (60, 0, Gravity.NOTICE), (60, 60, Gravity.NOTICE), (210, 0, Gravity.ALARM),
     (110, 110, Gravity.ALARM)],
)  # fmt: skip
def test_it_is_as_bad_as_the_time_that_is_waited(
    some: int, full: int, severity: Gravity | None
) -> None:
    told = [claim.severity for claim in _claims(_waits("/shop", some, full))]
    assert told == ([] if severity is None else [severity])


def test_the_cgroup_that_waits_is_told_and_not_those_around_it() -> None:
    rows = [_waits("host", 500), _waits("/pods", 500), _waits("/pods/a", 490), _waits("/b", 60)]
    assert {claim.id for claim in _claims(*rows)} == {"memory//pods/a", "memory//b"}


def test_the_host_is_short_where_it_is_no_cgroup_s() -> None:
    (claim,) = _claims(_waits("host", 500, used=900 * MB, limit=1000 * MB))
    assert claim.what == "this host is short of memory"


def test_who_is_killed_is_an_alarm_told_once() -> None:
    rows: list[Values] = [
        {"where": "host", "oom_kill": 1}, {"where": "/pods", "oom_kill": 1},
        {"where": "/pods/a", "oom_kill": 1}, {"where": "/b"},
    ]  # fmt: skip
    (claim,) = _claims(*rows)
    assert claim.id == "memory//pods/a/killed"
    assert claim.severity is Gravity.ALARM


def test_sockets_that_take_more_than_the_kernel_gives_freely() -> None:
    sockets: Values = {"where": "TCP sockets", "high": 100 * MB, "limit": 150 * MB}
    assert not _claims({**sockets, "used": 99 * MB})
    (claim,) = _claims({**sockets, "used": 120 * MB})
    assert claim.what == "TCP sockets are short of memory: net.ipv4.tcp_mem"
    assert (claim.severity, claim.share) == (Gravity.ALARM, 0.8)
    assert claim.knobs == ("net.ipv4.tcp_mem",)
    assert not _claims({"where": "TCP sockets", "used": 120 * MB}), "elsewhere no bound is known"
