"""Queueing disciplines: what each queue of each interface sent, dropped and holds. No privilege."""

from __future__ import annotations

from collections.abc import Callable

from probes.kernel.netlink import route
from probes.toolkit import (
    CONTAINER,
    MADE,
    NETNS,
    Gone,
    Hook,
    Opening,
    Reading,
    Row,
    Rung,
    Unit,
    Value,
    byte_count,
    counter,
    given,
    interface,
    interface_name,
    key,
    level,
    packet_count,
    row_from,
)
from probes.toolkit.links import Made

_SPECIAL = {route.ROOT: "root", route.CLSACT: "ingress"}


def _number(handle: int) -> str:
    """Return a handle as tc writes it: major:minor, in hexadecimal; major: for a qdisc itself."""
    minor = handle & 0xFFFF
    return f"{handle >> 16:x}:{minor:x}" if minor else f"{handle >> 16:x}:"


def _open(opening: Opening) -> Callable[[], Reading]:
    made = Made(opening)

    def rows() -> list[Row]:
        found = made.asked(route.qdiscs)
        return [row for qdisc in found if (row := _row(opening, qdisc, made)) is not None]

    return lambda: Reading(rows())


def _row(opening: Opening, qdisc: route.Qdisc, made: Made) -> Row | None:
    try:
        name = interface_name(qdisc.ifindex)
    except Gone:
        return None  # since the list was made
    known: dict[str, Value] = {
        "ifindex": qdisc.ifindex,
        "made": made.of(qdisc.ifindex),
        "interface": name,
        "kind": qdisc.kind,
        "handle": _number(qdisc.handle),
        "parent": _SPECIAL.get(qdisc.parent) or _number(qdisc.parent),
    }
    if qdisc.kind != "noqueue":  # it counts nothing: its zeros are no numbers
        known |= {
            "packets": qdisc.packets,
            "bytes": qdisc.bytes,
            "dropped": qdisc.drops,
            "overlimits": qdisc.overlimits,
            "requeues": qdisc.requeues,
            "backlog": qdisc.backlog,
            "queued": qdisc.queued,
        }
    return row_from(opening.hook.stored, known)


HOOK = Hook(
    name="qdiscs",
    title="Queues",
    question=(
        "Which queue of which interface drops packets, is over its limit or holds packets back."
    ),
    columns=given(
        *interface(),
        level("kind", "Kind", "queueing discipline: fq_codel, mq, clsact, ...", label=True),
        key("handle", "Handle", "as tc shows it", width=7),
        key("parent", "Parent", "root, ingress, or a class"),
        packet_count("packets", "Packets", "packets sent; for clsact: seen by its filters"),
        byte_count("bytes", "Bytes", "size of these packets"),
        packet_count("dropped", "Dropped", "dropped here and in the queues below"),
        counter("overlimits", "Overlimits", "times that a packet had to be held back"),
        counter("requeues", "Requeues", "times that the device was busy"),
        level("backlog", "Backlog", "bytes in the queue now", Unit.BYTES),
        level("queued", "Queued", "packets in the queue now", Unit.PACKETS),
        MADE,
        CONTAINER,
        NETNS,
    ),
    ladder=(Rung("netlink", "nothing", _open, from_zero=False),),
    order=45,
    reads_with=(),
)
