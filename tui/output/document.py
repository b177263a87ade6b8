"""Snapshots as text and as JSON of the format ebpftop/1: all output but the screen."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from math import isfinite

from probes.analysis.flows import Since
from probes.analysis.funnel import Stage, funnel, interfaces
from probes.analysis.hit_rates import Dropping, Hits, by_stage
from probes.analysis.snapshot import Snapshot
from probes.analysis.snapshot_row import SnapshotRow
from probes.model import Column, Enforced, Kind, Refusal, Status, TargetKind
from probes.source import Host
from probes.units import Unit, count, duration, octets, percent, printable, show, whole
from tui.output import without_interface
from tui.output.findings import FoundWrong
from tui.output.scope import EVERYTHING, Scope

FORMAT = "ebpftop/1"
PLACES = ("xdp", "tc-ingress", "tc-egress")
OF_PLACE = ("ifindex", "interface", "direction")
"""Columns that are the same for all programs of a place."""


def document(
    host: Host,
    wall: float,
    interval: float | None,
    hooks: Sequence[Snapshot],
    rules: Iterable[Enforced] = (),
    since: Since | None = None,
    hits: Hits | None = None,
    found: FoundWrong | None = None,
    scope: Scope = EVERYTHING,
) -> str:
    """Return one object of the format, on one line. Counters are cumulative since attach.

    since: the samples that the funnel counts from. hits: what rules had dropped before.
    """
    rules, shown = tuple(rules), scope.snapshots(hooks)
    return dumps(
        {
            **beginning(host, wall, interval),
            "findings": (found or FoundWrong()).as_json(),
            "hooks": [_hook(s) for s in shown],
            "rules": [_enforced(rule) for rule in scope.rules(rules)],
            "programs": _programs(shown),
            "funnel": [
                {"interface": name, "unit": "skbs", "stages": [_stage(s) for s in stages]}
                for name, stages in _funnels(hooks, since, (hits or Hits()).take(rules))
                if scope.has_interface(name)
            ],
        }
    )


def beginning(host: Host, wall: float, interval: float | None) -> dict[str, object]:
    """Return the fields that every object of the format begins with."""
    return {
        "format": FORMAT,
        "time": round(wall, 3),
        "host": host.name,
        "netns": host.netns or None,
        "kernel": host.kernel,
        "interval": interval,
    }


def dumps(value: object) -> str:
    """Return JSON on one line, in ASCII; every valid character is preserved."""
    return json.dumps(whole(value), ensure_ascii=True)


def _funnels(
    hooks: Iterable[Snapshot], since: Since | None, dropping: Sequence[Dropping]
) -> Iterator[tuple[str, tuple[Stage, ...]]]:
    """Yield the funnel of each interface that received or lost anything."""
    by_hook: dict[str, list[Snapshot]] = {}
    for snapshot in hooks:
        by_hook.setdefault(snapshot.id.hook, []).append(snapshot)
    for name in interfaces(by_hook):
        stages = funnel(by_hook, name, since, by_stage(dropping, name))
        if any(flow and flow.total for stage in stages for flow in stage.flows):
            yield name, stages


def _programs(hooks: Iterable[Snapshot]) -> list[dict[str, object]]:
    """Return each interface's foreign programs, in the order in which packets meet them."""
    found: dict[str, dict[str, list[object]]] = {}
    for snapshot in hooks:
        if snapshot.id.hook not in ("xdp-programs", "tc-programs"):
            continue
        left = [c for c in snapshot.hook.columns if c.name not in OF_PLACE and not c.hidden]
        for row in snapshot.rows:
            places = found.setdefault(str(row["interface"]), {place: [] for place in PLACES})
            places[_place(snapshot, row)].append(_row(left, row))
    return [{"interface": name, **places} for name, places in found.items()]


def _place(snapshot: Snapshot, row: SnapshotRow) -> str:
    """Return one of PLACES, whatever a recording may contain."""
    if snapshot.id.hook == "xdp-programs":
        return "xdp"
    return "tc-egress" if row["direction"] == "egress" else "tc-ingress"


def _stage(stage: Stage) -> dict[str, object]:
    came, lost, ordinary, segments = stage.flows
    return {
        "stage": stage.name,
        "in": came.total if came else None,
        "in_per_s": _number(came.per_s) if came else None,
        "segments": segments.total if segments else None,
        "segments_per_s": _number(segments.per_s) if segments else None,
        "lost": lost.total if lost else None,
        "lost_per_s": _number(lost.per_s) if lost else None,
        "ordinary": ordinary.total if ordinary else None,
        "ordinary_per_s": _number(ordinary.per_s) if ordinary else None,
        "why": stage.why or None,
    }


