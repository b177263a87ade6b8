"""Drop rules: which are in force where, what they have dropped, and when they expire."""

from __future__ import annotations

from probes import units
from probes.units import Unit
from tui.session.drop_rules import Dropping, Offer, lasting, matched
from tui.session.view import View
from tui.table.fields import Field, TableRow, label
from tui.table.lines import Line, line, wrap
from tui.toolkit.detail import heading, pairs
from tui.toolkit.pane import EVERY, Pane, Trouble


def _records(view: View) -> list[TableRow]:
    return [_record(d) for d in view.dropping]


def _record(d: Dropping) -> TableRow:
    e = d.enforced
    return TableRow(
        d.id,
        f"{e.interface}: {e.rule.what}",
        {
            "interface": e.interface,
            "rule": e.rule.what,
            "place": d.place,
            "packets": e.packets,
            "per_s": d.per_s,
            "bytes": e.bytes,
            "left": e.expires_in,
            "note": e.note,
        },
        "" if e.rung else "bad",
    )


def _trouble(view: View) -> Trouble | None:
    fallen = [d for d in view.dropping if d.enforced.rung is None]
    if not fallen:
        return None
    e = fallen[0].enforced
    return Trouble("bad", label(f"{e.interface}: {e.rule.what} is not enforced: {e.note}"))


def _summary(view: View) -> tuple[str, str]:
    if not view.dropping:
        return "no drop rules. Esc: back", "muted"
    packets = units.count(sum(d.enforced.packets for d in view.dropping))
    return f"drop rules: {packets} packets dropped. d: end one  D: extend  Esc: back", "accent"


def _detail(view: View, record: TableRow, width: int) -> list[Line]:
    found = next((d for d in view.dropping if d.id == record.key), None)
    if found is None:
        return [line(("  it has ended", "muted"))]
    e = found.enforced
    lines = pairs(
        [
            ("Drops", matched(e.rule)),
            ("Arriving on", e.interface),
            ("Enforced at", found.place),
            ("Time left", f"{lasting(e.expires_in)} of {lasting(e.rule.ttl)}"),
            ("Dropped", f"{units.count(e.packets)} packets, {units.octets(e.bytes)}"),
            ("Per second", f"{units.count(found.per_s)} packets"),
            *([("Note", e.note)] if e.note else []),
        ],
        width,
    )
    if e.refused:
        lines += heading("Better rungs refused")
        for r in e.refused:
            lines.append(line(f"  {label(r.rung)}  ", (label(r.error), "warn")))
            lines += [line((f"    {row}", "muted")) for row in wrap(label(r.why), width - 6)]
    return lines


def _offer(record: TableRow) -> Offer:
    """Offer to restart or extend the rule's lifetime."""
    return Offer(record.text("interface"), (f"{record.text('rule')} ttl 10m",))


def _left(record: TableRow) -> str:
    return lasting(record.number("left"))


def _colour(record: TableRow) -> str:
    return record.mark


_FIELDS = (
    Field("interface", "Iface", Unit.TEXT, 8, 0, 15, "where the packets arrive"),
    Field("rule", "Drops", Unit.TEXT, 33, 0, 62, "what a packet must match"),
    Field("place", "On", Unit.TEXT, 11, 2, 16, "the rung that enforces it", _colour),
    Field("per_s", "Hits/s", Unit.PACKETS, 7, 1, help="packets dropped per second"),
    Field("packets", "Hits", Unit.PACKETS, 7, 1, help="packets dropped"),
    Field("bytes", "Bytes", Unit.BYTES, 8, 4, help="bytes dropped"),
    Field("left", "Left", Unit.COUNT, 7, 1, help="time until it expires", write=_left),
)
PANE = Pane(
    name="rules",
    title="Drop rules",
    order=90,
    hooks=(EVERY,),
    fields=lambda _: _FIELDS,
    sort="left",
    reverse=False,
    records=_records,
    trouble=_trouble,
    detail=_detail,
    inner=True,
    offer=_offer,
    summary=_summary,
    empty="no drop rules; D on an interface or on one of its sources adds one",
)
