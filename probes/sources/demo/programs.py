"""The demo's BPF programs as data: their owners, attach points, and the cost of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from probes.model import Value

DAY = 86_400_000_000_000


class Played(NamedTuple):
    """A program.

    follows: the interface and direction whose packets run it, "" for `rate` a second. rate: runs a
    second, outside and in the incident. maps: as the hook shows them. days: its age.
    """

    id: int
    type: str
    name: str
    attached_to: str
    held_by: str
    ns: float
    rate: tuple[float, float] = (0, 0)
    follows: str = ""
    maps: str = ""
    map_memory: int = 0
    instructions: int = 120
    days: float = 31
    uid: int = 0
    ours: str = ""
    missed: float = 0


_CILIUM = "cilium-agent(1290), pin /sys/fs/bpf/cilium/devices"
_CT = "cilium_ct4_globa#61 lru_hash 131072, cilium_events#58 perf_event_array 8"
_OURS = "ebpftop(30440)"
PROGRAMS = (
    Played(44, "cgroup_device", "sd_devices", "cgroup_device /system.slice/systemd-udevd.service",
           "", 38, (0.3, 0.3), instructions=43),
    Played(51, "cgroup_skb", "sd_fw_egress", "cgroup_inet_egress /system.slice/nginx.service",
           "systemd(1)", 64, (3100, 3100), maps="-#12 lpm_trie 3", map_memory=4096,
           instructions=21),
    Played(52, "cgroup_skb", "sd_fw_ingress", "cgroup_inet_ingress /system.slice/nginx.service",
           "systemd(1)", 61, (2900, 2900), maps="-#12 lpm_trie 3", map_memory=4096,
           instructions=21),
    Played(205, "sched_cls", "cil_from_netdev", "tcx/ingress eth0", _CILIUM, 512,
           follows="eth0 rx", maps=_CT, map_memory=15_728_640, instructions=3871, days=12),
    Played(206, "sched_cls", "cil_to_netdev", "tcx/egress eth0", _CILIUM, 344,
           follows="eth0 tx", maps=_CT, map_memory=15_728_640, instructions=2904, days=12),
    Played(208, "sched_cls", "cil_from_container", "tcx/ingress veth3f2a1c", _CILIUM, 605,
           follows="veth3f2a1c rx", maps=_CT, map_memory=15_728_640, instructions=4410, days=12),
    Played(230, "cgroup_sock_addr", "cil_sock4_connect", "cgroup_inet4_connect /", _CILIUM, 290,
           (52, 52), maps="cilium_lb4_servi#66 hash 65536", map_memory=6_291_456,
           instructions=611, days=12),
    Played(301, "tracing", "handle_sched_switch", "raw_tracepoint sched_switch",
           "node_exporter(802)", 210, (11800, 11800), maps="latency#80 percpu_hash 1024",
           map_memory=172_032, instructions=88, days=5),
    Played(388, "xdp", "count_all", "xdp veth90b7de generic", "", 71, follows="veth90b7de rx",
           maps="seen#91 percpu_array 1", map_memory=4096, instructions=14, days=3),
    Played(412, "xdp", "xdp_filter", "xdp eth1 native", "filterd(1502), pin /sys/fs/bpf/filter",
           188, follows="eth1 rx", maps="denied#104 lpm_trie 65536, hits#105 percpu_hash 4096",
           map_memory=2_396_160, instructions=402, days=1.4),
    Played(431, "sched_cls", "tag_tenant", "tcx/ingress eth1", "tenantd(1533)", 143,
           follows="eth1 behind", maps="tenants#110 hash 8192", map_memory=786_432,
           instructions=190, days=1.4),
    Played(433, "sched_cls", "police_syslog", "tc ingress eth1 prio 1", "", 97,
           follows="eth1 behind", maps="buckets#112 array 256", map_memory=8192,
           instructions=77, days=1.4),
    Played(702, "kprobe", "vfs_read", "kprobe vfs_read", "bpftrace(29877)", 1630, (21000, 68000),
           maps="AT_#201 percpu_hash 4096, stacks#202 stack_trace 131072",
           map_memory=136_314_880, instructions=164, days=0.06, missed=3),
    Played(720, "tracing", "ebpftop_enter", "raw_tracepoint sys_enter", _OURS, 81, (15500, 15500),
           maps="rows#220 percpu_array 512, begun#221 lru_hash 16384", map_memory=3_014_656,
           instructions=70, days=0.001, ours="yes"),
    Played(721, "tracing", "ebpftop_leave", "raw_tracepoint sys_exit", _OURS, 107, (15500, 15500),
           maps="rows#220 percpu_array 512, begun#221 lru_hash 16384", map_memory=3_014_656,
           instructions=122, days=0.001, ours="yes"),
    Played(724, "tracing", "ebpftop_dropped", "raw_tracepoint kfree_skb", _OURS, 840, (40, 1400),
           maps="rows#226 lru_percpu_hash 4096", map_memory=1_622_016, instructions=611,
           days=0.001, ours="yes"),
    Played(727, "sock_ops", "ebpftop_watch", "cgroup_sock_ops /", _OURS, 310, (420, 420),
           maps="rows#230 lru_hash 16384", map_memory=5_767_168, instructions=340, days=0.001,
           ours="yes"),
)  # fmt: skip


def held_by(id: int) -> str:
    """Return who holds a program; "": nobody."""
    return next((p.held_by for p in PROGRAMS if p.id == id), "")


def rows(
    runs: Mapping[int, float], missed: Mapping[int, float], seconds: float
) -> Iterator[dict[str, Value]]:
    """Return the rows.

    Runs and missed: since the programs are watched, by id; seconds: for how long.
    """
    for p in PROGRAMS:
        before = int(p.days * 40_000_000) if p.ours == "" else 0
        yield {
            "id": p.id,
            "type": p.type,
            "name": p.name,
            "tag": f"{p.id * 0x9E3779B97F4A7C15:016x}"[-16:],
            "uid": p.uid,
            "age": int(p.days * DAY + seconds * 1e9),
            "attached_to": p.attached_to,
            "held_by": p.held_by,
            "ours": p.ours,
            "maps": p.maps,
            "map_memory": p.map_memory,
            "memory": 4096 * (1 + p.instructions // 400),
            "jited": p.instructions * 5,
            "instructions": p.instructions,
            "runs": before + int(runs[p.id]),
            "missed": int(missed[p.id]),
            "run_ns": int(runs[p.id] * p.ns),
            "watched_runs": int(runs[p.id]),
            "watched_ns": int(seconds * 1e9),
        }
