"""Overview: what is wrong now, in one line per pane, with the history that shows it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from probes import units
from probes.model import HookId, State, Status, Value
from probes.units import Unit
from tui.panes import panes
from tui.session.view import Event, View, clock
from tui.table.fields import Field, TableRow, label
from tui.table.lines import BLANK, Line, beside, fit, line
from tui.toolkit.anomaly_column import brief, mark_of, unusual_field
from tui.toolkit.pane import EVERY, MOST_WORST, Pane, Trouble, Worst
from tui.widgets.graph import graph

_MORE = 24
"""Findings that are listed after each pane's first, at most."""
_WAITING = "waiting for the first numbers..."
_UNUSUAL = ("unusual", "unusual_words", "unusual_brief")
_SPARK = 120
"""Cells of a history in a row; as many as there is space for are shown."""


def _asked(view: View) -> list[Pane]:
    """Return the panes that contribute to the overview."""
    return [p for p in panes(view.catalogue) if p.worst is not None and p.needs]


def _found(view: View) -> list[tuple[Pane, list[Worst]]]:
    """Return the findings of each pane."""
    return view.once(_said)


def _said(view: View) -> list[tuple[Pane, list[Worst]]]:
    return [(p, list(p.worst(view, MOST_WORST))) for p in _asked(view) if p.worst]


def _records(view: View) -> list[TableRow]:
    """Return each pane's worst finding, always in the same place, then the others marked."""
    found = _found(view)
    records = [_first(view, i, pane, each) for i, (pane, each) in enumerate(found, 1)]
    records.append(_hooks(view, len(records) + 1))
    more = [(pane, f) for pane, each in found for f in each[1:] if f.record.mark]
    more.sort(key=lambda m: (m[1].record.mark != "bad", m[1].verdict.since or 0))
    for pane, finding in more[:_MORE]:
        records.append(_record(view, len(records) + 1, pane, finding))
    return records


def _first(view: View, place: int, pane: Pane, found: Sequence[Worst]) -> TableRow:
    blind = _blind(view, pane)
    if not found or (not found[0].weight and _waits(view, pane)):
        calm = _WAITING if _waits(view, pane) else pane.calm
        values = _blank(place, pane.title, blind or calm)
        mark = "warn" if blind else ""
        return TableRow(pane.name, f"{pane.title} -", values, mark, leads=(pane.name, None))
    record = replace(_record(view, place, pane, found[0]), key=pane.name)
    if blind:
        record = replace(record, values={**record.values, "why": f"{record.text('why')}; {blind}"})
    return record


def _record(view: View, place: int, pane: Pane, finding: Worst) -> TableRow:
    record = finding.record
    usual = _usual(view, finding)
    series = view.series(finding.figure, finding.key, 2 * _SPARK)
    values: dict[str, Value] = {
        "place": place,
        "where": pane.title,
        "what": record.name,
        "now": finding.weight,
        "now_text": finding.now,
        "usual": usual,
        "usual_text": _shown(view, finding, usual),
        "why": finding.why,
        "history": graph(series, _SPARK, 1, ascii=view.ascii)[0].spans[0][0],
        **{name: record.values.get(name) for name in _UNUSUAL},
    }
    leads = pane.name, record.key
    return TableRow(leads, f"{pane.title} {record.name}", values, record.mark, leads=leads)


def _usual(view: View, finding: Worst) -> float | None:
    """Return the value before it was unusual, or the usual one now."""
    if finding.verdict.since is not None:
        return finding.verdict.usual
    return view.usual(finding.figure, finding.key)


def _shown(view: View, finding: Worst, usual: float | None) -> str:
    """Format the usual value like the number beside it."""
    if usual is None:
        return units.DASH
    text = units.show(usual, finding.figure.unit, bits=view.bits)
    return text if finding.figure.unit in (Unit.NS, Unit.US) else f"{text}/s"


