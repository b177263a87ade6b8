"""Which stage a drop is put at, where several counters have it; the rest is in tests/kernel."""

from __future__ import annotations

import pytest

from probes.analysis.drop_stages import ANYWHERE, RECEIVING, UNTOLD, function_of, stage_of
from probes.analysis.flows import Cause, Flow
from probes.analysis.funnel import Ours, Stage, funnel, interfaces, remember
from probes.analysis.snapshot import Snapshot
from probes.hooks import catalogue
from probes.model import HookId, Key, Kind, Row, Sample, State, Status, Value

Values = dict[str, Value]
Told = dict[str, list[Values]]


def _sample(name: str, rows: list[Values], time: float, epoch: int = 1) -> Sample:
    hook = catalogue()[name]
    made: dict[Key, Row] = {}
    for values in rows:
        row = tuple(values.get(c.name, 0 if c.kind is Kind.COUNTER else None) for c in hook.stored)
        made[tuple(values.get(c.name) for c in hook.stored if c.kind is Kind.KEY)] = row
    status = Status(HookId(name), State.ATTACHED, hook.ladder[0].name)
    return Sample(status, time, time, epoch, made, from_zero=hook.ladder[0].from_zero)


def _lost(told: Told, ours: Ours | None = None) -> dict[str, int]:
    """What is lost on eth0 by stage, of counters that were at zero two seconds before."""
    return {s.name: s.lost.total for s in _stages(told, ours) if s.lost and s.lost.total}


def _stages(told: Told, ours: Ours | None = None, interface: str = "eth0") -> tuple[Stage, ...]:
    snapshots = {}
    for name, rows in told.items():
        zero = [
            {c.name: r.get(c.name) for c in catalogue()[name].stored if c.kind is not Kind.COUNTER}
            for r in rows
        ]
        before = _sample(name, zero, 10)
        snapshots[name] = [Snapshot.between(catalogue()[name], before, _sample(name, rows, 12))]
    return funnel(snapshots, interface, None, ours)


def _link(**counters: Value) -> list[Values]:
    return [{"ifindex": 2, "interface": "eth0", "kind": "physical", **counters}]


def _drop(packets: int, reason: str, place: str = "f+0x1", **more: Value) -> Values:
    return {
        "interface": "eth0",
        "reason": reason,
        "location": place,
        "packets": packets,
        "protocol": "-",
        **more,
    }


def test_rx_dropped_is_the_device_s_but_for_what_the_kernel_dropped() -> None:
    told: Told = {
        "interfaces": _link(rx_packets=100, rx_dropped=30, rx_missed=3, rx_errors=2),
        "drops": [_drop(8, "UNHANDLED_PROTO"), _drop(4, "CPU_BACKLOG"), _drop(5, "NO_SOCKET")],
    }
    assert _lost(told) == {"nic": 18 + 3 + 2, "stack": 12, "socket": 5}
    nic = _stages(told)[0]
    assert nic.came == Flow(123, 61.5)
    assert nic.lost == Flow(23, 11.5)
    assert [(c.why, c.lost.total) for c in nic.causes] == [
        ("rx_dropped", 18),
        ("rx_missed", 3),
        ("rx_errors", 2),
    ]


def test_without_a_trace_of_drops_nothing_is_said_of_stack_and_socket() -> None:
    told: Told = {"interfaces": _link(rx_packets=9, rx_dropped=30)}
    stages = {s.name: s for s in _stages(told)}
    assert stages["stack"].lost is stages["socket"].lost is stages["xdp"].lost is None
    assert stages["nic"].why == "rx_dropped: by the device or the stack"


@pytest.mark.parametrize(("driver", "nic"), [("virtio_net", 2), ("ixgbe", 9)])
def test_drivers_that_count_xdp_s_drops_as_their_own(driver: str, nic: int) -> None:
    told: Told = {
        "interfaces": _link(rx_packets=50, rx_dropped=9, driver=driver),
        "drops": [],
        "xdp-programs": [
            {"ifindex": 2, "interface": "eth0", "program_id": 3, "program": "p", "drop": 7}
        ],
    }
    assert _lost(told) == {"nic": nic, "xdp": 7}


