"""Rows of the overview for panes without a case: their busiest or slowest, or why there is none."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from probes import units
from probes.model import State, Status, Value
from tui.panes import panes
from tui.panes.overview.overview_row import OverviewRow, amount, history, values
from tui.session.view import View
from tui.table.fields import TableRow, label
from tui.toolkit.pane import Busiest, Pane

_WAITING = "waiting for the first numbers"


def told(view: View) -> list[Pane]:
    """Return the panes that have a row here."""
    return [p for p in panes(view.catalogue) if p.busiest is not None]


def rows(view: View, without: Collection[str]) -> list[OverviewRow]:
    """Return a row for each pane but those, then the hooks'; what cannot be seen is last.

    Also of those what they cannot see.
    """
    found = [
        _blind_row(pane, blind) if pane.name in without else _row(view, pane, blind)
        for pane in told(view)
        if (blind := _blind(view, pane)) or pane.name not in without
    ]
    found.append(_hooks(view))
    return sorted(found, key=lambda one: one.record.values.get("blind") is not None)


def _row(view: View, pane: Pane, blind: str) -> OverviewRow:
    waits, found = _waits(view, pane), pane.busiest(view) if pane.busiest is not None else None
    if found is None or (not found.amount and waits):
        if blind:
            return _blind_row(pane, blind)
        return _waiting_row(pane) if waits else _quiet_row(view, pane)
    shown = _busiest_row(view, pane, found)
    if blind:
        record = shown.record
        why = f"{record.text('why')}; {blind}"
        cells = {**record.values, "why": why, **_blindness(blind)}
        shown = shown._replace(record=TableRow(record.key, record.name, cells, leads=record.leads))
    return shown


def _blind_row(pane: Pane, blind: str) -> OverviewRow:
    return _plain_row(pane, f"{pane.title}: not all is seen", blind, **_blindness(blind))


def _waiting_row(pane: Pane) -> OverviewRow:
    return _plain_row(pane, pane.title, f"{_WAITING} of {', '.join(pane.needs)}")


def _quiet_row(view: View, pane: Pane) -> OverviewRow:
    """Return the row of a pane with nothing in it, and by what one knows that it is nothing."""
    rungs = [s for s in view.statuses if s.id.hook in pane.needs and s.rung]
    counted = ", ".join(dict.fromkeys(f"{s.id.hook} on {s.rung}" for s in rungs))
    why = f"{pane.title}: counted by {counted}" if counted else pane.title
    return _plain_row(pane, pane.calm, why, now=0, now_text="0")


def _plain_row(pane: Pane, what: str, why: str, **more: Value) -> OverviewRow:
    cells = values(what=what, where=pane.title, why=label(why), **more)
    return OverviewRow(TableRow(pane.name, pane.title, cells, leads=(pane.name, ())))


def _blindness(blind: str) -> dict[str, Value]:
    return {"blind": blind, "role": "warn"} if blind else {}


def _busiest_row(view: View, pane: Pane, found: Busiest) -> OverviewRow:
    usual = view.usual(found.figure, found.key)
    text = amount(view, usual, found.figure.unit)
    cells = values(
        what=label(found.what),
        where=pane.title,
        now=found.amount,
        now_text=found.now,
        usual=usual,
        usual_text=text,
        why=found.why,
        **history(view, found.figure, found.key),
    )
    lead = pane.name, (found.record.key,)
    record = TableRow(pane.name, f"{pane.title} {found.record.name}", cells, leads=lead)
    return OverviewRow(record, found.figure, found.key, text)


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


def _hooks(view: View) -> OverviewRow:
    """Return the row of the hooks themselves: their state and cost."""
    standing = [s for s in view.statuses if s.state in (State.ATTACHED, State.PASSIVE)]
    failed = [s for s in view.statuses if s.state is State.FAILED]
    degraded = [s for s in standing if s.degraded]
    what = f"{len(standing)} attached"
    if failed:
        what = f"{len(failed)} failed"
    elif degraded:
        what = f"{len(degraded)} on lower rungs" if len(degraded) > 1 else "1 on a lower rung"
    if attaching := sum(s.state is State.ATTACHING for s in view.statuses):
        what = f"{attaching} attaching"
    said = list(_of_hooks(view, failed, degraded))
    why = "; ".join(said) or ("" if attaching else "all on their best rungs")
    cost = [s.cpu_percent for s in view.snapshots.values() if s.cpu_percent is not None]
    cells = values(what=f"Hooks: {what}", where="Hooks", why=why, now=0)
    cells["now_text"] = units.percent(sum(cost)) if cost else ""
    worst = (*failed, *degraded)
    lead = "hooks", tuple(s.id for s in worst[:1])
    mark = "warn" if failed or _lost(view) else ""
    cells["role"] = mark
    return OverviewRow(TableRow("hooks", "Hooks", cells, mark, leads=lead))


def _of_hooks(view: View, failed: Sequence[Status], degraded: Sequence[Status]) -> Iterator[str]:
    for status in failed[:1]:
        yield f"{status.id} failed: {_refusal(status)}"
    if lost := _lost(view):
        yield f"{units.count(lost)} events were lost"
    for status in degraded[:3]:
        yield f"{status.id} on {status.rung}"
    if len(degraded) > 3:
        yield f"{len(degraded) - 3} more on lower rungs"


def _lost(view: View) -> int:
    return sum(s.sample.lost for s in view.snapshots.values())