def _enforced(rule: Enforced) -> dict[str, object]:
    return {
        "interface": rule.interface,
        "rule": rule.rule.what,
        "rung": rule.rung,
        "refused": _refused(rule.refused),
        "note": rule.note or None,
        "ttl": rule.rule.ttl,
        "expires_in": round(rule.expires_in, 3),
        "packets": rule.packets,
        "bytes": rule.bytes,
    }


def _refused(refusals: Iterable[Refusal]) -> list[dict[str, object]]:
    return [
        {"rung": r.rung, "error": r.error, "why": r.why, "remedy": r.remedy or None}
        for r in refusals
    ]


def status_json(status: Status) -> dict[str, object]:
    """Return a hook's status: the fields that each hook's object begins with."""
    return {
        "hook": status.id.hook,
        "target": status.id.target,
        "state": str(status.state),
        "rung": status.rung,
        "refused": _refused(status.refused),
        "note": status.note or None,
        "one_in": status.one_in,
    }


def _hook(snapshot: Snapshot) -> dict[str, object]:
    sample = snapshot.sample
    columns = [c for c in snapshot.hook.columns if not c.hidden]
    return {
        **status_json(snapshot.status),
        "cost": None
        if sample.cost is None
        else {
            "runs": sample.cost.runs,
            "ns_per_run": _number(
                sample.cost.run_ns / sample.cost.runs if sample.cost.runs else None
            ),
            "cpu_percent": _number(snapshot.cpu_percent),
            "map_memory": sample.cost.map_memory,
        },
        "time": round(sample.wall, 3),
        "lost": sample.lost,
        "forgotten": sample.forgotten,
        "columns": [{"name": c.name, "unit": str(c.unit), "kind": str(c.kind)} for c in columns],
        "rows": rows(snapshot),
        **(
            {
                "log": [_log(snapshot.hook.log, entry) for entry in sample.log],
                "unlogged": sample.unlogged,
            }
            if snapshot.hook.log
            else {}
        ),
    }


def rows(snapshot: Snapshot) -> list[dict[str, object]]:
    """Return each row by column name, counters with their rates, hidden columns left out."""
    columns = [c for c in snapshot.hook.columns if not c.hidden]
    return [_row(columns, row) for row in snapshot.rows]


def _row(columns: Iterable[Column], row: SnapshotRow) -> dict[str, object]:
    shown: dict[str, object] = {}
    for column in columns:
        value = row[column.name]
        shown[column.name] = _number(value) if isinstance(value, float) else value
        if column.kind is Kind.COUNTER:
            shown[f"{column.name}_per_s"] = _number(row.rates.get(column.name))
    return shown


def _log(columns: Sequence[Column], entry: Sequence[object]) -> dict[str, object]:
    return {c.name: v for c, v in zip(columns, entry, strict=True)}


def _number(value: float | None) -> float | None:
    return round(value, 3) if value is not None and isfinite(value) else None


# -- text ------------------------------------------------------------------------------------

MOST_ROWS = 20


def report(
    host: Host,
    snapshots: Sequence[Snapshot],
    rules: Iterable[Enforced] = (),
    since: Since | None = None,
    wrong: str = "",
    scope: Scope = EVERYTHING,
) -> str:
    """Return all hooks as text, one block per hook; all its interfaces share one table.

    Before them come what is wrong, a line for each drop rule and one for each place where packets
    were lost.
    """
    rules, shown = tuple(rules), scope.snapshots(snapshots)
    dropping = "\n".join(_dropping(rule) for rule in scope.rules(rules))
    nowhere = without_interface.lines(shown)
    funnels = _funnels(snapshots, since, Hits().take(rules))
    lost = "\n".join(_lost([f for f in funnels if scope.has_interface(f[0])], nowhere))
    head = filter(None, (printable(host.privilege), wrong, dropping, lost))
    return "\n\n".join([*head, *(text(group) for group in grouped(shown))])


