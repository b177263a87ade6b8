"""Overview: what is wrong, one row for each cause; below it the calm row of each other pane."""

from __future__ import annotations

from collections.abc import Iterator

from probes.analysis.cases import judgement, words
from probes.analysis.cases.claim import Gravity
from probes.analysis.cases.finding import Progress
from probes.units import Unit
from tui.panes.overview import calm_rows, case_rows
from tui.panes.overview.explained import explained
from tui.panes.overview.overview_row import OverviewRow, draw_history
from tui.panes.overview.selected import drawn
from tui.panes.overview.timeline import timeline
from tui.session.view import Event, View, clock
from tui.table.fields import SIGNS, Field, TableRow, label
from tui.table.lines import BLANK, Line, fit, fit_words, line, wrap
from tui.toolkit.history_line import BACK
from tui.toolkit.pane import EVERY, Pane, Trouble

WRONG, CALM = "What is wrong", "Busiest and slowest"
"""What the rows are, as their heading says: cases among them, or none."""


def _shown(view: View) -> list[OverviewRow]:
    """Return all rows: cases, then the calm ones."""
    return view.once(_all)


def _all(view: View) -> list[OverviewRow]:
    titles = {pane.name: pane.title for pane in calm_rows.told(view)}
    busy = {one.case.head.pane for one in case_rows.listed(view) if one.wrong}
    return [*case_rows.rows(view, titles), *calm_rows.rows(view, busy)]


def _records(view: View) -> list[TableRow]:
    return [one.at(place) for place, one in enumerate(_shown(view), 1)]


def _heading(view: View) -> str:
    return WRONG if case_rows.listed(view) else CALM


def _trouble(view: View) -> Trouble | None:
    """Return what is wrong, in one line."""
    said = case_rows.verdict(view.findings(), view.wall)
    if said is None:
        return None
    more = words.ordinary(view.hidden())
    return Trouble(said.role, f"{said.text}{more}", f"{said.brief}{more}")


def _summary(view: View) -> tuple[str, str] | None:
    """Say what is not read at all, while nothing else is wrong: it is not "ok" then."""
    unread = next((s for s in view.statuses if s.unread), None)
    if unread is not None:
        return label(f"{unread.id} {unread.unread}"), "warn"
    blind = judgement.blind(view)
    more = f", nor {len(blind) - 1} more" if len(blind) > 1 else ""
    return (label(f"{words.unread(blind[0])}{more}"), "warn") if blind else None


def _draw(view: View, record: TableRow | None, width: int, height: int) -> list[Line]:
    """Draw the selected row large."""
    rows = _shown(view)
    row = next((one for one in rows if record and one.record.key == record.key), None)
    return drawn(view, row, width, height) if row is not None else [BLANK]


def _below(view: View, width: int, height: int) -> list[Line]:
    """Return the timeline, then the latest events: cases that began and ended, changes of hooks."""
    said = [*_turns(view), *view.events]
    said.sort(key=lambda e: -e.wall)
    events = [
        line((f"  {clock(e.wall)} ", "muted"), (fit(label(e.text), width - 12).rstrip(), e.role))
        for e in said[: height - 1]
    ]
    return [timeline(view, width), *events]


def _turns(view: View) -> Iterator[Event]:
    for turn in view.turns():
        role = "muted"
        if turn.state is Progress.NOW:
            role = "bad" if turn.severity is Gravity.ALARM else "warn"
        yield Event(turn.wall, f"{SIGNS.get(role, '-')} {words.turn(turn)}", role)


def _detail(view: View, record: TableRow, width: int) -> list[Line]:
    finding = next((one for one in case_rows.listed(view) if one.id == record.key), None)
    if finding is not None:
        return explained(view, finding, width)
    return [line(text) for text in wrap(record.text("why"), width)]


def _role(record: TableRow) -> str:
    return record.text("role")


def _fields(_catalogue: object) -> tuple[Field, ...]:
    muted = lambda _: "muted"  # noqa: E731 # it is no more than that
    return (
        Field("place", "#", Unit.NUMBER, 0, 9, help="the gravest first, then the calm ones"),
        Field("what", WRONG, Unit.TEXT, 26, 0, case_rows.MOST_WHAT,
              "what is wrong; else the busiest or slowest",
              _role, drawn=lambda record, width: fit_words(label(record.text("what")), width)),
        Field("where", "Pane", Unit.TEXT, 0, 9, help="the pane that Enter goes to"),
        Field("share", "Share", Unit.PERCENT, 6, 0,
              help="of the packets, calls, attempts; or how many times the usual", colour=_role,
              write=lambda r: r.text("share_text")),
        Field("now", "Now", Unit.COUNT, 8, 0, help="present amount, per second or as a time",
              colour=_role, write=lambda r: r.text("now_text")),
        Field("usual", "Usual", Unit.COUNT, 8, 4,
              help="the median of the last 15 minutes, unusual values excluded",
              colour=muted, write=lambda r: r.text("usual_text")),
        Field("since", "Began", Unit.COUNT, 18, 0, 24,
              "when it began; easing: how much it was, and is; or from when to when it was",
              _role, lambda r: r.text("since_text"), lambda r: r.text("since_brief"), left=True),
        Field("why", "Why, and by whom", Unit.TEXT, 90, 0, 200,
              "who takes part, and what was counted", under=True),
        Field("history", BACK, Unit.TEXT, 16, 5, 40, "the last two minutes of what Now counts",
              colour=lambda r: r.mark or "graph1", drawn=draw_history, ends="now"),
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
    leads=lambda record: record.leads,
    case=case_rows.case_of,
    draw=_draw,
    wants=judgement.wants,
    vitals=True,
    heading=_heading,
    says_beyond=True,
)