def test_xdp_s_drops_are_counted_once_though_generic_mode_frees_them() -> None:
    program: Values = {"ifindex": 2, "interface": "eth0", "program_id": 3, "program": "p"}
    told: Told = {
        "interfaces": _link(rx_packets=50),
        "drops": [_drop(10, "XDP")],
        "xdp-programs": [{**program, "drop": 9, "aborted": 1, "redirect": 5}],
    }
    assert _lost(told) == {"xdp": 10}
    stages = {s.name: s for s in _stages(told)}
    assert stages["xdp"].why == "p#3"
    assert stages["tc-ingress"].came == Flow(35, 17.5)
    assert _lost(told, ours={"xdp": [Cause("rule udp", Flow(4, None))]}) == {"xdp": 14}


def test_what_our_rules_drop_at_tc_is_named_and_the_kernel_s_count_of_it_is_no_more() -> None:
    told: Told = {"interfaces": _link(rx_packets=50), "drops": [_drop(10, "TC_INGRESS")]}
    ours = {"tc-ingress": [Cause("rule udp", Flow(10, 5.0))]}
    assert _lost(told, ours) == {"tc-ingress": 10}
    (causes,) = (s.causes for s in _stages(told, ours) if s.name == "tc-ingress")
    assert causes == (Cause("rule udp", Flow(10, 5.0)),)
    assert _lost({"interfaces": _link(rx_packets=50)}, ours) == {"tc-ingress": 10}


ERROR: Values = {"interface": "eth0", "program": "p#3", "error": "-", "to": "-"}
ABORTED: Values = {**ERROR, "answer": "aborted", "packets": 4}
REDIRECTED: Values = {**ERROR, "answer": "redirect", "error": "ENXIO", "to": "eth1", "packets": 5}


@pytest.mark.parametrize(
    ("program", "lost", "behind"),
    [
        ({"seen": "runs"}, 4 + 5, None),  # its verdicts are not known
        ({"seen": "driver", "drop": 6, "redirect": 10}, 6 + 5, 100 - 6 - 5 - 10),  # those it sent
        ({"seen": "fexit", "drop": 2, "aborted": 4, "redirect": 15}, 6 + 5, 100 - 6 - 15),
    ],
)
def test_what_xdp_could_not_send_on_is_lost_and_what_it_aborted_is_counted_once(
    program: Values, lost: int, behind: int | None
) -> None:
    sitting: Values = {"ifindex": 2, "interface": "eth0", "program_id": 3, "program": "p"}
    unknown = {} if "drop" in program else dict.fromkeys(("drop", "aborted", "tx", "redirect"))
    told: Told = {
        "interfaces": _link(rx_packets=100, xdp_mode="native"),
        "drops": [],
        "xdp-programs": [{**sitting, **unknown, **program}],
        "xdp-errors": [ABORTED, REDIRECTED],
    }
    stages = {s.name: s for s in _stages(told)}
    assert _lost(told) == {"xdp": lost}
    came = None if behind is None else Flow(behind, behind / 2)
    assert stages["tc-ingress"].came == came
    assert "p#3: redirect to eth1: ENXIO" in [c.why for c in stages["xdp"].causes]


def test_what_nobody_counts_is_null_and_not_zero() -> None:
    """A program in a driver, whose verdicts no rung tells; what a map of CPUs gives back."""
    sitting: Values = {"ifindex": 2, "interface": "eth0", "program_id": 3, "program": "p"}
    verdicts = dict.fromkeys(("aborted", "drop", "pass", "tx", "redirect"))
    told: Told = {
        "interfaces": _link(rx_packets=100, xdp_mode="native"),
        "drops": [],
        "xdp-programs": [{**sitting, **verdicts}],
    }
    stages = {s.name: s for s in _stages(told)}
    assert stages["xdp"].lost is stages["tc-ingress"].came is stages["stack"].came is None
    for to_cpus, behind in ((1, None), (0, Flow(60, 30.0))):
        told["xdp-programs"] = [{**sitting, "redirect": 40, "to_cpus": to_cpus}]
        stages = {s.name: s for s in _stages(told)}
        assert stages["tc-ingress"].came == stages["stack"].came == behind


