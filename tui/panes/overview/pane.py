"""Overview: what is wrong, one row for each cause; below it the calm row of each other pane."""

from __future__ import annotations

from collections.abc import Iterator

from probes.analysis.cases import judgement, words
from probes.analysis.cases.claim import Gravity
from probes.analysis.cases.finding import Progress
from probes.units import Unit
from tui.panes.overview import calm_rows, case_rows
from tui.panes.overview.explained import explained
from tui.panes.overview.overview_row import OverviewRow
from tui.session.view import Event, View, clock
from tui.table.fields import SIGNS, Field, TableRow, label
from tui.table.lines import BLANK, Line, beside, fit, line, wrap
from tui.toolkit.graphs import Subject, graph_lines
from tui.toolkit.pane import EVERY, Pane, Trouble


def _shown(view: View) -> list[OverviewRow]:
    """Return all rows: cases, then the calm ones."""
    return view.once(_all)


def _all(view: View) -> list[OverviewRow]:
    titles = {pane.name: pane.title for pane in calm_rows.told(view)}
    busy = {one.case.head.pane for one in case_rows.listed(view) if one.wrong}
    return [*case_rows.rows(view, titles), *calm_rows.rows(view, busy)]


def _records(view: View) -> list[TableRow]:
    return [one.at(place) for place, one in enumerate(_shown(view), 1)]


def _trouble(view: View) -> Trouble | None:
    """Return what is wrong, in one line."""
    said = case_rows.verdict(view.findings(), view.wall)
    if said is None:
        return None
    return Trouble(said[1], f"{said[0]}{words.ordinary(view.hidden())}")


def _summary(view: View) -> tuple[str, str] | None:
    """Say what is not read at all, while nothing else is wrong: it is not "ok" then."""
    unread = next((s for s in view.statuses if s.unread), None)
    if unread is not None:
        return label(f"{unread.id} {unread.unread}"), "warn"
    blind = judgement.blind(view)
    more = f", nor {len(blind) - 1} more" if len(blind) > 1 else ""
    return (label(f"{words.unread(blind[0])}{more}"), "warn") if blind else None


def _draw(view: View, width: int, height: int) -> list[Line]:
    """Draw the history of the first rows as graphs, two abreast."""
    found = [one for one in _shown(view) if one.figure is not None]
    rows = max(min(height // 3, -(-len(found) // 2)), 1)
    each, lines = height // rows, list[Line]()
    for at in range(0, min(len(found), 2 * rows), 2):
        blocks = [_block(view, one, width // 2 - 2, each) for one in found[at : at + 2]]
        lines += beside(blocks[0], blocks[1] if len(blocks) > 1 else [BLANK], width // 2)
    return lines


def _block(view: View, one: OverviewRow, width: int, height: int) -> list[Line]:
    """Draw a row: its name, what is counted, how much, and its history below."""
    record, figure = one.record, one.figure
    if figure is None:
        return [BLANK]
    since = record.values["since"] if record.mark else None
    begun = since if isinstance(since, float) else None
    subject = Subject(figure, one.key, record.text("what"), record.mark, begun)
    drawn = graph_lines(view, subject, width - 1, height)
    return [Line(((" ", ""), *text.spans)) for text in drawn]


def _below(view: View, width: int, height: int) -> list[Line]:
    """List the latest events, newest first: cases that began and ended, and changes of hooks."""
    said = [*_turns(view), *view.events]
    said.sort(key=lambda e: -e.wall)
    return [
        line((f"  {clock(e.wall)} ", "muted"), (fit(label(e.text), width - 12).rstrip(), e.role))
        for e in said[:height]
    ]


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
        Field("what", "What", Unit.TEXT, 26, 0, 58, "what is wrong; else the busiest or slowest",
              _role),
        Field("where", "Pane", Unit.TEXT, 0, 9, help="the pane that Enter goes to"),
        Field("share", "Share", Unit.PERCENT, 6, 0,
              help="of the packets, calls, attempts; or how many times the usual", colour=_role,
              write=lambda r: r.text("share_text")),
        Field("now", "Now", Unit.COUNT, 8, 0, help="a second, or a time; of this moment",
              colour=_role, write=lambda r: r.text("now_text")),
        Field("usual", "Usual", Unit.COUNT, 8, 4,
              help="the median of the last 15 minutes, unusual values excluded",
              colour=muted, write=lambda r: r.text("usual_text")),
        Field("since", "Since", Unit.COUNT, 18, 0, 25,
              "since when it is so; easing: how much it was, and is; or from when to when it was",
              _role, lambda r: r.text("since_text"), lambda r: r.text("since_brief"), left=True),
        Field("why", "Why, and by whom", Unit.TEXT, 90, 0, 200,
              "who takes part, and what was counted", under=True),
        Field("history", "History", Unit.TEXT, 8, 5, 60, "newest at the right",
              colour=lambda r: "graph2" if r.mark else "graph1", newest=True),
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
    case=case_rows.case_of,
    draw=_draw,
    wants=judgement.wants,
    vitals=True,
)