def _blank(place: int, where: str, why: str) -> dict[str, Value]:
    return {
        "place": place, "where": where, "what": "-", "now": None, "now_text": "", "usual": None,
        "usual_text": "", "why": why, "history": "", "unusual": None, "unusual_words": "",
        "unusual_brief": "",
    }  # fmt: skip


def _waits(view: View, pane: Pane) -> bool:
    """Return whether a hook has been read only once, so that it has no rates yet."""
    snapshots = [view.of(hook) for hook in pane.needs]
    return not all(snapshots) or any(s.interval is None for found in snapshots for s in found)


def _blind(view: View, pane: Pane) -> str:
    """Say which data is missing, and why; "" if all hooks needed are attached."""
    for hook in pane.needs:
        of_hook = [s for s in view.statuses if s.id.hook == hook]
        if unread := next((s.unread for s in of_hook if s.unread), ""):
            return f"{hook} {unread}"
        status = next(iter(of_hook), None)
        if status is None or status.state in (State.ATTACHED, State.ATTACHING):
            continue
        if status.state is State.PASSIVE:
            if status.refused:
                return f"{hook} only by {status.rung} ({_refusal(status)})"
            continue
        return f"{hook} {status.state}: {_refusal(status)}"
    return ""


def _refusal(status: Status) -> str:
    if status.refused:
        return status.refused[-1].why
    return status.note or "it was not requested"


def _hooks(view: View, place: int) -> TableRow:
    """Return the row of the hooks themselves: their state and cost."""
    standing = [s for s in view.statuses if s.state in (State.ATTACHED, State.PASSIVE)]
    failed = [s for s in view.statuses if s.state is State.FAILED]
    degraded = [s for s in standing if s.degraded]
    lost = sum(s.sample.lost for s in view.snapshots.values())
    said = [f"{s.id} failed: {_refusal(s)}" for s in failed[:1]]
    if lost:
        said.append(f"{units.count(lost)} events were lost")
    said += [f"{s.id} on {s.rung}" for s in degraded[:3]]
    if len(degraded) > 3:
        said.append(f"{len(degraded) - 3} more on lower rungs")
    values = _blank(place, "Hooks", "; ".join(said) or "all on their best rungs")
    values["what"] = f"{len(standing)} attached"
    if failed:
        values["what"] = f"{len(failed)} failed"
    elif degraded:
        values["what"] = f"{len(degraded)} degraded"
    if attaching := sum(s.state is State.ATTACHING for s in view.statuses):
        values["what"], values["why"] = f"{attaching} attaching", "; ".join(said)
    cost = [s.cpu_percent for s in view.snapshots.values() if s.cpu_percent is not None]
    values["now"], values["now_text"] = 0, f"{units.percent(sum(cost))}" if cost else ""
    worst = (*failed, *degraded)
    mark = "bad" if failed else "warn" if lost else ""
    return TableRow("hooks", "Hooks", values, mark, leads=("hooks", worst[0].id if worst else None))


def _trouble(view: View) -> Trouble | None:
    """Return the worst of each pane, in one line."""
    first = [(pane, each[0]) for pane, each in _found(view) if each and each[0].record.mark]
    if not first:
        return None
    role = "bad" if any(f.record.mark == "bad" for _, f in first) else "warn"
    return Trouble(role, label("; ".join(f"{f.record.name} {f.does} {f.now}" for _, f in first)))


def _summary(view: View) -> tuple[str, str] | None:
    """Say what is not read at all, while nothing else is wrong."""
    unread = next((s for s in view.statuses if s.unread), None)
    return (label(f"{unread.id} {unread.unread}"), "warn") if unread else None