def test_skbs_are_the_unit_and_segments_stand_beside() -> None:
    """A physical device counts frames, which GRO joins before TC and of which TSO makes one."""
    seen: Values = {"ifindex": 2, "interface": "eth0", "packets": 2000, "skbs": 80}
    told: Told = {
        "interfaces": _link(rx_packets=2000, tx_packets=900, frames=1, whole=1, joins=1),
        "drops": [_drop(5, "TC_INGRESS")],
    }
    stages = {s.name: s for s in _stages(told)}
    none = ("tc-ingress", "stack", "tc-egress", "qdisc", "wire")
    assert [stages[n].came for n in none] == [None] * 5
    assert stages["nic"].came == stages["nic"].segments == Flow(2000, 1000.0)
    assert stages["wire"].segments == Flow(900, 450.0)
    told |= {"tc-ingress": [seen], "tc-egress": [seen]}
    program: Values = {"ifindex": 2, "interface": "eth0", "program_id": 3, "program": "p"}
    told["tc-programs"] = [{**program, "direction": "ingress", "drop": 100, "drop_skbs": 5}]
    stages = {s.name: s for s in _stages(told)}
    assert stages["tc-ingress"].came == Flow(80, 40.0)
    assert stages["tc-ingress"].segments == Flow(2000, 1000.0)
    assert stages["tc-ingress"].lost == Flow(5, 2.5)
    assert stages["stack"].came == Flow(75, 37.5)
    assert stages["qdisc"].came == Flow(80, 40.0)
    told["tc-programs"] = []
    rule = {"tc-ingress": [Cause("rule udp", Flow(100, 50.0))]}
    assert _lost(told, rule) == {"tc-ingress": 5}, "a rule counts segments"


def test_in_generic_mode_the_kernel_frees_what_could_not_be_sent_on() -> None:
    told: Told = {
        "interfaces": _link(rx_packets=100, xdp_mode="generic"),
        "drops": [_drop(9, "XDP")],
        "xdp-errors": [ABORTED, REDIRECTED],
    }
    assert _lost(told) == {"xdp": 9}


def test_a_queue_s_drops_are_the_root_s_or_those_that_were_freed_whichever_are_more() -> None:
    def queues(root: int) -> list[Values]:
        queue: Values = {"ifindex": 2, "interface": "eth0", "kind": "tbf"}
        return [
            {**queue, "handle": "1:", "parent": "root", "dropped": root},
            {**queue, "handle": "11:", "parent": "1:1", "dropped": root},
            {**queue, "handle": "ffff:", "parent": "ingress", "dropped": 99},
        ]

    link = _link(tx_packets=5, tx_dropped=1)
    counted: Told = {"interfaces": link, "drops": [_drop(6, "QDISC_DROP")], "qdiscs": queues(6)}
    assert _lost(counted) == {"qdisc": 6, "wire": 1}
    silent: Told = {"interfaces": link, "drops": [_drop(6, "QDISC_DROP")], "qdiscs": queues(0)}
    assert _lost(silent) == {"qdisc": 6, "wire": 1}
    stages = {s.name: s for s in _stages(silent)}
    assert [(n, stages[n].came) for n in ("tc-egress", "qdisc", "wire")] == [
        ("tc-egress", Flow(12, 6.0)),
        ("qdisc", Flow(12, 6.0)),
        ("wire", Flow(6, 3.0)),
    ]


