"""Drops: every packet the kernel frees as dropped, by interface, reason, place and kind."""

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
    """The refusal of a kernel that does not say why it drops; None also where nobody can tell."""
    if drop_reasons.told() is not False:
        return None
    return Unsupported("reasons for drops came with Linux 5.17: this kernel gives none")


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
        requires=_reasons if reasons else None,
        samples=True,
    )


_BTF, _TRACE = BtfTracepoint("kfree_skb"), Tracepoint("skb", "kfree_skb")
_LOADS = "CAP_BPF, CAP_PERFMON"

HOOK = Hook(
    name="drops",
    title="Drops",
    answers="Which packets the kernel itself drops: on which interface, why and where.",
    columns=(
        Column(
            "interface",
            "Interface",
            kind=Kind.KEY,
            stays=False,
            width=15,
            help="where the packet was, or -",
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
        Column("packets", "Packets", Unit.PACKETS, Kind.COUNTER, "packets", help="dropped"),
        Column(
            "protocol",
            "Protocol",
            kind=Kind.KEY,
            width=8,
            help="what of IP, or the EtherType, or -",
        ),
        Column(
            "dport",
            "Port",
            Unit.NUMBER,
            Kind.KEY,
            width=5,
            help=f"destination port; none: not to be read, or over {drop_source.MAP_ENTRIES} rows",
        ),
        Column(
            "trait",
            "Trait",
            kind=Kind.KEY,
            hidden=True,
            help="closed: the socket was closed; rst, syn: TCP with it; group: to many; or -",
        ),
        Column(
            "class",
            "Class",
            kind=Kind.DERIVED,
            derive=classes.class_of,
            label=True,
            width=8,
            help="harm, refusal (a rule, a closed port), or ordinary: it had done its work",
        ),
        Column("comm", "Command", width=16, label=False, help="who holds the socket, if only one"),
        Column("pid", "Pid", Unit.NUMBER, width=7, label=False, help="its id"),
        Column(
            "counts",
            "Counts",
            width=7,
            label=True,
            help="packets; again: in other rows, too; events: no packets",
        ),
        Column(
            "netns",
            "NetNS",
            Unit.NUMBER,
            Kind.KEY,
            width=10,
            help="another network namespace than this, by its inode; 0: not known which",
        ),
        columns.INDEX,
        Column(
            "device",
            "Device",
            Unit.NUMBER,
            Kind.KEY,
            hidden=True,
            label=False,
            help="tells it from another that has its number later; 0: not known",
        ),
        Column(
            "meaning",
            "Meaning",
            kind=Kind.DERIVED,
            derive=classes.sentence_of,
            label=False,
            width=40,
            help="what the reason says, in a sentence",
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
