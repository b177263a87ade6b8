"""What is said of lost packets: by share and class, with owner, place and cause, each once."""

from __future__ import annotations

import pytest

from probes.analysis.cases.claim import Claim, Gravity
from probes.analysis.cases.detectors import drops, programs
from probes.analysis.cases.joined import joined
from probes.analysis.cases.judgement import wants
from probes.model import HookId, Value
from tests.support.watched_host import WatchedHost

Values = dict[str, Value]


def _link(name: str = "eth1", **known: Value) -> Values:
    return {"ifindex": 2, "interface": name, "kind": "veth", "state": "up", **known}


def _drop(reason: str, packets: int, **known: Value) -> Values:
    return {
        "interface": "eth1", "reason": reason, "location": "f+0x1", "packets": packets,
        "protocol": "tcp", "dport": 8080, "counts": "packets", "netns": None, **known,
    }  # fmt: skip


def _claims(link: Values, *rows: Values, **more: list[Values]) -> list[Claim]:
    """What is claimed after a second in which this was counted."""
    host = WatchedHost("interfaces", "drops")
    host.tick(interfaces=[_link(str(link["interface"]))], drops=[], **dict.fromkeys(more, ()))
    host.tick(interfaces=[link], drops=rows, **more)
    return [*drops.DETECTOR.claims(host.facts), *programs.DETECTOR.claims(host.facts)]


def test_a_firewall_s_drops_are_told_with_port_share_and_who_listens() -> None:
    row = _drop("NETFILTER_DROP", 200, way="in", comm="shopd", pid=20)
    (claim,) = _claims(_link(rx_packets=250), row)
    assert claim.id == "drops/eth1/NETFILTER_DROP/tcp:8080"
    assert (claim.severity, claim.share, claim.now) == (Gravity.ALARM, 0.8, 200)
    assert [(who.comm, who.pid) for who in claim.who] == [("shopd", 20)]
    assert (claim.where.interface, claim.where.port, claim.where.netns) == ("eth1", 8080, "")
    assert ("port", "tcp", 8080) in claim.ties
    assert claim.depth == 3


def test_what_goes_out_is_a_share_of_what_is_sent() -> None:
    """However much the interface receives."""
    (claim,) = _claims(
        _link(rx_packets=10_000, tx_packets=300), _drop("NETFILTER_DROP", 100, way="out")
    )
    assert (claim.share, claim.of) == (0.25, "packets sent to eth1")


def test_a_port_scan_is_one_notice() -> None:
    scan = [_drop("NO_SOCKET", 1, dport=port) for port in range(2000, 2150)]
    (claim,) = _claims(_link(rx_packets=160), *scan)
    assert (claim.severity, claim.struck) == (Gravity.NOTICE, 0)
    assert "150 ports" in claim.what


def test_what_is_refused_at_a_listener_is_a_notice_until_it_is_usual() -> None:
    """Little of all packets may be all of a service."""
    row = _drop("NETFILTER_DROP", 100, way="in", comm="shopd", pid=20)
    host = WatchedHost("interfaces", "drops")
    for second in range(30):
        host.more(interfaces=[_link(rx_packets=1_000_000)], drops=[row])
        found = drops.DETECTOR.claims(host.facts)
        if second == 2:
            assert [one.severity for one in found] == [Gravity.NOTICE]
    assert not found


def _since_boot(lost: int, since: str = "boot", **counted: int) -> list[Claim]:
    """What is claimed of datagrams for which a socket has no room, on a host up for 100,000 s."""
    row = _drop("SOCKET_RCVBUFF", lost, protocol="udp", dport=514, way="in")
    host = WatchedHost("interfaces", "drops")
    for second in range(3):
        counters: list[Values] = [
            {"counter": name, "events": lost if second else n, "age": 10**14, "since": since}
            for name, n in counted.items()
        ]
        host.more(interfaces=[_link(rx_packets=10_000)], drops=[row], net_counters=counters)
    return list(drops.DETECTOR.claims(host.facts))


def test_what_is_usual_since_boot_is_known_at_the_first_second() -> None:
    (claim,) = _since_boot(20, UdpRcvbufErrors=20_000)
    assert (claim.severity, claim.usual, claim.since_boot) == (Gravity.NOTICE, 0.2, True)
    assert claim.evidence[-1].text == "usual: 0.2/s since boot on all ports (UdpRcvbufErrors)"
    (claim,) = _since_boot(20, UdpRcvbufErrors=0)
    assert (claim.usual, claim.since_boot) == (0, True)