def test_without_reasons_counters_tell_what_the_place_does_not() -> None:
    told: Told = {
        "interfaces": _link(rx_packets=50, rx_dropped=4, tx_dropped=2),
        "drops": [
            _drop(10, "-", "__netif_receive_skb_core+0x7"),
            _drop(9, "-", "kfree_skb_list+0x1d"),
            _drop(3, "-", "udp_queue_rcv_one_skb+0x1"),
            _drop(2, "-", "ip_rcv_finish.part.0+0x1"),
            _drop(1, "-", "somewhere+0x1"),
        ],
        "qdiscs": [
            {"ifindex": 2, "interface": "eth0", "handle": "1:", "parent": "root", "dropped": 5}
        ],
    }
    assert _lost(told) == {
        "stack": 4 + 2,
        "tc-ingress": 6,
        "qdisc": 5,
        "wire": 2,
        "socket": 3,
        UNTOLD: 2 + 1,
    }
    assert [s.name for s in _stages(told)][3:6] == ["stack", "socket", UNTOLD]


@pytest.mark.parametrize(
    ("reason", "place", "stage"),
    [
        ("XDP", "do_xdp_generic", "xdp"),
        ("NOT_SPECIFIED", "veth_xdp_rcv_skb", "xdp"),
        ("-", "veth_poll", "xdp"),
        ("TC_INGRESS", "__netif_receive_skb_core", "tc-ingress"),
        ("TC_CHAIN_NOTFOUND", "__netif_receive_skb_core", "tc-ingress"),
        ("TC_CHAIN_NOTFOUND", "__dev_queue_xmit", "tc-egress"),
        ("TCP_OLD_ACK", "tcp_validate_incoming", "socket"),
        ("SOCKET_RCVBUFF", "f", "socket"),
        ("NETFILTER_DROP", "nf_hook_slow", "stack"),
        ("SOMETHING_NEW", "f", "stack"),
        ("FQ_FLOW_LIMIT", "f", "qdisc"),
        ("FULL_RING", "tun_net_xmit", "wire"),
        ("INVALID_PROTO", "tun_get_user", "nic"),
        ("NOT_SPECIFIED", "__netif_receive_skb_core", "stack"),
        ("NOT_SPECIFIED", "ip_forward", "stack"),
        ("NOT_SPECIFIED", "f", UNTOLD),
        ("NOT_SPECIFIED", "kfree_skb_list_reason", ANYWHERE),
        ("-", "__netif_receive_skb_core", RECEIVING),
        ("-", "__dev_queue_xmit", "tc-egress"),
    ],
)
def test_the_stage_of_a_reason_at_a_place(reason: str, place: str, stage: str) -> None:
    assert stage_of(reason, place) == stage


def test_a_place_s_function_is_without_what_the_compiler_appends() -> None:
    assert function_of("ip_rcv_core.isra.0+0x1f") == function_of("ip_rcv_core+0x2") == "ip_rcv_core"


def test_counting_starts_anew_with_what_is_counted() -> None:
    """From the first sample of the same epoch; a row that came later counts whole."""
    hook = catalogue()["interfaces"]
    since: dict[HookId, Sample] = {}
    remember(since, [_sample("interfaces", _link(rx_packets=5), 1)])
    remember(since, [_sample("interfaces", _link(rx_packets=9), 2)])
    now = _sample("interfaces", _link(rx_packets=12), 3)
    told = {"interfaces": [Snapshot.between(hook, None, now)]}
    assert funnel(told, "eth0", since)[0].came == Flow(7, None)
    remember(since, [_sample("interfaces", _link(rx_packets=11), 2, epoch=2)])
    again = _sample("interfaces", _link(rx_packets=12), 3, epoch=2)
    told = {"interfaces": [Snapshot.between(hook, None, again)]}
    assert funnel(told, "eth0", since)[0].came == Flow(1, None)


