"""Queueing disciplines: what each queue of each interface sent, dropped and holds. No privilege."""

from __future__ import annotations

from collections.abc import Callable

from probes.errors import Gone
from probes.kernel.netlink import route
from probes.model import Column, Hook, Kind, Opening, Reading, Row, Rung, Value
from probes.toolkit import columns
from probes.toolkit.interface_names import interface_name
from probes.toolkit.links import MADE, Made
from probes.toolkit.readers import row_from
from probes.units import Unit

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


def _counter(name: str, title: str, unit: Unit, help: str) -> Column:
    return Column(name, title, unit, Kind.COUNTER, help=help)


HOOK = Hook(
    name="qdiscs",
    title="Queues",
    question=(
        "Which queue of which interface drops packets, is over its limit or holds packets back."
    ),
    columns=(
        *columns.interface(),
        Column(
            "kind",
            "Kind",
            width=8,
            label=True,
            help="queueing discipline: fq_codel, mq, clsact, ...",
        ),
        Column("handle", "Handle", kind=Kind.KEY, width=7, help="as tc shows it"),
        Column("parent", "Parent", kind=Kind.KEY, width=8, help="root, ingress, or a class"),
        _counter(
            "packets", "Packets", Unit.PACKETS, ("packets sent; for clsact: seen by its filters")
        ),
        _counter("bytes", "Bytes", Unit.BYTES, "size of these packets"),
        _counter("dropped", "Dropped", Unit.PACKETS, "dropped here and in the queues below"),
        _counter("overlimits", "Overlimits", Unit.COUNT, "times that a packet had to be held back"),
        _counter("requeues", "Requeues", Unit.COUNT, "times that the device was busy"),
        Column("backlog", "Backlog", Unit.BYTES, help="bytes in the queue now"),
        Column("queued", "Queued", Unit.PACKETS, help="packets in the queue now"),
        MADE,
    ),
    ladder=(Rung("netlink", "nothing", _open, from_zero=False),),
    order=45,
    reads_with=(),
)
