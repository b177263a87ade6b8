"""Drops: every packet that the kernel frees as dropped, by interface, reason, place and kind."""

from __future__ import annotations

from collections.abc import Callable

from probes.analysis import classes
from probes.attach.tracepoint import BtfTracepoint, RawTracepoint, Tracepoint
from probes.errors import Unsupported
from probes.hooks.drops import reasons as drop_reasons
from probes.hooks.drops import source as drop_source
from probes.hooks.drops.readers import from_counters, open_traced
from probes.kernel import privilege
from probes.model import Column, Hook, Kind, Program, Rung
from probes.point import Point
from probes.toolkit import columns
from probes.units import Unit


def _reasons() -> Unsupported | None:
    """Return the refusal of a kernel that gives no reasons.

    None if it does, or if that is not known.
    """
    if drop_reasons.told() is not False:
        return None
    return Unsupported("drop reasons came with Linux 5.17: this kernel gives none")


def _rung(
    name: str,
    least: str,
    source: str | Callable[[str], str],
    point: Point,
    *,
    reasons: bool = True,
) -> Rung:
    return Rung(
        name,
        least,
        open_traced(reasons=reasons),
        source=source,
        types=drop_source.TYPES,
        programs=(Program("dropped", point),),
        precheck=_reasons if reasons else None,
        samples=True,
    )


_BTF, _TRACE = BtfTracepoint("kfree_skb"), Tracepoint("skb", "kfree_skb")
_LOADS = "CAP_BPF, CAP_PERFMON"

HOOK = Hook(
    name="drops",
    title="Drops",
    question="Which packets the kernel itself drops: on which interface, why and where.",
    columns=(
        Column(
            "interface",
            "Interface",
            kind=Kind.KEY,
            stays=False,
            width=15,
            help="interface the packet was at, or -",
        ),
        Column(
            "reason", "Reason", kind=Kind.KEY, width=24, help="enum skb_drop_reason, or in words"
        ),
        Column(
            "location",
            "Location",
            kind=Kind.KEY,
            width=28,
            help="kernel symbol+offset, or nstat's counter",
        ),
        Column("packets", "Packets", Unit.PACKETS, Kind.COUNTER, "packets", help="packets dropped"),
        Column(
            "protocol",
            "Protocol",
            kind=Kind.KEY,
            width=8,
            help="IP protocol, or the EtherType, or -",
        ),
        Column(
            "dport",
            "Port",
            Unit.NUMBER,
            Kind.KEY,
            width=5,
            help=(
                f"destination port; none: unreadable, or more than {drop_source.MAP_ENTRIES} rows"
            ),
        ),
        Column(
            "trait",
            "Trait",
            kind=Kind.KEY,
            hidden=True,
            help=(
                "closed: the socket was closed; rst, syn: TCP flags; group: to a group or all; or -"
            ),
        ),
        Column(
            "class",
            "Class",
            kind=Kind.DERIVED,
            derive=classes.class_of,
            label=True,
            width=8,
            help=(
                "harm, refusal (a rule, a closed port), or ordinary (the packet had served its "
                "purpose)"
            ),
        ),
        Column(
            "comm",
            "Command",
            width=16,
            label=False,
            help="process that holds the socket, if there is only one",
        ),
        Column("pid", "Pid", Unit.NUMBER, width=7, label=False, help="id of that process"),
        Column(
            "counts",
            "Counts",
            width=7,
            label=True,
            help="packets; again: counted in other rows as well; events: no packets",
        ),
        Column(
            "netns",
            "NetNS",
            Unit.NUMBER,
            Kind.KEY,
            width=10,
            help="inode of another network namespace; 0: not known which",
        ),
        columns.INDEX,
        Column(
            "device",
            "Device",
            Unit.NUMBER,
            Kind.KEY,
            hidden=True,
            label=False,
            help="tells a device from a later one with the same number; 0: not known",
        ),
        Column(
            "meaning",
            "Meaning",
            kind=Kind.DERIVED,
            derive=classes.sentence_of,
            label=False,
            width=40,
            help="meaning of the reason, in a sentence",
        ),
    ),
    ladder=(
        _rung("btf-tracepoint", f"Linux 5.17, BTF, {_LOADS}", drop_source.typed, _BTF),
        _rung(
            "raw-tracepoint",
            f"Linux 5.17, {_LOADS}",
            drop_source.raw(),
            RawTracepoint("kfree_skb"),
        ),
        _rung("tracepoint", f"Linux 5.17, tracefs, {_LOADS}", drop_source.tracefs(), _TRACE),
        _rung(
            "btf-tracepoint-no-reason",
            f"Linux 5.5, BTF, {_LOADS}",
            drop_source.typed_without_reason,
            _BTF,
            reasons=False,
        ),
        _rung(
            "tracepoint-no-reason",
            f"Linux 5.5, tracefs, {_LOADS}",
            drop_source.tracefs(reasons=False),
            _TRACE,
            reasons=False,
        ),
        Rung("counters", "nothing", from_counters, from_zero=False),
    ),
    order=50,
    reads_with=(privilege.SYSLOG, *privilege.PROCESSES),
)
