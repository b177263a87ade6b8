"""Rows of other panes about a row's process, connection or interface."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sized

from probes import units
from probes.analysis.ends import is_accepted
from probes.analysis.many import SomeRows, places_with, rows_of
from probes.analysis.snapshot_row import SnapshotRow
from probes.columns.lexicon import Lexicon
from probes.model import Value
from probes.units import Unit
from tui.session.view import View
from tui.table.fields import TableRow, label
from tui.table.lines import Line, Span, fit, line
from tui.toolkit.detail import heading

MAX_RELATED = 8
"""Rows of each kind, at most; the others are counted."""
Keep = Mapping[str, Collection[Value]]
"""Condition for related rows: one of these values in each of these columns."""
_PID = re.compile(r"\((\d+)\)")
_BRACKETS = re.compile(r"\[\d+\]")
_LEXICON = Lexicon()
_Drawn = tuple[Span | str, ...]


def address(host: object, port: object) -> str:
    """Join address and port; IPv6 in brackets."""
    return f"{before_port(host)}{port}"


def before_port(host: object) -> str:
    """Return what an address has before its port."""
    host = str(host)
    return f"[{host}]:" if ":" in host else f"{host}:"


def held_by(row: SnapshotRow | TableRow) -> str:
    """Return who holds a program, processes as everywhere: "bpftrace[29877]"."""
    return _PID.sub(r"[\1]", label(row.values.get("held_by") or ""))


def without_pids(held: str) -> str:
    """Return the same without the pids: "bpftrace"."""
    return _BRACKETS.sub("", held)


def process(row: SnapshotRow) -> str:
    """Return "nginx[811]", with its container if it is in one; "?" where it is not known."""
    container = row.stored.get("container")
    inside = f" in {container}" if container else ""
    return "?" if row["pid"] is None else f"{units.process(row['comm'], row['pid'])}{inside}"


def of_process(pid: Value) -> Keep:
    return {"pid": (pid,)}


def interface_of(view: View, local: Value) -> str:
    """Return the interface that has that address; "" if none has it here."""
    rows = view.rows("interfaces")
    return next((str(r["interface"]) for r in rows if str(local) in _addresses(r)), "")


def altnames(view: View) -> dict[str, str]:
    """Return interfaces' alternative names, in lower case, and the name of each.

    Names take precedence over alternative names.
    """
    rows = view.rows("interfaces")
    found = {n.lower(): str(r["interface"]) for r in rows for n in altnames_of(r)}
    return {n: name for n, name in found.items() if all(n != r["interface"] for r in rows)}


def altnames_of(row: SnapshotRow) -> list[str]:
    return str(row.values.get("altnames") or "").split()


def of_interface(view: View, name: str) -> Keep:
    """Select connections from the interface's addresses."""
    rows = [r for r in view.rows("interfaces") if r["interface"] == name]
    mine = {a for row in rows for a in _addresses(row)}
    return {"laddr": mine}


def _addresses(row: SnapshotRow) -> list[str]:
    return str(row.values.get("addresses") or "").split()


def trips(view: View, keep: Keep, whose: str, width: int) -> list[Line]:
    """List connections with their round trips, the slowest first."""
    rows = _related(view, "tcp-rtt", keep)
    again = [rate >= 1 for rate in rows.rates("retransmits")]
    shown = rows.first(MAX_RELATED, again, rows.numbers("srtt_us"))
    head = f"  {'SRTT':>8}{'Min':>8}{'Retr/s':>8}  Connection"
    return _block(f"{whose}: connections", head, rows, map(_trip, shown), width)


def _related(view: View, hook: str, keep: Keep) -> SomeRows:
    rows = rows_of(view, hook)
    return SomeRows(rows, places_with(rows, _LEXICON, keep), _LEXICON)


def _trip(row: SnapshotRow) -> _Drawn:
    again = row.rate("retransmits")
    return (
        f"  {units.show(row['srtt_us'], Unit.US):>8}{units.show(row['min_us'], Unit.US):>8}",
        (f"{units.count(row.rates['retransmits']):>8}", "warn" if again >= 1 else "muted"),
        f"  {address(row['laddr'], row['lport'])} {_arrow(row)} ",
        address(row["raddr"], row["rport"]),
        (f"  {process(row)}", "muted"),
    )


def _arrow(row: SnapshotRow) -> str:
    """Return the way of a connection: "<" if it was accepted here."""
    return "<" if is_accepted(row["lport"], row["rport"]) else ">"


def connects(view: View, keep: Keep, whose: str, width: int) -> list[Line]:
    """List connects by destination, failing ones first."""
    rows = _related(view, "tcp-connect", keep)
    shown = rows.first(MAX_RELATED, rows.rates("failed"), rows.rates("connects"))
    head = f"  {'Conn/s':>8}{'Fail/s':>8}{'Mean':>8}  Destination"
    return _block(f"{whose}: connects", head, rows, map(_connect, shown), width)


def _connect(row: SnapshotRow) -> _Drawn:
    return (
        f"  {units.count(row.rates['connects']):>8}",
        (f"{units.count(row.rates['failed']):>8}", "bad" if row.rate("failed") else "muted"),
        f"{units.show(row['mean_ns'], Unit.NS):>8}",
        f"  {address(row['raddr'], row['rport'])}",
        (f"  {process(row)}", "muted"),
    )


def calls(view: View, pid: Value, whose: str, width: int) -> list[Line]:
    """List its system calls, of those that are followed by process."""
    rows = [
        (str(s.id.target), s.rows[place])
        for s in view.of("syscall-processes")
        for place in places_with(s.rows, _LEXICON, of_process(pid))
    ]
    head = f"  {'Calls/s':>8}{'Err/s':>8}{'p99':>8}  System call"
    spans = (_call(name, row) for name, row in rows[:MAX_RELATED])
    return _block(f"{whose}: system calls followed by process", head, rows, spans, width)


def _call(name: str, row: SnapshotRow) -> _Drawn:
    return (
        f"  {units.count(row.rates['calls']):>8}",
        (f"{units.count(row.rates['errors']):>8}", "warn" if row.rate("errors") else "muted"),
        f"{units.show(row['p99_ns'], Unit.NS):>8}",
        f"  {name}",
    )


def _block(title: str, head: str, rows: Sized, drawn: Iterable[_Drawn], width: int) -> list[Line]:
    """Return the lines with a heading; nothing if there is no row."""
    there = len(rows)
    if not there:
        return []
    lines = [*heading(label(title)), line((head, "header"))]
    for spans in drawn:
        whole = line(*spans)
        lines.append(Line(tuple((label(text), role) for text, role in whole.spans)))
    if there > MAX_RELATED:
        lines.append(line((fit(f"  and {there - MAX_RELATED} more", width), "muted")))
    return lines