def test_a_namespace_that_may_be_younger_has_no_usual_rate_but_a_least_one() -> None:
    (claim,) = _since_boot(20, "boot at the earliest", UdpRcvbufErrors=20_000)
    assert (claim.usual, claim.since_boot) == (None, False)
    assert (
        claim.evidence[-1].text == "usual: at least 0.2/s since boot on all ports (UdpRcvbufErrors)"
    )


def test_a_little_that_was_lost_all_the_time_since_boot_is_not_told() -> None:
    assert not _since_boot(20, UdpRcvbufErrors=1_000_000)  # 10/s


def test_much_is_an_alarm_also_if_it_was_lost_since_boot() -> None:
    """An incident does not become usual by lasting, nor if it lasted before ebpftop came."""
    (claim,) = _since_boot(1_000, UdpRcvbufErrors=100_000_000)
    assert claim.severity is Gravity.ALARM


def test_without_counters_nothing_is_known_since_boot() -> None:
    (claim,) = _since_boot(20)
    assert (claim.usual, claim.since_boot) == (None, False)


def test_who_sends_what_a_firewall_drops_is_told_of_it_by_the_errno_of_its_call() -> None:
    row = _drop("NETFILTER_DROP", 100, protocol="udp", dport=53, way="out", comm="app", pid=20)
    failing: Values = {"pid": 20, "comm": "app", "errno": "EPERM", "failures": 100, "calls": 100}
    found = _claims(_link(tx_packets=50), row, syscall_processes__sendto=[failing])
    (claim,) = [one for one in found if one.id.startswith("drops/")]
    assert [who[:2] for who in claim.who] == [("app", 20)]
    assert ("errno", "sendto", "EPERM") in claim.ties
    other: Values = {**failing, "pid": 21}
    (claim,) = _claims(_link(tx_packets=50), row, syscall_processes__sendto=[other])
    assert not [tie for tie in claim.ties if "errno" in str(tie)]


def test_no_route_is_what_connects_tell() -> None:
    row = _drop("no route", 30, location="IpOutNoRoutes", dport=None, protocol="-")
    (claim,) = _claims(_link(rx_packets=10), row)
    assert ("errno", "connect", "ENETUNREACH") in claim.ties
    assert claim.depth < 1


def test_a_next_hop_that_does_not_answer_is_what_unreachable_connects_tell() -> None:
    """Also in a second in which none of their packets was given up."""
    (claim,) = _claims(_link(tx_packets=10), _drop("NEIGH_FAILED", 30, protocol="udp", dport=8125))
    assert ("errno", "connect", "EHOSTUNREACH") in claim.ties


def test_a_deeper_cause_has_the_past_of_what_is_counted() -> None:
    down = {"state": "down", "tx_packets": 1}
    for link, *rows in (
        ({"rx_packets": 250}, _drop("NETFILTER_DROP", 200), _tracking(200)),
        (down, _drop("QDISC_DROP", 200)),
        (
            {"rx_packets": 250},
            _drop(
                "request queue full: cookies",
                200,
                interface="-",
                location="TcpExtTCPReqQFullDoCookies",
                counts="events",
            ),
        ),
    ):
        host = WatchedHost("interfaces", "drops")
        for _ in range(3):
            host.more(interfaces=[_link(**link)], drops=rows)
        (claim,) = drops.DETECTOR.claims(host.facts)
        assert claim.figure is not None
        assert host.facts.series(claim.figure, claim.key, 3) == [200] * 3, claim.what


def _tracking(packets: int) -> Values:
    return _drop(
        "connection tracking full", packets, interface="-", location="ConntrackDrop",
        protocol="-", dport=None, counts="again", waiting=200, room=200,
    )  # fmt: skip


def test_connection_tracking_that_is_full_is_the_cause_of_what_netfilter_drops() -> None:
    (claim,) = _claims(_link(rx_packets=250), _drop("NETFILTER_DROP", 200), _tracking(200))
    assert claim.id == "drops/eth1/CONNTRACK/tcp:8080"
    assert claim.what == "connection tracking is full: tcp:8080 dropped at eth1"
    assert (claim.severity, claim.share) == (Gravity.ALARM, 0.8)
    assert "200 of 200 entries in use" in claim.evidence[0].text
    assert claim.knobs == ("net.netfilter.nf_conntrack_max",)
    assert not any("rule" in told.text for told in claim.evidence)
    both = [_drop("NETFILTER_DROP", 200), _drop("NETFILTER_DROP", 50, interface="eth2", ifindex=3)]
    assert len(joined(_claims(_link(rx_packets=250), *both, _tracking(250)))) == 1, "one table"
    found = _claims(_link(rx_packets=250), _drop("NETFILTER_DROP", 200), _tracking(20))
    assert {claim.id for claim in found} == {
        "drops/eth1/NETFILTER_DROP/tcp:8080",
        "drops/host/CONNTRACK",
    }