def _lost(funnels: Iterable[tuple[str, Sequence[Stage]]], nowhere: Sequence[str] = ()) -> list[str]:
    """Return a line for each stage at which an interface lost packets; nothing if none did.

    Losses at no interface come last.
    """
    lines = []
    for name, stages in funnels:
        for stage in stages:
            if stage.lost is not None and stage.lost.total:
                came = f" of {count(stage.came.total)}" if stage.came is not None else ""
                why = f"  {printable(stage.why)}" if stage.why else ""
                packets = f"{count(stage.lost.total)}{came}"
                lines.append(f"  {printable(name):<15}  {stage.name:<15}  {packets:>14}{why}")
    lines += nowhere
    return ["packets lost:", *lines] if lines else []


def _dropping(rule: Enforced) -> str:
    what = printable(f"{rule.interface}: {rule.rule.what}")
    if rule.rung is None:
        return f"NOT DROPPING {what}: {printable(rule.note)}"
    dropped = f"{count(rule.packets)} packets, {octets(rule.bytes)}"
    return f"DROPPING {what} on {rule.rung}: {dropped}, {rule.expires_in:.0f} s left"


def grouped(snapshots: Iterable[Snapshot]) -> list[list[Snapshot]]:
    """Group what one table can show: the same hook, on the same rung, for the same reasons.

    Rows of interfaces name theirs; those of other targets do not, so these stay apart.
    """
    groups: dict[tuple[object, ...], list[Snapshot]] = {}
    for snapshot in snapshots:
        status = snapshot.status
        own = status.id if snapshot.hook.target is not TargetKind.INTERFACE else None
        key = (status.id.hook, own, status.state, status.rung, status.refused, status.note)
        groups.setdefault(key, []).append(snapshot)
    return list(groups.values())


def text(group: Sequence[Snapshot]) -> str:
    """Return a heading with the status, and the busiest rows of the whole group as a table."""
    hook, status = group[0].hook, group[0].status
    lines = [heading(group)]
    lines += [f"  not {r.rung}: {r.error}: {printable(r.why)}" for r in status.refused]
    if status.note:
        lines.append(f"  note: {printable(status.note)}")
    if lost := sum(s.sample.lost for s in group):
        lines.append(f"  {count(lost)} events were lost (a map was full)")
    if unlogged := sum(s.sample.unlogged for s in group):
        lines.append(f"  {count(unlogged)} events were counted but not logged (the log was full)")
    if forgotten := sum(s.sample.forgotten for s in group):
        lines.append(f"  {count(forgotten)} more rows were left out, the least active (--memory)")
    counters = [c.name for c in hook.stored if c.kind is Kind.COUNTER and not c.hidden]
    rows = sorted(
        (r for s in group for r in s.rows),
        key=lambda row: sum(row.number(name) for name in counters),
        reverse=True,
    )
    columns = [c for c in hook.columns if not c.hidden and _filled(c, rows)]
    lines += ["  " + line for line in _table(columns, rows[:MOST_ROWS])]
    if len(rows) > MOST_ROWS:
        lines.append(f"  ... and {len(rows) - MOST_ROWS} more rows (--json shows all)")
    return "\n".join(lines)


def heading(group: Sequence[Snapshot]) -> str:
    """Return the hook, its targets, its status, and the total cost of its programs."""
    status = group[0].status
    several = f"{status.id.hook} ({len(group)} {group[0].hook.target}s)"
    name = several if len(group) > 1 else printable(str(status.id))
    where = f" on {status.rung}" if status.rung else ""
    return f"{name}: {status.state}{where}{_cost(group)}"


def _cost(group: Sequence[Snapshot]) -> str:
    runs = sum(s.runs_per_s or 0 for s in group)
    share = sum(s.cpu_percent or 0 for s in group)
    if not runs:
        return ""
    # A share of 1 % is 10 ms, or 1e7 ns, in each second
    return f", {count(runs)} runs/s at {duration(share * 1e7 / runs)}: {percent(share)} of a CPU"


def _filled(column: Column, rows: Iterable[SnapshotRow]) -> bool:
    usual = "host" if column.name == "netns_name" else None
    return any(row[column.name] not in (None, "", 0, usual) for row in rows)


def _table(columns: Sequence[Column], rows: Sequence[SnapshotRow]) -> list[str]:
    if not rows or not columns:
        return []
    cells = [[c.title for c in columns]] + [
        [show(row[c.name], c.unit) for c in columns] for row in rows
    ]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    return [
        "  ".join(
            text.ljust(w) if c.unit is Unit.TEXT else text.rjust(w)
            for text, w, c in zip(line, widths, columns, strict=True)
        ).rstrip()
        for line in cells
    ]
