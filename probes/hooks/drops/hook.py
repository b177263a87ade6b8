"""Drops: every packet that the kernel frees as dropped, by interface, reason, place and kind."""

from __future__ import annotations

from collections.abc import Callable

from probes.analysis import classes
from probes.hooks.drops import reasons as drop_reasons
from probes.hooks.drops import source as drop_source
from probes.hooks.drops.readers import from_counters, open_traced
from probes.kernel import capabilities
from probes.point import Point
from probes.toolkit import (
    INDEX,
    BtfTracepoint,
    Hook,
    Program,
    RawTracepoint,
    Rung,
    Tracepoint,
    Unit,
    Unsupported,
    derived,
    given,
    holder,
    key,
    level,
    owner,
    packet_count,
    port_key,
)


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
    columns=given(
        key("interface", "Interface", "interface the packet was at, or -", width=15, stays=False),
        key("reason", "Reason", "enum skb_drop_reason, or in words", width=24),
        key("location", "Location", "kernel symbol+offset, or nstat's counter", width=28),
        packet_count("packets", "Packets", "packets dropped"),
        key("protocol", "Protocol", "IP protocol, or the EtherType, or -"),
        port_key(
            "dport",
            "Port",
            f"destination port; none: unreadable, or over {drop_source.MAP_ENTRIES} at a time",
        ),
        key(
            "trait",
            "Trait",
            "closed: the socket was closed; rst, syn: TCP flags; group: to a group or all; or -",
            hidden=True,
        ),
        derived(
            "class",
            "Class",
            "harm, refusal (a rule, a closed port), or ordinary (the packet had served its "
            "purpose)",
            Unit.TEXT,
            classes.class_of,
            label=True,
        ),
        *holder(
            "process that holds the socket it was for, if there is only one; or that sent it, "
            "if it sent nearly all of them",
            label=False,
        ),
        level(
            "counts",
            "Counts",
            "packets; again: counted in other rows as well; events: no packets",
            width=7,
            label=True,
        ),
        key(
            "netns",
            "NetNS id",
            "inode of another network namespace; 0: not known which",
            Unit.NUMBER,
            width=10,
        ),
        INDEX,
        key(
            "device",
            "Device",
            "tells a device from a later one with the same number; 0: not known",
            Unit.NUMBER,
            hidden=True,
            label=False,
        ),
        level(
            "way",
            "Way",
            "in: for this host; came: not routed yet; through: to be sent on; out: made here; or -",
            width=7,
            label=False,
        ),
        level(
            "waiting",
            "Waiting",
            "of a listener: connections that nobody has accepted yet, in both of the last "
            "readings; of connection tracking: its entries",
            Unit.NUMBER,
            label=False,
        ),
        level("room", "Room", "how many of them there may be", Unit.NUMBER, label=False),
        derived(
            "meaning",
            "Meaning",
            "meaning of the reason, in a sentence",
            Unit.TEXT,
            classes.sentence_of,
            width=40,
            label=False,
        ),
        *owner("the process; NetNS: of the packets"),
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
    reads_with=(capabilities.SYSLOG, *capabilities.PROCESSES),
)