def test_few_of_many_are_nothing() -> None:
    assert not _claims(_link(rx_packets=1_000_000), _drop("NETFILTER_DROP", 100))
    assert not _claims(_link(rx_packets=4), _drop("SOCKET_RCVBUFF", 4)), "hardly any"


def test_each_port_has_a_buffer_of_its_own() -> None:
    """Whatever interface its packets come by."""
    full = [
        _drop("SOCKET_RCVBUFF", 50, protocol="udp", dport=514, comm="rsyslogd", pid=811),
        _drop("SOCKET_RCVBUFF", 20, protocol="udp", dport=514, interface="lo", ifindex=1,
              comm="rsyslogd", pid=811),
        _drop("SOCKET_RCVBUFF", 40, protocol="udp", dport=8125, comm="statsd", pid=900),
    ]  # fmt: skip
    found = _claims(_link(rx_packets=100), *full)
    assert [(c.id, c.now) for c in found] == [
        ("drops/host/SOCKET_RCVBUFF/udp:514", 70),
        ("drops/host/SOCKET_RCVBUFF/udp:8125", 40),
    ]
    assert found[0].knobs == ("net.core.rmem_max", "net.core.rmem_default")


def test_an_accept_queue_is_told_once_with_its_length() -> None:
    rows = [
        _drop("accept queue full", 90, interface="-", location="TcpExtListenDrops", dport=9090,
              comm="stuckd", pid=3),
        _drop("accept queue full", 90, interface="-", location="TcpExtListenOverflows",
              protocol="-", dport=None, counts="again"),
        _drop("TCP_LISTEN_OVERFLOW", 10, dport=9090, comm="stuckd", pid=3),
        _drop("accept queue", 0, interface="-", location="listener", dport=9090, counts="events",
              waiting=5, room=4, comm="stuckd", pid=3),
    ]  # fmt: skip
    (claim,) = _claims(_link(rx_packets=200), *rows)
    assert (claim.now, claim.share, claim.of) == (100, 1.0, "its limit")
    assert any("5 of 4" in evidence.text for evidence in claim.evidence)
    assert [who.comm for who in claim.who] == ["stuckd"]


def test_a_queue_that_is_backing_up_needs_no_drops() -> None:
    row = _drop("accept queue", 0, interface="-", location="listener", dport=9091, waiting=60,
                counts="events", room=128, comm="reportd", pid=4)  # fmt: skip
    (claim,) = _claims(_link(), row)
    assert (claim.severity, claim.what) == (Gravity.ALARM, "accept queue of tcp:9091 is backing up")
    few = {**row, "waiting": 9}
    assert not _claims(_link(), few)


def test_what_a_link_that_is_down_drops_has_that_cause() -> None:
    (claim,) = _claims(
        _link(state="down", tx_dropped=300), _drop("QDISC_DROP", 300, location="__dev_queue_xmit")
    )
    assert (claim.id, claim.share) == ("drops/eth1/NO_CARRIER", 1.0)


def test_another_namespace_s_come_behind_and_name_it() -> None:
    there = _drop("NETFILTER_DROP", 900, interface="if2 (netns 42)", netns=42)
    here = _drop("NETFILTER_DROP", 50, dport=22, comm="sshd", pid=1)
    first, second = _claims(_link(rx_packets=100), there, here)
    assert (first.where.netns, second.where.netns) == ("", "42")
    assert "netns 42" in second.what
    assert second.share is None


@pytest.mark.parametrize(
    ("known", "way", "share"),
    [
        ({"rx_packets": 1200, "tx_packets": 5}, "in", 0.75),
        ({"rx_packets": 10, "tx_packets": 1800}, "out", 0.5),
        ({"rx_packets": 1_000_000}, "in", None),
    ],
)
def test_another_namespace_s_are_a_share_of_what_comes_there(
    known: Values, way: str, share: float | None
) -> None:
    """Asked for once packets are lost there."""
    row = _drop("NETFILTER_DROP", 900, interface="if2 (netns 42)", netns=42, way=way)
    there = {"netns": 42, "comm": "nginx", "pid": 7}
    host = WatchedHost("interfaces", "drops")
    host.tick(interfaces=[_link()], drops=[])
    host.tick(interfaces=[_link(rx_packets=100)], drops=[row])
    assert wants(host.facts) == [HookId("namespaces")]
    host.tick(interfaces=[], drops=[row], namespaces=[there])
    host.tick(interfaces=[], drops=[{**row, "packets": 1800}], namespaces=[{**there, **known}])
    found = [(claim.share, claim.of) for claim in drops.DETECTOR.claims(host.facts)]
    assert found == (
        [(share, f"packets {'received' if way == 'in' else 'sent'} there")] if share else []
    )


