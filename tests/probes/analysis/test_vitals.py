"""Vital signs: sums of what was counted, from the counters until programs count."""

from __future__ import annotations

from probes.analysis.vitals import Vital, vitals
from probes.model import Value
from tests.support.watched_host import WatchedHost


def _counters(**counts: int) -> list[dict[str, Value]]:
    return [{"counter": n, "events": c, "age": 10**15, "since": "boot"} for n, c in counts.items()]


def _links(**received: int) -> list[dict[str, Value]]:
    kinds = {"lo": "loopback", "eth0": "physical", "veth1": "veth"}
    return [
        {"ifindex": n, "interface": name, "kind": kinds[name], "rx_packets": packets}
        for n, (name, packets) in enumerate(received.items(), 1)
    ]


def _of(host: WatchedHost) -> dict[str, Vital]:
    return {one.title: one for one in vitals(host.facts, (), 10.0, 10)}


def test_the_first_reading_has_no_rate_and_the_second_has() -> None:
    host = WatchedHost()
    host.tick(**{"net-counters": _counters(TcpActiveOpens=500, TcpAttemptFails=9)})
    assert _of(host)["Connects"].per_s is None
    host.tick(**{"net-counters": _counters(TcpActiveOpens=520, TcpAttemptFails=14)})
    assert _of(host)["Connects"].per_s == 20
    assert (_of(host)["Failed"].per_s, _of(host)["Failed"].share) == (5, 0.25)


def test_packets_are_counted_where_they_come_from_outside() -> None:
    """A veth and the loopback pass on what a device has counted; a container has nothing else."""
    host = WatchedHost()
    for second in (0, 1):
        links = _links(lo=50 * second, eth0=100 * second, veth1=70 * second)
        host.tick(interfaces=links)
    assert _of(host)["Packets in"].per_s == 100
    host = WatchedHost()
    for second in (0, 1):
        host.tick(interfaces=_links(lo=50 * second, veth1=70 * second))
    assert _of(host)["Packets in"].per_s == 70


def test_segments_that_are_sent_again_are_a_share_of_those_sent() -> None:
    host = WatchedHost()
    for second in (0, 1):
        sent = _counters(TcpOutSegs=1000 * second, TcpRetransSegs=20 * second)
        host.tick(**{"net-counters": sent})
    again = _of(host)["Retransmits"]
    assert (again.per_s, again.share) == (20, 0.02)


def test_what_nobody_counts_is_not_nothing() -> None:
    """Without a program no failing call is known: that is no 0."""
    assert _of(WatchedHost())["Failing calls"].per_s is None
