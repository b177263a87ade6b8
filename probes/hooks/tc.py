"""TC ingress and egress: one counting program for both directions.

It lets every packet go on to the next program of the chain (TCX_NEXT, TC_ACT_UNSPEC), and runs
first, so that it also counts what another program then drops.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from probes.kernel.netlink import route
from probes.toolkit import (
    CONTAINER,
    NETNS,
    Clsact,
    Hook,
    Opening,
    Program,
    Reading,
    Rung,
    TargetKind,
    TcxLink,
    Value,
    byte_count,
    cached,
    interface_name,
    of_interface,
    packet_count,
    row_from,
    target,
)

# A packet that stands for several (GSO) counts as those, as in `tc -s`; in `skbs` it counts once.
SOURCE = """
struct slot { u64 packets, bytes, skbs; };
BPF_TABLE("percpu_hash", u32, struct slot, rows, 1024);

int DIRECTION(struct __sk_buff *skb) {
    u32 ifindex = skb->ifindex, segments = skb->gso_segs;
    struct slot zero = {}, *slot = rows.lookup_or_try_init(&ifindex, &zero);
    if (!slot)
        return -1;
    slot->packets += segments ? segments : 1;
    slot->bytes += skb->len;
    slot->skbs++;
    return -1;
}
"""
_COLUMNS = (
    *target(),
    packet_count("packets", "Packets", "seen at TC"),
    packet_count("skbs", "Skbs", "the same packets, as joined by GSO or GRO"),
    byte_count("bytes", "Bytes", "size of these packets"),
    packet_count("dropped", "Dropped", "dropped by the qdisc (netlink)", field=None),
    CONTAINER,
    NETNS,
)


def _hook(direction: str, order: int) -> Hook:
    """Return the hook for "ingress" or "egress"."""
    source = SOURCE.replace("DIRECTION", direction)
    drops = _drops(direction)
    return Hook(
        name=f"tc-{direction}",
        title=f"TC {direction}",
        question=f"How many packets and bytes pass TC {direction}, and what the qdisc drops.",
        columns=_COLUMNS,
        ladder=(
            Rung(
                "tcx",
                "Linux 6.6, CAP_BPF, CAP_NET_ADMIN",
                of_interface(drops),
                source=source,
                programs=(Program(direction, TcxLink(direction)),),
            ),
            Rung(
                "clsact",
                "Linux 5.1, CAP_BPF, CAP_NET_ADMIN",
                of_interface(drops),
                source=source,
                programs=(Program(direction, Clsact(direction)),),
                lasting=True,
            ),
            Rung("netlink", "nothing", _from_netlink(direction), from_zero=False),
        ),
        order=order,
        reads_with=(),
        target=TargetKind.INTERFACE,
    )


def _drops(direction: str) -> Callable[[Opening], Mapping[str, Value]]:
    def extra(opening: Opening) -> Mapping[str, Value]:
        return {"dropped": _qdisc(opening.ifindex, direction)[2]}

    return extra


def _qdisc(ifindex: int, direction: str) -> tuple[int | None, int | None, int | None]:
    """Return (packets, bytes, drops) as the interface's qdisc counts them; None where it has none.

    Egress: the root qdisc. Ingress: the clsact or ingress qdisc, whose own counters are those of
    packets its filters saw.
    """
    parent = route.CLSACT if direction == "ingress" else route.ROOT
    qdisc = cached(_counting).get((ifindex, parent))
    return (None, None, None) if qdisc is None else (qdisc.packets, qdisc.bytes, qdisc.drops)


def _counting() -> dict[tuple[int, int], route.Qdisc]:
    """Return qdiscs by interface and parent, but no noqueue.

    It counts nothing: its zeros mean nothing.
    """
    return {(q.ifindex, q.parent): q for q in cached(route.qdiscs) if q.kind != "noqueue"}


def _from_netlink(direction: str) -> Callable[[Opening], Callable[[], Reading]]:
    def open(opening: Opening) -> Callable[[], Reading]:
        def read() -> Reading:
            packets, octets, drops = _qdisc(opening.ifindex, direction)
            known: dict[str, Value] = {
                "ifindex": opening.ifindex,
                "interface": interface_name(opening.ifindex),
                "packets": packets,
                "skbs": None,
                "bytes": octets,
                "dropped": drops,
            }
            return Reading([row_from(opening.hook.stored, known)])

        return read

    return open


HOOKS = (_hook("ingress", order=30), _hook("egress", order=40))