def test_what_datagrams_a_queue_drops_is_told_once() -> None:
    (claim,) = _claims(
        _link(tx_packets=100),
        _drop("QDISC_DROP", 300, location="__dev_queue_xmit", protocol="udp", dport=9000),
        _drop("send buffer full", 305, location="UdpSndbufErrors", interface="-", dport=None),
    )
    assert claim.what == "queue of eth1 drops udp:9000"


def test_what_a_program_drops_is_the_program_s() -> None:
    """Although the kernel frees it: one claim."""
    program: Values = {
        "ifindex": 2, "interface": "eth1", "program_id": 412, "program": "acme_filter",
        "mode": "generic", "seen": "runs", "packets": 1000, "drop": None, "aborted": None,
    }  # fmt: skip
    freed = _drop("XDP", 500, location="do_xdp_generic+0x1", protocol="udp", dport=9000)
    (claim,) = _claims(_link(rx_packets=1000), freed, xdp_programs=[program])
    assert claim.id == "xdp-programs/eth1/acme_filter"
    assert (claim.share, claim.who[0].program) == (0.5, "acme_filter#412")
    assert {("program", "acme_filter#412"), ("port", "udp", 9000)} <= claim.ties


@pytest.mark.parametrize(
    ("held_by", "by", "who", "said"),
    [
        ("filterd(1502), pin /sys/fs/bpf/f", "link", [("filterd", 1502)],
         "(generic), pinned at /sys/fs/bpf/f"),
        ("nobody", "netlink", [], "(generic), held by nobody: the interface has it"),
        ("nobody", "link", [], "(generic), held by nobody"),
        (None, "link", [], "(generic)"),
    ],
)  # fmt: skip
def test_a_program_is_told_with_who_holds_it(
    held_by: str | None, by: str, who: list[tuple[str, int]], said: str
) -> None:
    program: Values = {
        "ifindex": 2, "interface": "eth1", "program_id": 412, "program": "acme_filter",
        "mode": "generic", "by": by, "seen": "fexit", "packets": 1000, "drop": 500, "aborted": 0,
        "held_by": held_by,
    }  # fmt: skip
    (claim,) = _claims(_link(rx_packets=1000), xdp_programs=[program])
    assert [one[:2] for one in claim.who[1:]] == who
    assert claim.evidence[0].text.endswith(said)


def test_what_a_program_drops_has_a_past() -> None:
    """Its own verdicts; where those are not known, what is freed there."""
    program: Values = {
        "ifindex": 2, "interface": "eth1", "program_id": 7, "program": "acme_police", "at": "tcx",
        "direction": "ingress", "packets": 1000,
    }  # fmt: skip
    counted = program | {"drop": 300}
    freed = _drop("TC_INGRESS", 300, location="sch_handle_ingress+0x1", protocol="udp", dport=9000)
    for row, drops_rows in ((counted, []), (program | {"drop": None}, [freed])):
        host = WatchedHost("interfaces", "drops")
        calm = row | {"drop": row["drop"] and 0}
        for _ in range(20):
            host.more(interfaces=[_link(rx_packets=1000)], drops=[], tc_programs=[calm])
        for _ in range(5):
            host.more(interfaces=[_link(rx_packets=1000)], drops=drops_rows, tc_programs=[row])
        (claim,) = programs.DETECTOR.claims(host.facts)
        assert claim.figure is not None
        assert host.facts.series(claim.figure, claim.key, 5) == [300] * 5
        assert claim.since == host.facts.wall - 4


def test_a_program_that_takes_long_is_told_with_its_time() -> None:
    program: Values = {
        "ifindex": 2, "interface": "eth1", "program_id": 7, "program": "acme_meter", "at": "tcx",
        "direction": "ingress", "packets": 3000, "run_ns": 60_000_000, "timed_runs": 3000,
    }  # fmt: skip
    (claim,) = _claims(_link(rx_packets=3000), tc_programs=[program])
    assert (claim.now, claim.share, claim.of) == (20_000, 0.06, "one CPU")
    host = WatchedHost("interfaces", "drops")
    for _ in range(4):
        host.more(interfaces=[_link(rx_packets=3000)], drops=[], tc_programs=[program])
    (claim,) = programs.DETECTOR.claims(host.facts)
    assert claim.figure is not None
    assert host.facts.series(claim.figure, claim.key, 2) == [20_000] * 2
