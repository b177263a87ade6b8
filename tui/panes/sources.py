"""Top sources: who sends how much to which port of an interface; attached while shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from probes import units
from probes.analysis.many import SomeRows, places_with
from probes.analysis.snapshot import Snapshot
from probes.analysis.snapshot_row import SnapshotRow
from probes.arrays import FEW
from probes.columns.cells import cells_of
from probes.columns.lexicon import Lexicon, Part
from probes.model import OTHERS, Hook, HookId, State, Value
from probes.units import Unit
from tui.session.drop_rules import Dropping, Offer, covers, lasting
from tui.session.view import View
from tui.table.fields import Field, TableRow, label, of, rate_of, values_of
from tui.table.lines import Line, line
from tui.table.many_records import ManyRecords
from tui.table.snapshot_rows import ChosenRows, SnapshotRows
from tui.toolkit.detail import heading, pairs
from tui.toolkit.pane import Pane, Trouble

SHOWN = 500
"""Rows that are shown, at most: a flood has more senders than anybody reads."""
_LEXICON = Lexicon(Part("name"))
_PACKETS, _BYTES = rate_of("packets"), rate_of("bytes")


def _id(view: View) -> HookId:
    return HookId("sources", view.about)


def _rows(view: View) -> Sequence[SnapshotRow]:
    snapshot = view.snapshots.get(_id(view))
    return snapshot.rows if snapshot else ()


def _records(view: View) -> Sequence[TableRow]:
    return view.once(_made)


def _made(view: View) -> Sequence[TableRow]:
    rows = _rows(view)
    some = SomeRows.of(rows, _LEXICON)
    rates = some.rates("packets")
    total = sum(rates)
    rules = [d for d in view.dropping if d.enforced.interface == view.about]
    if len(rows) > FEW:
        busiest = some.busiest(SHOWN, rates, some.numbers("packets"))
        return _of_many(view, rows, busiest, total, rules)
    chosen = rows
    if len(rows) > SHOWN:
        chosen = some.first(SHOWN, rates, some.numbers("packets"))
    return [_record(row, total, rules) for row in chosen]


def _of_many(
    view: View,
    rows: Sequence[SnapshotRow],
    places: Sequence[int],
    total: float,
    rules: list[Dropping],
) -> ManyRecords:
    some = SomeRows(rows, places, _LEXICON)
    shares = [rate / total * 100 if total else None for rate in some.rates("packets")]
    ends = zip(*(some.values(name) for name in ("saddr", "protocol", "dport")), strict=True)
    own: dict[str, list[Value]] = {
        "share": list(shares),
        "rule": [_rule(some.row(n), rules) if rules else "" for n in range(len(some))],
        "name": [_name(*end) for end in ends],
    }
    return ManyRecords(
        ChosenRows(SnapshotRows(view.catalogue["sources"], rows), places),
        _LEXICON,
        lambda place: _record(some.row(place), total, rules),
        own={name: cells_of(values) for name, values in own.items()},
    )


def _name(saddr: Value, protocol: Value, dport: Value) -> str:
    port = "" if dport is None else f":{dport}"
    return f"{saddr} {protocol}{port}" if saddr != OTHERS else OTHERS


def _rule(row: SnapshotRow, rules: list[Dropping]) -> str:
    found = next((d for d in rules if covers(d.enforced.rule, row)), None)
    return f"dropped {lasting(found.enforced.expires_in)}" if found else ""


def _record(row: SnapshotRow, total: float, rules: list[Dropping]) -> TableRow:
    values = values_of(row)
    values["share"] = row.rate("packets") / total * 100 if total else None
    values["rule"] = _rule(row, rules)
    name = _name(row["saddr"], row["protocol"], row["dport"])
    return TableRow(row.key, name, values, "", row)


def _trouble(view: View) -> Trouble | None:
    status = view.status(_id(view))
    if view.about and status.state is State.FAILED:
        why = status.refused[0].why if status.refused else status.note
        return Trouble("bad", label(f"sources of {view.about} cannot be seen: {why}"))
    snapshot = view.snapshots.get(_id(view))
    if snapshot is not None and (others := _others(snapshot)):
        why = f"{view.about}: {units.count(others)} packets were from sources not kept here"
        return Trouble("warn", label(why))
    return None


def _others(snapshot: Snapshot) -> float:
    """Return packets of senders without a row of their own; older recordings have them as lost."""
    places = places_with(snapshot.rows, _LEXICON, {"saddr": (OTHERS,)})
    many = SomeRows(snapshot.rows, places, _LEXICON)
    return snapshot.sample.lost + sum(many.numbers("packets"))


def _summary(view: View) -> tuple[str, str]:
    about, status, rows = label(view.about), view.status(_id(view)), _rows(view)
    if view.snapshots.get(_id(view)) is None:
        word = "attaching..." if status.state is State.ATTACHING else "not attached"
        return f"top sources of {about}: {word}", "muted"
    if not rows:
        return f"{about}: no packet has come in since attach, at {status.rung}", "muted"
    total = units.count(sum(SomeRows.of(rows, _LEXICON).rates("packets")))
    shown = f", the busiest {SHOWN} shown" if len(rows) > SHOWN else ""
    on = f"seen at {status.rung}"
    return f"{about}: {len(rows)} sources{shown}, {total} packets/s, {on}. D: drop one", "accent"


def _is_many(row: SnapshotRow) -> bool:
    return bool(row["saddr"] == OTHERS)


def _detail(view: View, record: TableRow, _width: int) -> list[Line]:
    row = record.row
    if row is None:
        return []
    lines = pairs(
        [
            ("Source", row["saddr"]),
            ("Protocol", row["protocol"] or "-"),
            ("Port", "-" if row["dport"] is None else row["dport"]),
            ("Arriving on", view.about),
            (
                "Packets",
                f"{units.count(row.rates['packets'])}/s, {_total(row, 'packets')} in total",
            ),
            (
                "Bytes",
                f"{units.octets(row.rates['bytes'], bits=view.bits)}/s, "
                f"{_total(row, 'bytes')} in total",
            ),
            ("Fragments", f"{_total(row, 'fragments')} in total"),
        ]
    )
    lines += heading("Dropped by rules")
    rules = [d.enforced for d in view.dropping if covers(d.enforced.rule, row)]
    mine = [e for e in rules if e.interface == view.about]
    for e in mine:
        text = f"  {e.rule.what}: {units.count(e.packets)} hits, {lasting(e.expires_in)} left"
        lines.append(line((label(text), "warn")))
    return lines if mine else [*lines, line(("  no; D drops it", "muted"))]


def _total(row: SnapshotRow, column: str) -> str:
    return units.show(row[column], Unit.BYTES if column == "bytes" else Unit.PACKETS)


def _offer(record: TableRow) -> Offer | None:
    """Offer to drop its packets to that port or, wider, all of them; None for many senders."""
    row = record.row
    assert row is not None
    if _is_many(row):
        return None
    source = f"src {row['saddr']}"
    return Offer(record.text("interface"), (f"{source} {_to(row)} ttl 10m", f"{source} ttl 10m"))


def _to(row: SnapshotRow) -> str:
    if row["dport"] is None:
        return f"proto {row['protocol']}"
    return f"proto {row['protocol']} dport {row['dport']}"


def _colour(_: TableRow) -> str:
    return "warn"


def _fields(catalogue: Mapping[str, Hook]) -> tuple[Field, ...]:
    hook = catalogue["sources"]
    return (
        of(hook, "saddr", width=17, rank=0, grow=40),
        of(hook, "protocol", width=6, rank=0, grow=8),
        of(hook, "dport", width=6, rank=0),
        of(hook, "packets", title="Packets/s", width=10, rank=0),
        of(hook, "bytes", title="Bytes/s", width=9, rank=2),
        Field("share", "Share", Unit.PERCENT, 7, 1, help="share of the interface's packets"),
        Field("packets", "Packets", Unit.PACKETS, 8, 4, help="since it was attached"),
        Field("rule", "Rule", Unit.TEXT, 15, 3, help="dropped by a rule, and for how much longer",
              colour=_colour),
        )  # fmt: skip


PANE = Pane(
    name="sources",
    title="Top sources",
    order=80,
    hooks=("sources",),
    fields=_fields,
    sort=_PACKETS,
    records=_records,
    trouble=_trouble,
    detail=_detail,
    inner=True,
    while_shown=lambda interface: HookId("sources", interface),
    offer=_offer,
    summary=_summary,
    empty="no packets have arrived yet",
)
