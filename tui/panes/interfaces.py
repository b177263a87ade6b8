"""Interfaces: who carries traffic, who drops and why, and what XDP and TC see of it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial

from probes import units
from probes.model import Hook, HookId, Value
from probes.snapshot import Snapshot, SnapshotRow
from probes.units import Unit
from tui.detail import counters, graphs, heading, pairs
from tui.fields import Field, Record, coloured, label, of, rate_of, values_of
from tui.lines import Line, line
from tui.pane import Pane, Trouble
from tui.view import Figure, View

WARN, BAD = 10.0, 100.0
"""Dropped packets a second from which an interface is marked."""

_VERDICTS = ("aborted", "drop", "pass", "tx", "redirect")


def drops_by_interface(rows: Sequence[SnapshotRow]) -> dict[str, list[tuple[float, SnapshotRow]]]:
    """The kernel's drops of each interface, the greatest rate first."""
    by: dict[str, list[tuple[float, SnapshotRow]]] = {}
    for row in rows:
        by.setdefault(str(row["interface"]), []).append((row.rate("packets"), row))
    for found in by.values():
        found.sort(key=lambda f: -f[0])
    return by


def _records(view: View) -> list[Record]:
    drops = drops_by_interface(view.rows("drops"))
    extras = {h: {str(r["interface"]): r for r in view.rows(h)} for h in _HOOK_NAMES[1:4]}
    seen = bool(view.of("drops"))
    return [_record(row, drops if seen else None, extras) for row in view.rows("interfaces")]


def _record(
    row: SnapshotRow,
    drops: Mapping[str, list[tuple[float, SnapshotRow]]] | None,
    extras: Mapping[str, Mapping[str, SnapshotRow]],
) -> Record:
    name = str(row["interface"])
    values = values_of(row)
    found = drops.get(name, []) if drops is not None else []
    values["drops"] = sum(rate for rate, _ in found) if drops is not None else None
    values["why"] = str(found[0][1]["reason"]) if found and found[0][0] > 0 else ""
    values |= _xdp(extras["xdp"].get(name))
    values["tc_in"] = _packets(extras["tc-ingress"].get(name))
    values["tc_out"] = _packets(extras["tc-egress"].get(name))
    worst = max(_number(values[n]) for n in ("drops", *_DROPPED))
    mark = "bad" if worst >= BAD else "warn" if worst >= WARN else ""
    return Record(row.key, name, values, mark, row)


def _xdp(row: SnapshotRow | None) -> dict[str, Value]:
    """Our own program's verdicts; a dash where none is attached."""
    return {f"xdp_{v}": row.rates[v] if row else None for v in _VERDICTS}


def _packets(row: SnapshotRow | None) -> float | None:
    return row.rates["packets"] if row else None


def _number(value: Value) -> float:
    return value if isinstance(value, int | float) else 0


def _trouble(view: View) -> Trouble | None:
    bad = [r for r in _records(view) if r.mark]
    if not bad:
        return None
    worst = max(bad, key=lambda r: max(r.number(n) for n in ("drops", *_DROPPED)))
    others = f"  (and {len(bad) - 1} more)" if len(bad) > 1 else ""
    rate = max(worst.number("drops"), *(worst.number(n) for n in _DROPPED))
    why = f", {label(worst.text('why'))}" if worst.text("why") else ""
    return Trouble(worst.mark, f"{label(worst.name)}: {units.count(rate)} drops/s{why}{others}")


def _detail(view: View, record: Record, width: int) -> list[Line]:
    name = record.name
    lines = pairs(
        [
            ("Interface", f"{name} (index {record.values['ifindex']})"),
            ("Kind", f"{record.text('kind')}, {record.text('state')}, MTU {record.text('mtu')}"),
            ("XDP", f"{record.text('xdp_mode')} {record.text('xdp_program')}"),
        ]
    )
    lines += _reasons(view, name)
    lines += graphs(PANE, view, record, width)
    lines += [
        *heading("Counters of the kernel"),
        *counters(view.catalogue["interfaces"], record, view.bits),
    ]
    for hook in ("xdp", "tc-ingress", "tc-egress"):
        lines += _hook_block(view, HookId(hook, name))
    return lines


def _reasons(view: View, name: str) -> list[Line]:
    found = drops_by_interface(view.rows("drops")).get(name, [])
    lines = heading("Dropped by the kernel")
    for rate, row in found:
        role = "bad" if rate >= BAD else "warn" if rate >= WARN else ""
        total = units.show(row["packets"], Unit.PACKETS)
        lines.append(
            line(
                (f"  {units.count(rate):>8}/s ", role),
                (f"{total:>8} in all  ", "muted"),
                f"{label(row['reason']):26}",
                (label(row["location"]), "muted"),
            )
        )
    return lines if found else [*lines, line(("  nothing", "muted"))]


