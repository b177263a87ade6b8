"""Rows of the overview for cases: one for each, the gravest first, then what is over."""

from __future__ import annotations

from collections.abc import Sequence

from probes.analysis.cases import words
from probes.analysis.cases.claim import Gravity
from probes.analysis.cases.finding import Finding, Progress
from probes.analysis.cases.joined import Case
from probes.model import Value
from tui.panes.overview.overview_row import OverviewRow, amount, history, values
from tui.session.view import View
from tui.table.fields import TableRow, label
from tui.table.lines import width_of
from tui.toolkit.pane import Trouble

MOST_OVER = 3
"""Cases that are over and still have a row, the latest."""
MOST_WHAT, _LONG_NAME, _LONGEST = 46, 16, 48
"""Cells that the column of what is wrong may have; letters of a name that is cut within there, and
of one that is whole in the line below."""
_SEEN = 48
"""Letters of what was counted that a screen of 60 columns shows."""
_NAMED = 3
"""Names of those who take part, at most; the others are counted."""


def listed(view: View) -> Sequence[Finding]:
    """Return the findings that have a row."""
    return view.once(_listed)


def _listed(view: View) -> Sequence[Finding]:
    said = [one for one in view.findings() if not one.ordinary]
    over = [one for one in said if one.state is Progress.OVER]
    over.sort(key=lambda one: -(one.until or 0))
    return [*(one for one in said if one.wrong), *over[:MOST_OVER]]


def rows(view: View, titles: dict[str, str]) -> list[OverviewRow]:
    """Return a row for each. titles: of panes, by name."""
    return [_row(view, one, titles) for one in listed(view)]


def case_of(view: View, record: TableRow) -> Case | None:
    """Return the case that a row is of."""
    return next((one.case for one in listed(view) if one.id == record.key), None)


def mark(finding: Finding) -> str:
    """Return the mark of a finding: red for an alarm of this moment, none for what is over."""
    if finding.alarming:
        return "bad"
    return "warn" if finding.wrong else ""


def lead(finding: Finding) -> tuple[str, Sequence[object]]:
    """Return the pane that shows it, and the keys of its rows there, the most telling first."""
    return finding.case.head.pane, [row.key for row in finding.case.rows]


def _row(view: View, finding: Finding, titles: dict[str, str]) -> OverviewRow:
    case, head = finding.case, finding.case.head
    usual = amount(view, finding.usual, head.unit)
    if head.since_boot:
        usual = words.usual(finding)
    cells: dict[str, Value] = {
        "what": label(head.what),
        "where": titles.get(head.pane, ""),
        "since": finding.since or 0.0,
        "since_text": words.began(finding, view.wall),
        "since_brief": words.briefly(finding),
        "why": label(_why(view, finding)),
        **history(view, head.figure, head.key),
        "role": "muted" if finding.state is Progress.OVER else mark(finding),
    }
    if finding.state is not Progress.OVER:
        cells |= {"now": finding.now, "now_text": amount(view, finding.now, head.unit)}
        short = usual.removeprefix("at most ").removesuffix(" since boot")
        cells |= {"usual": finding.usual, "usual_text": short}
    if finding.state is Progress.NOW:
        times = finding.times if case.share is None else case.share
        cells |= {"share": times or 0.0, "share_text": words.share(finding)}
    if finding.state is Progress.EASING:
        cells |= {"since_text": words.eased(finding), "since_brief": words.eased(finding)}
    record = TableRow(head.id, head.what, values(**cells), mark(finding), leads=lead(finding))
    drawn = head.figure if finding.state is not Progress.OVER else None
    return OverviewRow(record, drawn, head.key, usual)


def _why(view: View, finding: Finding) -> str:
    """Return who takes part and what was counted; of what is over, how much it was.

    Who is named where a narrow screen still has room.
    """
    counted = words.evidence(finding)
    unnamed = [who for who in finding.case.who if words.name(who) not in counted[:_SEEN]]
    said = [words.listed(unnamed, _NAMED), _cut(finding.case.head.what, counted), counted]
    if finding.state is Progress.OVER:
        said.insert(0, f"at most {amount(view, finding.peak, finding.case.head.unit)}")
    return "; ".join(text for text in said if text)


def _cut(what: str, counted: str) -> str:
    """Return the long name that is cut within in the column of what is wrong; of a path its end."""
    longest = max(what.split(" "), key=len).rstrip("/:,")
    if width_of(what) <= MOST_WHAT or len(longest) < _LONG_NAME:
        return ""
    name = longest if len(longest) <= _LONGEST else longest.rpartition("/")[2]
    return name if name not in counted else ""


def verdict(findings: Sequence[Finding], now: float) -> Trouble | None:
    """Return what is wrong in one line, with its mark; None if nothing is. now: Unix seconds.

    What eases is told only if nothing else goes on.
    """
    wrong = [one for one in findings if one.wrong]
    wrong = [one for one in wrong if one.state is Progress.NOW] or wrong
    if not wrong:
        return None
    role = "bad" if any(mark(one) == "bad" for one in wrong) else "warn"
    grave = [one for one in wrong if one.severity is Gravity.ALARM]
    others = len(wrong) - len(grave)
    if len(grave or wrong) == 1:
        only = (grave or wrong)[0]
        more = f"; {others} more unusual" if grave and others else ""
        short = more.replace(" more", "")
        said = f"{words.line(only, now)}{more}", f"{_brief(only, now)}{short}"
        return Trouble(role, *map(label, said))
    first = min(grave or wrong, key=lambda one: one.since or 0.0)
    long, brief = _numbers(len(grave), others)
    return Trouble(
        role, label(f"{long}; {_began(first, now)}"), label(f"{brief}; {_first(first, now)}")
    )


def _brief(finding: Finding, now: float) -> str:
    """Return a case in few words: "eth1 drops packets, 38%, 26 s ago"."""
    since = finding.since
    when = words.when(finding, now) if since is None else words.ago(since, now)
    return ", ".join(filter(None, (finding.case.head.what, words.share(finding), when)))


def _numbers(grave: int, others: int) -> tuple[str, str]:
    """Return "2 things are wrong, 3 unusual", and the same in few words."""
    if not grave:
        return f"{others} things are unusual", f"{others} unusual"
    more = f", {others} unusual" if others else ""
    return f"{grave} things are wrong{more}", f"{grave} wrong{more}"


def _began(first: Finding, now: float) -> str:
    what = first.case.head.what
    if first.since is None:
        return f"the first began before {words.clock(first.watched)}: {what}"
    return f"the first began {words.ago(first.since, now)}, at {words.clock(first.since)}: {what}"


def _first(first: Finding, now: float) -> str:
    what = first.case.head.what
    if first.since is None:
        return f"the first before {words.clock(first.watched)}: {what}"
    return f"the first {words.ago(first.since, now)}: {what}"
