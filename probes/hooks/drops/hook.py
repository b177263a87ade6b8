"""Drops: every packet the kernel frees as dropped, by interface, reason, place and kind."""

from __future__ import annotations

from collections.abc import Callable

from probes.analysis import classes
from probes.errors import Unsupported
from probes.hooks.drops import reasons as drop_reasons
from probes.hooks.drops import source as drop_source
from probes.kernel import kallsyms, privilege, procfs
from probes.kernel.netlink import route
from probes.model import Column, Hook, Kind, Opening, Program, Reading, Row, Rung, Value
from probes.point import BtfTracepoint, Point, RawTracepoint, Tracepoint
from probes.toolkit.decode import packet_protocol
from probes.toolkit.readers import name_or_number
from probes.toolkit.tick_cache import once
from probes.units import DASH, Unit


def _reasons() -> Unsupported | None:
    """The refusal of a kernel that does not say why it drops; None also where nobody can tell."""
    if drop_reasons.told() is not False:
        return None
    return Unsupported("reasons for drops came with Linux 5.17: this kernel gives none")


def _open(*, reasons: bool) -> Callable[[Opening], Callable[[], Reading]]:
    def open(opening: Opening) -> Callable[[], Reading]:
        tables = opening.tables["rows"], opening.tables["ports"]
        name_of: Callable[[int], str] = drop_reasons.Names() if reasons else lambda _: DASH
        own = procfs.netns()
        kallsyms.prepare()

        def read() -> Reading:
            found = [row for table in tables for row in table.rows()]
            places = kallsyms.resolve({int(row[0]) for row in found})
            where = {at: _interface(*at, own) for at in {(int(r[2]), int(r[3])) for r in found}}
            rows: dict[tuple[Value, ...], int] = {}
            for location, reason, ifindex, netns, protocol, port, trait, packets in found:
                why = name_of(int(reason))
                if why in drop_reasons.NOT_DROPPED:
                    continue
                key = (
                    where[ifindex, netns],
                    why,
                    places[int(location)],
                    packet_protocol(int(protocol)),
                    int(port) or None,
                    _TRAITS.get(int(trait), DASH),
                )
                rows[key] = rows.get(key, 0) + int(packets)
            return Reading([(*key[:3], packets, *key[3:]) for key, packets in rows.items()])

        return read

    return open


def _interface(ifindex: int, netns: int, own: int) -> str:
    if not ifindex:
        return DASH
    if netns not in (0, own):
        return f"if{ifindex} (netns {netns})"
    return name_or_number(ifindex)


def _counters(_: Opening) -> Callable[[], Reading]:
    """What netlink and procfs count: no place in the code, and reasons under nstat's names."""

    def read() -> Reading:
        rows: list[Row] = [(DASH, reason, "procfs", packets) for reason, packets in procfs.drops()]
        for link in once(route.links):
            rows.append((link.name, "rx_dropped", "netlink", link.rx_dropped))
            rows.append((link.name, "tx_dropped", "netlink", link.tx_dropped))
        return Reading([(*row, DASH, None, DASH) for row in rows if row[3]])

    return read


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
        _open(reasons=reasons),
        source=source,
        types=drop_source.TYPES,
        programs=(Program("dropped", point),),
        requires=_reasons if reasons else None,
        samples=True,
    )


_TRAITS = {1: classes.CLOSED, 2: classes.RST, 3: classes.GROUP}
"""By the number in C."""
_BTF, _TRACE = BtfTracepoint("kfree_skb"), Tracepoint("skb", "kfree_skb")
_LOADS = "CAP_BPF, CAP_PERFMON"

HOOK = Hook(
    name="drops",
    title="Drops",
    answers="Which packets the kernel itself drops: on which interface, why and where.",
    columns=(
        Column(
            "interface", "Interface", kind=Kind.KEY, width=15, help="where the packet was, or -"
        ),
        Column("reason", "Reason", kind=Kind.KEY, width=24, help="enum skb_drop_reason"),
        Column("location", "Location", kind=Kind.KEY, width=28, help="kernel symbol+offset"),
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
            help="closed: the socket was closed; rst: TCP with RST; group: multicast; or -",
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
            f"Linux 4.7, tracefs, {_LOADS}",
            drop_source.tracefs(reasons=False),
            _TRACE,
            reasons=False,
        ),
        Rung("counters", "nothing", _counters, from_zero=False),
    ),
    order=50,
    reads_with=(privilege.SYSLOG,),
)
