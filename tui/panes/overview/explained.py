"""A case explained: who, what was counted, since when, and what to do next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from probes import units
from probes.analysis.cases import words
from probes.analysis.cases.claim import Gravity, Who
from probes.analysis.cases.finding import Finding, Progress
from tui.session.view import View
from tui.table.fields import label
from tui.table.lines import BLANK, Line, line, wrap
from tui.toolkit.graphs import Subject, graph_lines

_ROOM = 9
"""Cells of a heading at the left."""
_HEIGHT = 8
"""Lines of the graph, with its title and its times."""
_MOST_RUNNING = 4
"""Processes of which the command line is shown."""
_MOST = 12
"""Lines of those who take part, and of what was counted."""


def explained(view: View, finding: Finding, width: int) -> list[Line]:
    """Return all that is known of a case, as lines of a report."""
    case, now = finding.case, view.wall
    said = [words.line(finding, now)]
    if finding.state is not Progress.OVER and finding.usual is not None:
        said.append(f"usual: {words.usual(finding)}")
    parts: Sequence[tuple[str, Iterable[str]]] = (
        ("what", said),
        ("who", [words.owned(who) for who in case.who]),
        ("running", _running(view, case.who)),
        ("counted", [evidence.text.rstrip(".") for evidence in case.evidence if evidence.text]),
        ("next", case.next),
        ("knobs", [words.knob(name, view.knob(name)) for name in case.knobs]),
        ("belongs", [claim.what for claim in case.others]),
    )
    lines = [text for title, texts in parts for text in _part(title, texts, width)]
    return [*lines, *_drawn(view, finding, width)]


def belonging(view: View, finding: Finding, width: int) -> list[Line]:
    """Return who takes part, what follows from it, what was counted and what to do next."""
    case = finding.case
    parts: Sequence[tuple[str, Iterable[str]]] = (
        ("who", [_rated(who) for who in case.who]),
        ("also", [claim.what for claim in case.others]),
        ("counted", [evidence.text.rstrip(".") for evidence in case.evidence if evidence.text]),
        ("knobs", [words.knob(name, view.knob(name)) for name in case.knobs]),
        ("next", case.next),
    )
    lines = [text for title, texts in parts for text in _part(title, texts, width)]
    return [text for text in lines if text is not BLANK]


def _running(view: View, every: Iterable[Who]) -> Iterator[str]:
    """Yield what is known of the processes that take part, as they are now."""
    for who in islice(every, _MOST_RUNNING):
        if who.pid and (facts := view.process(who.pid)) is not None:
            yield words.process(who, facts, view.wall)


def _rated(who: Who) -> str:
    return f"{words.owned(who)}  {units.count(who.rate)}/s" if who.rate else words.owned(who)


def _drawn(view: View, finding: Finding, width: int) -> Iterator[Line]:
    head = finding.case.head
    if head.figure is None:
        return
    mark = "bad" if finding.severity is Gravity.ALARM else "warn"
    subject = Subject(head.figure, head.key, head.what, mark, finding.since)
    for text in graph_lines(view, subject, width - 2, _HEIGHT):
        yield Line(((" ", ""), *text.spans))


def _part(title: str, texts: Iterable[str], width: int) -> Iterator[Line]:
    every = list(dict.fromkeys(texts))
    shown = every[:_MOST]
    if len(every) > _MOST:
        shown.append(f"and {len(every) - _MOST} more")
    for n, text in enumerate(shown):
        for at, row in enumerate(wrap(label(text), max(width - _ROOM - 2, 8))):
            heading = title if n == at == 0 else ""
            yield line((f" {heading:{_ROOM}}", "header"), row)
    if shown:
        yield BLANK
