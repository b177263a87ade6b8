"""What counters have had since boot is known at the first second."""

from __future__ import annotations

import pytest

from probes.analysis import since_boot
from probes.analysis.cases.cause_counters import COUNTERS
from probes.analysis.since_boot import BOOT, LEAST_AGE
from probes.hooks.drops import counters
from probes.model import Value
from tests.support.watched_host import WatchedHost

Values = dict[str, Value]
AGE = 100_000.0


def _counter(name: str, count: int, age: float = AGE, since: str = BOOT) -> Values:
    return {"counter": name, "events": count, "age": int(age * 1e9), "since": since}


def _host(before: int, now: int, age: float = AGE, since: str = BOOT) -> WatchedHost:
    host = WatchedHost()
    for count in (before, now):
        host.tick(**{"net-counters": [_counter("UdpRcvbufErrors", count, age, since)]})
    return host


def test_the_average_is_that_up_to_the_first_reading() -> None:
    host = _host(20_000, 30_000)
    known = since_boot.of_counters(host.facts, ["UdpRcvbufErrors", "NoSuchCounter"])
    assert known is not None
    assert (known.per_s, known.now, known.ordinary) == (0.2, 10_000, False)
    assert known.text() == "0.2/s since boot (UdpRcvbufErrors)"
    assert known.text("on all ports") == "0.2/s since boot on all ports (UdpRcvbufErrors)"
    assert [one.names for one in since_boot.above(host.facts)] == [("UdpRcvbufErrors",)]


def test_it_is_known_with_the_first_reading_and_what_is_as_ever_is_not_above() -> None:
    host = _host(500_000, 500_014)  # 5/s, and 14 in this second
    known = since_boot.of_counters(host.facts, ["UdpRcvbufErrors"])
    assert known is not None
    assert known.ordinary
    assert not since_boot.above(host.facts)


@pytest.mark.parametrize("age", [LEAST_AGE - 1, 0.0])
def test_a_host_that_has_just_booted_has_no_average(age: float) -> None:
    host = _host(20, 30, age)
    assert since_boot.of_counters(host.facts, ["UdpRcvbufErrors"]) is None
    assert not since_boot.above(host.facts)


def test_a_namespace_may_be_younger() -> None:
    known = since_boot.of_counters(_host(20_000, 20_000, since="later").facts, ["UdpRcvbufErrors"])
    assert known is not None
    assert known.text() == "at least 0.2/s since boot (UdpRcvbufErrors)"


def test_nothing_is_known_of_a_host_that_does_not_tell() -> None:
    host = WatchedHost()
    host.tick(interfaces=[])
    assert since_boot.of_counters(host.facts, ["UdpRcvbufErrors"]) is None


def test_an_interface_counts_since_it_was_made() -> None:
    host = WatchedHost()
    for more in (0, 300):
        link = {"ifindex": 2, "interface": "eth1", "tx_dropped": 200_000 + more, "rx_missed": 0}
        host.tick(**{"net-counters": [_counter("X", 1)], "interfaces": [link]})
    (row,) = host.facts.rows("interfaces")
    known = since_boot.of_rows(host.facts, "interfaces", [row.key], ("tx_dropped", "rx_missed"))
    assert known is not None
    assert (known.per_s, known.now, known.names) == (2.0, 300, ("tx_dropped",))
    assert known.least


@pytest.mark.parametrize(
    ("before", "now", "since", "said"),
    [
        (500_000, 500_014, BOOT, "counters are at their average since boot"),
        (20_000, 30_000, BOOT, "UdpRcvbufErrors is above its average since boot"),
        (500_000, 500_014, "later", "counters are at their average since boot"),
        (20_000, 30_000, "later", ""),
    ],
)
def test_it_is_said_whether_counters_are_as_since_boot(
    before: int, now: int, since: str, said: str
) -> None:
    """Of a namespace that may be younger, only that they are."""
    assert since_boot.said(_host(before, now, since=since).facts) == said


def test_nothing_is_said_of_one_reading() -> None:
    host = WatchedHost()
    host.tick(**{"net-counters": [_counter("UdpRcvbufErrors", 7)]})
    assert since_boot.said(host.facts) == ""


def test_retransmits_are_compared_by_their_share() -> None:
    """More traffic has more of them."""
    host = WatchedHost()
    for again, sent in ((10_000, 1_000_000), (10_200, 1_020_000)):
        counters = [_counter("TcpRetransSegs", again), _counter("TcpOutSegs", sent)]
        host.tick(**{"net-counters": counters})
    assert since_boot.share_of(host.facts, "TcpRetransSegs") == (0.01, 0.01)
    assert not since_boot.above(host.facts)


def test_a_share_of_a_namespace_that_may_be_younger_is_not_known() -> None:
    """All of it may have been counted in the incident."""
    host = WatchedHost()
    counters = [_counter("TcpRetransSegs", 100, since="later"), _counter("TcpOutSegs", 1000)]
    host.tick(**{"net-counters": counters})
    assert since_boot.share_of(host.facts, "TcpRetransSegs") is None


@pytest.mark.parametrize(
    ("per_s", "said"),
    [(0, "0/s"), (0.2, "0.2/s"), (12, "12/s"), (0.01, "36/h"), (0.00005, "0.2/h"), (3e-6, "0.3/d")],
)
def test_rates_of_rare_things_are_told_by_the_hour_or_day(per_s: float, said: str) -> None:
    assert since_boot.rate(per_s) == said


def test_every_counter_of_a_cause_of_drops_is_one_that_is_read() -> None:
    assert {name for names in COUNTERS.values() for name in names} <= counters.ALL.keys()
