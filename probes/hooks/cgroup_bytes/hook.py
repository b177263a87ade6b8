"""Bytes by cgroup: what the sockets of each cgroup and process send and receive.

Counted where the kernel asks cgroups whether a packet may pass; it looks on and says yes. Sizes
are those from the IP header on; a large packet that a device cuts into segments later has one.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from probes.attach.cgroup import CgroupAttach, CgroupLink
from probes.errors import ProbeError
from probes.kernel import cgroups
from probes.kernel.netlink.sock_diag import tcp_sockets, udp_sockets
from probes.kernel.procfs import SocketOwners
from probes.model import Column, Flat, Hook, Kind, Opening, Program, Reading, Row, Rung, Table
from probes.point import AttachType
from probes.toolkit import columns
from probes.toolkit.counters_c import everything
from probes.toolkit.decode import comm
from probes.toolkit.others import Others
from probes.toolkit.readers import filled, row_of
from probes.toolkit.who_c import WHO_AT_CGROUP
from probes.units import DASH, Unit

# A socket's owner is who makes it. What accept() makes has none at first: it is looked up.
_SOURCE = (
    WHO_AT_CGROUP
    + """
struct who { u64 cgroup; u32 pid, unused; char comm[16]; };
struct slot { u64 tx_packets, tx_bytes, rx_packets, rx_bytes; };
struct owner { u32 pid; char comm[16]; };
BPF_TABLE("lru_percpu_hash", struct who, struct slot, rows, 4096);
"""
    + everything()
    + """
BPF_TABLE("lru_hash", u64, struct owner, owners, 16384);
BPF_TABLE("lru_hash", u64, u32, strangers, 1024);

int created(struct bpf_sock *ctx) {
    struct owner owner = {.pid = this_pid()};
    u64 cookie = SOCKET_COOKIE(ctx);
    this_name(owner.comm);
    owners.update(&cookie, &owner);
    return 1;
}

static inline struct slot *slot_of(struct __sk_buff *ctx) {
    u64 cookie = SOCKET_COOKIE(ctx);
    struct owner *owner = owners.lookup(&cookie);
    struct who who = {.cgroup = ((u64 (*)(void *))BPF_FUNC_skb_cgroup_id)(ctx)};
    struct slot none = {};
    u32 one = 1;
    if (owner) {
        who.pid = owner->pid;
        __builtin_memcpy(who.comm, owner->comm, 16);
    } else {
        strangers.update(&cookie, &one);
    }
    return rows.lookup_or_try_init(&who, &none);
}

int egress(struct __sk_buff *ctx) {
    struct slot *slot = slot_of(ctx), *all = sum_of_all();
    u64 packets = ctx->gso_segs ? ctx->gso_segs : 1, bytes = ctx->len;
    /* What a task sends is interrupted by what softirqs send and receive. */
    TALLY(slot, all, tx_packets, packets);
    TALLY(slot, all, tx_bytes, bytes);
    return 1;
}

int ingress(struct __sk_buff *ctx) {
    struct slot *slot = slot_of(ctx), *all = sum_of_all();
    u64 packets = ctx->gso_segs ? ctx->gso_segs : 1, bytes = ctx->len;
    TALLY(slot, all, rx_packets, packets);
    TALLY(slot, all, rx_bytes, bytes);
    return 1;
}
"""
)


def _open(opening: Opening) -> Callable[[], Reading]:
    table, columns = opening.tables["rows"], opening.hook.stored
    owners, strangers = opening.tables["owners"], opening.tables["strangers"]
    row, paths, held = row_of(columns, table), cgroups.Paths(), SocketOwners()
    others = Others(opening)

    def of(entry: Flat) -> Row:
        return filled(columns, row(entry), {"cgroup": paths.of(int(entry[0]))})

    def read() -> Reading:
        _introduce(held, owners, strangers)
        others.before()
        return Reading(others.rows(table.rows(), of))

    return read


def _introduce(held: SocketOwners, owners: Table, strangers: Table) -> None:
    """Tells the programs who holds the sockets of this network namespace that they do not know."""
    unknown = {int(entry[0]) for entry in strangers.rows()}
    if not unknown:
        return
    try:
        sockets = {s.cookie: s.inode for s in (*tcp_sockets(), *udp_sockets())}
    except ProbeError:
        return  # a kernel without sock_diag: they stay unknown
    whose = held.find({sockets[cookie] for cookie in unknown & sockets.keys()})
    for cookie in unknown & sockets.keys():
        if (owner := whose.get(sockets[cookie])) is not None:
            owners.update((cookie,), (owner.pid, os.fsencode(owner.comm)[:15]))
            strangers.delete((cookie,))


def _pid(number: object) -> int | None:
    assert isinstance(number, int)
    return number or None


def _count(name: str, title: str, unit: Unit, help: str) -> Column:
    return Column(name, title, unit, Kind.COUNTER, name, help=help)


def _rung(name: str, point: type[CgroupLink] | type[CgroupAttach]) -> Rung:
    return Rung(
        name,
        "Linux 5.8, cgroup v2, CAP_BPF, CAP_NET_ADMIN; for processes CAP_PERFMON",
        _open,
        source=_SOURCE,
        programs=(
            Program(
                "created",
                point(AttachType.CGROUP_INET_SOCK_CREATE),
                True,
                "a socket's process is known only after a while",
            ),
            Program("egress", point(AttachType.CGROUP_INET_EGRESS)),
            Program("ingress", point(AttachType.CGROUP_INET_INGRESS)),
        ),
        lasting=point is CgroupAttach,
    )


HOOK = Hook(
    name="cgroup-bytes",
    title="Cgroup bytes",
    answers="How much the sockets of each cgroup and process send and receive.",
    columns=(
        *columns.cgroup(),
        Column(
            "pid",
            "Pid",
            Unit.NUMBER,
            Kind.KEY,
            "pid",
            decode=_pid,
            width=7,
            help="who made or holds the socket; none: not known (yet), or nobody",
        ),
        Column(
            "comm",
            "Command",
            kind=Kind.KEY,
            field="comm",
            decode=lambda raw: comm(raw) or DASH,
            width=16,
            help="its name",
        ),
        _count("tx_packets", "TX packets", Unit.PACKETS, "sent"),
        _count("tx_bytes", "TX bytes", Unit.BYTES, "of them, from the IP header on"),
        _count("rx_packets", "RX packets", Unit.PACKETS, "received"),
        _count("rx_bytes", "RX bytes", Unit.BYTES, "of them, from the IP header on"),
    ),
    ladder=(_rung("cgroup-link", CgroupLink), _rung("cgroup-multi", CgroupAttach)),
    order=110,
    on_demand=True,
)
