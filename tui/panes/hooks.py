"""Hooks: each one's state and rung, why higher rungs were refused, and what it costs."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from functools import partial

from probes.analysis.history import Figure
from probes.analysis.snapshot import Snapshot
from probes.model import HookId, Reach, Refusal, Rung, State, Status, Value
from probes.units import Unit
from tui.session.view import View, clock
from tui.table.fields import Field, TableRow, label
from tui.table.lines import Line, Span, fit, line, width_of, wrap
from tui.toolkit.detail import graphs, heading, pairs
from tui.toolkit.pane import Pane, Trouble

_ROLES = {
    State.ATTACHED: "good",
    State.PASSIVE: "good",
    State.ATTACHING: "warn",
    State.FAILED: "bad",
    State.DETACHED: "muted",
}

_RANKS = {State.FAILED: 0, State.DETACHED: 3}


def _records(view: View) -> list[TableRow]:
    ordered = sorted(view.statuses, key=_rank)  # what needs a look comes first
    return [_record(view, i, status) for i, status in enumerate(ordered, 1)]


def _rank(status: Status) -> int:
    if status.degraded or status.one_in > 1 or (status.state is State.DETACHED and status.note):
        return 1
    return _RANKS.get(status.state, 2)


def _record(view: View, place: int, status: Status) -> TableRow:
    snapshot = view.snapshots.get(status.id)
    standing = snapshot is not None and status.state in (State.ATTACHED, State.PASSIVE)
    values: dict[str, Value] = {
        "place": place,
        "hook": str(status.id),
        "state": _state(status),
        "rung": status.rung or ("attaching..." if status.state is State.ATTACHING else "-"),
        "refused": len(status.refused),
        "events": snapshot.runs_per_s if snapshot and standing else None,
        "ns": snapshot.ns_per_run if snapshot and standing else None,
        "cpu": snapshot.cpu_percent if snapshot and standing else None,
        "memory": snapshot.sample.cost.map_memory
        if snapshot and standing and snapshot.sample.cost
        else None,
        "lost": snapshot.sample.lost if snapshot and standing else None,
        "note": status.note or (status.refused[-1].why if status.refused else ""),
    }
    mark = "bad" if status.state is State.FAILED else ""
    return TableRow(status.id, str(status.id), values, mark)


_REACH = {
    Reach.OBSERVES: "observes only",
    Reach.DATA_PATH: "in the data path: attached when you ask for it",
}


def _state(status: Status) -> str:
    slowed = f", 1 in {status.one_in}" if status.one_in > 1 else ""
    return f"{status.state}{slowed}{', lower rung' if status.degraded else ''}"


def _trouble(view: View) -> Trouble | None:
    failed = [s for s in view.statuses if s.state is State.FAILED]
    if failed:
        first = failed[0]
        why = first.refused[-1].why if first.refused else first.note
        others = f"  (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        return Trouble("bad", f"{label(first.id)} failed: {label(why)}{others}")
    cut = [s for s in view.statuses if s.one_in > 1 or (s.state is State.DETACHED and s.note)]
    if cut:
        others = f"  (and {len(cut) - 1} more)" if len(cut) > 1 else ""
        return Trouble("warn", f"{label(cut[0].id)}: {label(cut[0].note)}{others}")
    lost = [s for s in view.snapshots.values() if s.sample.lost]
    if lost:
        worst = max(lost, key=lambda s: s.sample.lost)
        return Trouble("warn", f"{label(worst.id)}: {worst.sample.lost} events were lost")
    return None


def _detail(view: View, record: TableRow, width: int) -> list[Line]:
    id = record.key
    assert isinstance(id, HookId)
    hook, status = view.catalogue.get(id.hook), view.status(id)
    if hook is None:
        return [line(("this hook is gone", "muted"))]
    lines = pairs([("Hook", id), ("Question", hook.question), ("Reach", _REACH[hook.reach])], width)
    lines.append(line(("  State         ", "muted"), (_state(status), _ROLES[status.state])))
    if status.note:
        lines += pairs([("Note", status.note)], width)
    if status.pinned:
        lines += pairs([("Pinned", "the user chose the rung")])
    lines += [*heading("Ladder, best rung first"), *_ladder(hook.ladder, status, width)]
    lines += [*graphs(PANE, view, record, width), *heading("Columns")]
    lines += [
        line((f"  {c.title:14}", ""), (label(c.help), "muted"))
        for c in hook.columns
        if not c.hidden
    ]
    return lines


def _ladder(ladder: Sequence[Rung], status: Status, width: int) -> Iterator[Line]:
    refused = {r.rung: r for r in status.refused}
    names = [r.name for r in ladder] or [*refused, *([status.rung] if status.rung else [])]
    least = {r.name: r.requires for r in ladder}
    for name in names:
        if name == status.rung:
            yield from _rung(("  in use     ", "good"), (label(name), "accent"), least, width)
        elif name in refused:
            yield from _refusal(refused[name], width)
        else:
            yield from _rung(("  not tried  ", "muted"), (label(name), ""), least, width)


def _rung(state: Span, name: Span, least: Mapping[str, str], width: int) -> Iterator[Line]:
    """Yield a rung and what it needs, beside it if that fits."""
    needs = f"needs {label(least[name[0]])}" if least.get(name[0]) else ""
    if sum(map(width_of, (state[0], name[0], needs))) + 3 <= width:
        yield line(state, name, (f"   {needs}" if needs else "", "muted"))
        return
    yield line(state, name)
    for row in wrap(needs, max(width - 24, 20)):
        yield line(("             ", ""), (row, "muted"))


def _refusal(refusal: Refusal, width: int) -> Iterator[Line]:
    yield line(("  refused    ", "bad"), label(refusal.rung), "  ", (label(refusal.error), "warn"))
    for title, text in (("why", refusal.why), ("remedy", refusal.remedy)):
        for i, row in enumerate(wrap(label(text), max(width - 24, 20))):
            yield line((f"             {'' if i else title:8}", "muted"), row)
    for row in refusal.log.splitlines()[-30:]:
        yield line(("             | ", "muted"), (label(row), "muted"))


def _summary(view: View) -> tuple[str, str]:
    """Say that nothing is wrong, and which hooks are not on their best rung."""
    degraded = [s for s in view.statuses if s.degraded]
    if not degraded:
        return "ok: nothing unusual here", "muted"
    words = ", ".join(f"{s.id} on {s.rung}" for s in degraded[:3])
    more = f" and {len(degraded) - 3} more" if len(degraded) > 3 else ""
    return label(f"ok; not on the best rung: {words}{more} (Enter: why)"), "muted"


def _below(view: View, width: int, height: int) -> list[Line]:
    return [
        line((f"  {clock(e.wall)} ", "muted"), (fit(label(e.text), width - 12).rstrip(), e.role))
        for e in list(view.events)[: -height - 1 : -1]
    ]


def _cost(what: str, snapshots: Sequence[Snapshot]) -> Mapping[Hashable, float | None]:
    return {s.id: s.runs_per_s if what == "runs" else s.cpu_percent for s in snapshots}


def _state_role(record: TableRow) -> str:
    state = record.text("state").partition(",")
    return "warn" if state[2] else _ROLES[State(state[0])]


def needs_word(view: View, id: HookId) -> bool:
    """Return whether the hook is in a data path, so that the user must confirm attaching."""
    hook = view.catalogue.get(id.hook)
    return hook is not None and hook.reach is Reach.DATA_PATH


_FIELDS = (
    Field("place", "#", Unit.NUMBER, 3, 6, help="failed, on a lower rung, attached, detached"),
    Field("hook", "Hook", Unit.TEXT, 19, 0, 26, "the hook and its target"),
    Field(
        "state", "State", Unit.TEXT, 20, 0, 0, "lower rung: the best one was refused", _state_role
    ),
    Field("rung", "Rung", Unit.TEXT, 16, 1, 24, "how it is attached"),
    Field("refused", "Refused", Unit.COUNT, 8, 4, help="rungs that were refused"),
    Field("events", "Events/s", Unit.COUNT, 9, 1, help="program runs a second"),
    Field("ns", "ns/run", Unit.NS, 8, 3, help="mean time of one run"),
    Field("cpu", "CPU", Unit.PERCENT, 7, 2, help="share of one CPU"),
    Field(
        "memory",
        "Maps",
        Unit.BYTES,
        7,
        4,
        help="memory of its maps; shared maps count for each hook",
    ),
    Field("lost", "Lost", Unit.COUNT, 6, 5, help="events that were lost"),
    Field("note", "Note", Unit.TEXT, 20, 6, 60, help="what is missing, or in progress"),
)
PANE = Pane(
    name="hooks",
    title="Hooks",
    order=50,
    hooks=("*",),
    fields=lambda _: _FIELDS,
    sort="place",
    reverse=False,
    records=_records,
    trouble=_trouble,
    summary=_summary,
    detail=_detail,
    figures=(
        Figure("hook-runs", "events/s", Unit.COUNT, "*", partial(_cost, "runs")),
        Figure("hook-cpu", "CPU", Unit.PERCENT, "*", partial(_cost, "cpu")),
    ),
    below=_below,
    below_title="Log",
    hook_of=lambda record: record.key if isinstance(record.key, HookId) else None,
)
