"""XDP: a counting program of our own on one interface. Attached only when the user asks.

It passes every packet. A native attach can reset the NIC for a moment, so the user has to ask.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from probes.kernel import bpf
from probes.kernel.netlink import route
from probes.point import Point
from probes.toolkit import (
    CONTAINER,
    NETNS,
    Gone,
    Hook,
    Opening,
    Program,
    Reach,
    Reading,
    Rung,
    TargetKind,
    Unit,
    Value,
    XdpLink,
    XdpNetlink,
    byte_count,
    level,
    of_interface,
    row_from,
    target,
    verdicts,
)

# The length is that of the linear part; a packet in several buffers never reaches a program that
# does not declare frags (Linux 5.18), as this one does not.
SOURCE = """
struct slot {
    u64 aborted, drop, pass, tx, redirect;
    u64 aborted_bytes, drop_bytes, pass_bytes, tx_bytes, redirect_bytes, bytes;
};
BPF_TABLE("percpu_hash", u32, struct slot, rows, 1024);

int count(struct xdp_md *ctx) {
    u32 ifindex = ctx->ingress_ifindex;
    u64 length = (long)ctx->data_end - (long)ctx->data;
    struct slot zero = {}, *slot = rows.lookup_or_try_init(&ifindex, &zero);
    if (!slot)
        return XDP_PASS;
    slot->pass++;
    slot->pass_bytes += length;
    slot->bytes += length;
    return XDP_PASS;
}
"""


def _ours(opening: Opening) -> Mapping[str, Value]:
    id = opening.program_ids[0]
    return {"program": bpf.prog_name(id) or "ebpftop_count", "program_id": id}


def _rung(name: str, least: str, point: Point, *, lasting: bool = False) -> Rung:
    return Rung(
        name,
        least,
        of_interface(_ours),
        source=SOURCE,
        programs=(Program("count", point),),
        lasting=lasting,
    )


def _from_netlink(opening: Opening) -> Callable[[], Reading]:
    """Read the attached program's name and the link's bytes; there are no verdicts."""

    def read() -> Reading:
        link = route.link(opening.ifindex)
        if link is None:
            raise Gone("the interface has gone")
        id = link.xdp_programs[0][1] if link.xdp_programs else None
        known: dict[str, Value] = {
            "ifindex": link.ifindex,
            "interface": link.name,
            "program": bpf.prog_name(id) if id else None,
            "program_id": id,
            "bytes": link.rx_bytes,
        }
        return Reading([row_from(opening.hook.stored, known)])

    return read


# Without CAP_PERFMON the verifier lets no program subtract pointers: no length.
_LOADS = "CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN"

HOOK = Hook(
    name="xdp",
    title="XDP",
    question="How many packets and bytes XDP passes, drops, sends back or redirects.",
    columns=(
        *target(),
        level("program", "Program", "the XDP program that is counted", field=None, width=16),
        level("program_id", "Id", "its id, as bpftool shows it", Unit.NUMBER, field=None, width=6),
        *verdicts(),
        byte_count("bytes", "Bytes", "size of all packets"),
        CONTAINER,
        NETNS,
    ),
    ladder=(
        _rung("link-native", f"Linux 5.9, a driver with XDP, {_LOADS}", XdpLink("native")),
        _rung("link-generic", f"Linux 5.9, {_LOADS}", XdpLink("generic")),
        _rung(
            "netlink-native",
            f"Linux 4.8, a driver with XDP, {_LOADS}, root",
            XdpNetlink("native"),
            lasting=True,
        ),
        _rung(
            "netlink-generic", f"Linux 4.12, {_LOADS}, root", XdpNetlink("generic"), lasting=True
        ),
        Rung("netlink", "nothing", _from_netlink, from_zero=False),
    ),
    order=20,
    target=TargetKind.INTERFACE,
    reach=Reach.DATA_PATH,
    risk="may reset the link",
)
