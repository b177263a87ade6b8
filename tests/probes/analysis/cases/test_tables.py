"""Tables of the kernel that are full, links that flap, and workers of which one is stuck."""

from __future__ import annotations

from probes.analysis.cases.claim import Claim, Gravity
from probes.analysis.cases.detectors import drops
from probes.analysis.cases.joined import joined
from probes.model import Value
from tests.support.watched_host import WatchedHost

Values = dict[str, Value]


def _link(**known: Value) -> Values:
    return {"ifindex": 2, "interface": "eth1", "kind": "veth", "state": "up", **known}


def _counter(name: str, events: int, **known: Value) -> Values:
    return {
        "interface": "-", "reason": "in words", "location": name, "packets": events,
        "protocol": "-", "dport": None, "counts": "events", "netns": None, **known,
    }  # fmt: skip


def _claims(*rows: Values, link: Values | None = None, **more: list[Values]) -> list[Claim]:
    """What is claimed after two seconds in which counters grow by so much each second."""
    host = WatchedHost("interfaces", "drops", *[name.replace("_", "-") for name in more])
    for _ in range(2):
        host.more(interfaces=[link or _link()], drops=rows, **more)
    return list(drops.DETECTOR.claims(host.facts))


def test_too_many_in_time_wait_are_told_with_port_limit_and_who_connects() -> None:
    row = _counter(
        "TcpExtTCPTimeWaitOverflow", 40, waiting=32, room=32, protocol="tcp", dport=11211
    )
    caller: Values = {
        "pid": 7, "comm": "apid", "raddr": "10.0.0.2", "rport": 11211, "connects": 40,
    }  # fmt: skip
    (claim,) = _claims(row, tcp_connect=[caller])
    assert claim.what == "tcp:11211 closed at the limit of TIME_WAIT sockets"
    assert (claim.severity, claim.share, claim.of) == (Gravity.ALARM, 1.0, "its limit")
    assert [who[:2] for who in claim.who] == [("apid", 7)]
    assert "32 of 32 sockets" in claim.evidence[0].text
    assert claim.knobs == ("net.ipv4.tcp_max_tw_buckets",)


def test_a_few_are_nothing() -> None:
    assert not _claims(_counter("TcpExtTCPTimeWaitOverflow", 2, waiting=32, room=32))


def test_connections_that_are_aborted_for_too_many_orphans_are_an_alarm() -> None:
    (claim,) = _claims(_counter("TcpExtTCPAbortOnMemory", 20, waiting=4000, room=4096))
    assert claim.what.startswith("connections are aborted: too many orphans")
    assert claim.severity is Gravity.ALARM
    assert claim.knobs == ("net.ipv4.tcp_max_orphans", "net.ipv4.tcp_mem")


def test_fragments_are_a_share_of_what_came_in_fragments_and_one_case() -> None:
    whole: Values = {"counter": "IpReasmOKs", "events": 60, "age": 10**14, "since": "boot"}
    freed: Values = {
        "interface": "eth1", "reason": "FRAG_REASM_TIMEOUT", "location": "ip_expire+0x1",
        "packets": 20, "protocol": "udp", "dport": None, "counts": "packets", "way": "in",
    }  # fmt: skip
    claims = _claims(
        _counter("IpReasmFails", 20), freed, link=_link(rx_packets=200), net_counters=[whole]
    )
    by = {claim.id: claim for claim in claims}
    assert by["drops/host/FRAGMENTS"].share == 0.25
    assert by["drops/host/FRAGMENTS"].of == "datagrams that came in fragments"
    assert len(joined(claims)) == 1


def test_a_full_neighbour_table_is_told_apart_from_a_silent_neighbour() -> None:
    (claim,) = _claims(_counter("NeighTableFulls", 30, waiting=1024, room=1024))
    assert claim.what.endswith("the neighbour table is full")
    assert claim.knobs == ("net.ipv4.neigh.default.gc_thresh3",)
    failed: Values = {
        "interface": "eth1", "reason": "NEIGH_CREATEFAIL", "location": "ip_finish_output2+0x1",
        "packets": 30, "protocol": "udp", "dport": 53, "counts": "packets", "way": "out",
    }  # fmt: skip
    claims = _claims(failed, link=_link(tx_packets=60))
    assert [c.what for c in claims] == ["udp:53 dropped at eth1: the neighbour table is full"]


def test_one_of_several_workers_is_told_as_one_of_them() -> None:
    row = _counter(
        "listener", 0, reason="accept queue of 1 in 4 listeners", protocol="tcp", dport=8090,
        comm="worker", pid=9, waiting=9, room=8,
    )  # fmt: skip
    (claim,) = _claims(row)
    assert claim.what == "accept queue of tcp:8090 is full at 1 in 4 listeners"
    assert (claim.severity, claim.who[0].pid) == (Gravity.ALARM, 9)


def test_a_carrier_that_comes_and_goes_is_an_alarm_and_a_cable_that_was_moved_none() -> None:
    (claim,) = _claims(link=_link(carrier_changes=4))
    assert claim.what == "eth1 flaps: its carrier comes and goes"
    assert claim.evidence[0].text.startswith("its carrier came or went 8 times")
    assert not _claims(link=_link(carrier_changes=1))


def test_what_a_tunnel_cannot_send_is_a_share_of_what_is_sent() -> None:
    (claim,) = _claims(link=_link(tx_packets=30, tx_errors=10))
    assert claim.what == "eth1 cannot send packets: errors"
    assert (claim.severity, claim.share) == (Gravity.ALARM, 0.25)