def _draw(view: View, width: int, height: int) -> list[Line]:
    """Draw the first finding of each pane as a graph, two abreast."""
    found = [each[0] for _, each in _found(view) if each]
    rows = max(min(height // 3, -(-len(found) // 2)), 1)
    each, lines = height // rows, list[Line]()
    for at in range(0, min(len(found), 2 * rows), 2):
        blocks = [_block(view, f, width // 2 - 2, each) for f in found[at : at + 2]]
        lines += beside(blocks[0], blocks[1] if len(blocks) > 1 else [BLANK], width // 2)
    return lines


def _block(view: View, finding: Worst, width: int, height: int) -> list[Line]:
    """Draw a finding: its name, the value now and usually, and its history below."""
    values = view.series(finding.figure, finding.key, 2 * width)
    record, figure = finding.record, finding.figure
    usual = _usual(view, finding)
    said = f"usual {_shown(view, finding, usual)}" if usual is not None else "usual not yet known"
    room = max(width - len(figure.title) - len(said) - 6, 8)
    title = line(
        ("!" if record.mark else " ", record.mark),
        (fit(label(record.name), min(room, max(len(record.name), 4))), "accent"),
        f" {figure.title}",
        (f"  {said}", "muted"),
    )
    wrong = figure.wrong and bool(record.mark)
    drawn = graph(values, width, height - 1, wrong=wrong, ascii=view.ascii)
    return [title, *(Line(((" ", ""), *text.spans)) for text in drawn)]


def _below(view: View, width: int, height: int) -> list[Line]:
    """List the latest events, newest first: what became unusual, and changes of hooks."""
    said = [*_begun(view), *view.events]
    said.sort(key=lambda e: -e.wall)
    return [
        line((f"  {clock(e.wall)} ", "muted"), (fit(label(e.text), width - 12).rstrip(), e.role))
        for e in said[:height]
    ]


def _begun(view: View) -> Iterator[Event]:
    for pane, each in _found(view):
        for finding in each:
            verdict, record = finding.verdict, finding.record
            if verdict.since is not None and record.mark:
                text = (
                    f"! {pane.title}: {record.name} {finding.does} {finding.now}, {brief(verdict)}"
                )
                yield Event(verdict.since, f"{text}: {finding.why}", record.mark)


def _wants(view: View) -> HookId | None:
    """Return the hook that tells whose calls fail, while the worst call is marked."""
    for pane, each in _found(view):
        if pane.name == "syscalls" and each and each[0].record.mark:
            return HookId("syscall-processes", each[0].record.name)
    return None


def _detail(_view: View, record: TableRow, width: int) -> list[Line]:
    return [line(fit(record.text("why"), width))]


def _fields(_catalogue: object) -> tuple[Field, ...]:
    return (
        Field("place", "#", Unit.NUMBER, 0, 9, help="the worst of each pane, then the rest"),
        Field("where", "Pane", Unit.TEXT, 11, 2, help="the pane that Enter goes to",
              colour=lambda _: "muted"),
        Field("what", "What", Unit.TEXT, 20, 1, 40, "interface, call, destination, connection",
              colour=mark_of),
        Field("now", "Now", Unit.COUNT, 8, 0, help="drops, errors, failures per second; a time",
              colour=mark_of, write=lambda r: r.text("now_text")),
        Field("usual", "Usual", Unit.COUNT, 8, 4,
              help="the median of the last 15 minutes, unusual values excluded",
              colour=lambda _: "muted", write=lambda r: r.text("usual_text")),
        unusual_field(0, 25),
        Field("why", "Why, and by whom", Unit.TEXT, 42, 0, 90,
              "the reason or kind of failure, and the owner", under=True),
        Field("history", "History", Unit.TEXT, 20, 1, 100, "newest at the right",
              colour=lambda r: "graph2" if r.mark else "graph1", newest=True, under=True),
    )  # fmt: skip


PANE = Pane(
    name="overview",
    title="Overview",
    order=5,
    hooks=(EVERY,),
    fields=_fields,
    sort="place",
    reverse=False,
    few=True,
    records=_records,
    trouble=_trouble,
    detail=_detail,
    summary=_summary,
    below=_below,
    below_title="Recent events",
    leads=lambda record: record.leads,
    draw=_draw,
    wants=_wants,
)