@pytest.mark.parametrize(("ahead", "lost"), [(30, 0), (3000, 3000)])
def test_what_came_between_two_hooks_readings_is_nobody_s_loss(ahead: int, lost: int) -> None:
    """At 100,000 a second and 0.2 ms apart some tens are no more than that; thousands are."""
    name, drops = (catalogue()[hook] for hook in ("interfaces", "drops"))
    then = _sample("interfaces", _link(), 10), _sample("drops", [], 10.0002)
    now = (
        _sample("interfaces", _link(rx_dropped=200_000 + ahead), 12),
        _sample("drops", [_drop(200_000, "UNHANDLED_PROTO")], 12.0002),
    )
    told = {
        "interfaces": [Snapshot.between(name, then[0], now[0])],
        "drops": [Snapshot.between(drops, then[1], now[1])],
    }
    stages = {s.name: s for s in funnel(told, "eth0", {s.status.id: s for s in then})}
    assert stages["nic"].lost == Flow(lost, lost / 2)
    assert stages["stack"].lost is not None
    assert stages["stack"].lost.total == 200_000


def test_an_interface_of_another_namespace_has_a_funnel_of_what_was_dropped_there() -> None:
    other = "if7 (netns 4026532000)"
    told: Told = {"interfaces": _link(), "drops": [_drop(3, "NO_SOCKET", interface=other)]}
    snapshots = {
        name: [Snapshot.between(catalogue()[name], None, _sample(name, rows, 1))]
        for name, rows in told.items()
    }
    assert interfaces(snapshots) == ("eth0", other)
    stages = {s.name: s for s in funnel(snapshots, other)}
    assert stages["socket"].lost == Flow(3, None)
    assert stages["nic"].came is None
    assert stages["nic"].lost is None


@pytest.mark.parametrize(
    ("reason", "queues", "tx_dropped", "lost"),
    [
        ("QDISC_DROP", ["noqueue"], 6, {"wire": 6}),
        ("RECURSION_LIMIT", ["noqueue"], 6, {"wire": 6}),
        ("QDISC_DROP", ["pfifo"], 0, {"qdisc": 6}),
        ("QDISC_DROP", ["pfifo"], 2, {"qdisc": 6, "wire": 2}),
        ("QDISC_DROP", [], 6, {"wire": 6}),
        ("QDISC_DROP", [], 0, {"qdisc": 6}),
        ("-", ["noqueue"], 4, {"wire": 4, "tc-egress": 2}),
        ("TC_EGRESS", ["noqueue"], 0, {"tc-egress": 6}),
        ("TC_EGRESS", [], 6, {"tc-egress": 6, "wire": 6}),
    ],
)
def test_what_is_freed_where_packets_are_sent_is_lost_once(
    reason: str, queues: list[str], tx_dropped: int, lost: dict[str, int]
) -> None:
    """A queue's drop where there is a queue, else the device's, which its counter has as well."""
    told: Told = {
        "interfaces": _link(tx_packets=50, tx_dropped=tx_dropped),
        "drops": [_drop(6, reason, "__dev_queue_xmit+0xd01")],
        "qdiscs": [
            {"interface": "eth0", "kind": kind, "handle": "0:", "parent": "root", "dropped": 0}
            for kind in queues
        ],
    }
    assert _lost(told) == lost


@pytest.mark.parametrize(
    ("kind", "tx_dropped", "lost"),
    [("noqueue", 0, {"wire": 6}), ("noqueue", 6, {"wire": 6}), ("pfifo", 0, {"qdisc": 6})],
)
def test_where_whole_lists_are_freed_the_queue_s_kind_tells_whose_it_was(
    kind: str, tx_dropped: int, lost: dict[str, int]
) -> None:
    """Linux 6.1, without a carrier: no link counts it there."""
    told: Told = {
        "interfaces": _link(tx_packets=50, tx_dropped=tx_dropped),
        "drops": [_drop(6, "QDISC_DROP", "kfree_skb_list_reason+0x2e")],
        "qdiscs": [{"interface": "eth0", "kind": kind, "handle": "0:", "parent": "root"}],
    }
    assert _lost(told) == lost


def test_what_a_driver_frees_is_not_an_error_once_more() -> None:
    """A tunnel without a route counts tx_errors for what it frees."""
    told: Told = {
        "interfaces": _link(tx_packets=50, tx_dropped=2, tx_errors=7),
        "drops": [_drop(6, "IP_OUTNOROUTES", "ipip_tunnel_xmit+0x1")],
    }
    assert _lost(told) == {"wire": 6 + 3}