def _hook_block(view: View, id: HookId) -> list[Line]:
    hook = view.catalogue.get(id.hook)
    snapshot = view.snapshots.get(id)
    if hook is None:
        return []
    status = view.status(id)
    lines = heading(f"{hook.title}: {status.state}{f' ({status.rung})' if status.rung else ''}")
    if status.refused and not status.rung:
        lines += [line(("  " + label(status.refused[-1].why), "muted"))]
    for row in snapshot.rows if snapshot else ():
        lines += counters(hook, Record(row.key, str(id), values_of(row)), view.bits)
    return lines


def _rates(column: str) -> Callable[[Sequence[Snapshot]], Mapping[Hashable, float | None]]:
    return partial(_of_rows, column)


def _of_rows(column: str, snapshots: Sequence[Snapshot]) -> Mapping[Hashable, float | None]:
    return {str(r["interface"]): r.rates[column] for s in snapshots for r in s.rows}


def _dropped(snapshots: Sequence[Snapshot]) -> Mapping[Hashable, float | None]:
    by = drops_by_interface([r for s in snapshots for r in s.rows])
    return {name: sum(rate for rate, _ in found) for name, found in by.items()}


_HOOK_NAMES = ("interfaces", "xdp", "tc-ingress", "tc-egress", "drops")
_DROPPED = (rate_of("rx_dropped"), rate_of("tx_dropped"))
_mark = coloured("bad", BAD, "drops")


def _why(record: Record) -> str:
    return record.mark or "muted"


def _fields(catalogue: Mapping[str, Hook]) -> tuple[Field, ...]:
    hook = catalogue["interfaces"]
    return (
        of(hook, "interface", width=11, rank=0, grow=15),
        of(hook, "rx_bytes", title="RX/s", width=8, rank=1, grow=10),
        of(hook, "tx_bytes", title="TX/s", width=8, rank=1, grow=10),
        of(hook, "rx_packets", title="RX pkt/s", width=9, rank=4),
        of(hook, "tx_packets", title="TX pkt/s", width=9, rank=4),
        Field("drops", "Drops/s", Unit.PACKETS, 9, 1, 0, "dropped by the kernel", _why),
        Field("why", "Mostly", Unit.TEXT, 16, 2, 22, "the most frequent drop reason", _why),
        of(
            hook, "rx_dropped", title="RXdrop/s", width=9, rank=3,
            colour=coloured("bad", BAD, rate_of("rx_dropped")),
        ),
        of(
            hook, "tx_dropped", title="TXdrop/s", width=9, rank=5,
            colour=coloured("bad", BAD, rate_of("tx_dropped")),
        ),
        of(hook, "xdp_mode", width=8, rank=2),
        of(hook, "xdp_program", width=15, rank=6, grow=22),
        Field("xdp_pass", "XDP pass/s", Unit.PACKETS, 11, 6, help="let pass by our program"),
        Field("xdp_drop", "XDP drop/s", Unit.PACKETS, 11, 6, help="dropped by our program"),
        Field("xdp_aborted", "abort/s", Unit.PACKETS, 8, 8, help="aborted in our program"),
        Field("xdp_tx", "tx/s", Unit.PACKETS, 8, 8, help="sent back by our program"),
        Field("xdp_redirect", "redir/s", Unit.PACKETS, 8, 8, help="redirected by our program"),
        Field("tc_in", "TC in/s", Unit.PACKETS, 9, 5, help="packets seen at TC ingress"),
        Field("tc_out", "TC out/s", Unit.PACKETS, 9, 5, help="packets seen at TC egress"),
        of(hook, "state", width=8, rank=7),
        )  # fmt: skip


PANE = Pane(
    name="interfaces",
    title="Interfaces",
    order=10,
    hooks=_HOOK_NAMES,
    fields=_fields,
    sort="interface",
    reverse=False,
    few=True,
    records=_records,
    trouble=_trouble,
    detail=_detail,
    figures=(
        Figure("interface-rx", "RX", Unit.BYTES, "interfaces", _rates("rx_bytes")),
        Figure("interface-drops", "drops/s", Unit.PACKETS, "drops", _dropped, wrong=True),
        Figure("interface-tx", "TX", Unit.BYTES, "interfaces", _rates("tx_bytes")),
    ),
    figure_key=lambda record: record.name,
    hook_of=lambda record: HookId("xdp", record.name),
)  # fmt: skip
