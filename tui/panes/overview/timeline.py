"""The timeline: when each case began, in one line, whatever the size of the table."""

from __future__ import annotations

from collections.abc import Sequence

from probes.analysis.cases.claim import Gravity
from probes.analysis.cases.finding import Finding, Progress
from probes.analysis.cases.kinds import CaseKind, kind_of
from tui.panes.overview import case_rows
from tui.session.view import SPANS, View
from tui.table.lines import Line, Span, joined, line, width_of

_LETTERS = {
    CaseKind.DROPS: ("D", "drops"),
    CaseKind.CONNECTS: ("F", "fails"),
    CaseKind.CALLS: ("F", "fails"),
    CaseKind.TRIPS: ("R", "RTT"),
    CaseKind.LOSS: ("L", "loss"),
    CaseKind.SLOW: ("S", "slow"),
    CaseKind.MEMORY: ("M", "memory"),
    CaseKind.OTHER: ("O", "other"),
}
"""Kind of a case -> its letter, and what that means."""
_NOW = " now"
_LEAST = 10
"""Cells below which the legend has to go."""


def timeline(view: View, width: int) -> Line:
    """Return the line: letters where cases began, "=" while one harms, "-" otherwise."""
    said = [one for one in view.findings() if not one.ordinary]
    seconds = _span(view, said)
    back = f"-{seconds / 60:.0f}m"
    legend = _legend(said)
    room = width - len(back) - len(_NOW) - 3 - sum(width_of(text) for text, _ in legend)
    if room < _LEAST:
        room, legend = width - len(back) - len(_NOW) - 3, []
    cells = _Stretch(view, seconds, max(room, 1))
    for one in said:
        cells.harm(one)
    cells.begin(sorted(said, key=_began))
    return line((f" {back} ", "muted"), *joined(cells.spans), (f"{_NOW} ", "muted"), *legend)


def _began(finding: Finding) -> float:
    return finding.watched if finding.since is None else finding.since


def _span(view: View, said: Sequence[Finding]) -> float:
    """Return the shortest stretch in which all of them began, at least that of the graphs."""
    oldest = max([view.wall - _began(one) for one in said], default=0.0)
    return next((span for span in SPANS if span >= max(oldest, view.span)), SPANS[-1])


def _letter(finding: Finding) -> tuple[str, str]:
    return _LETTERS[kind_of(finding.case.head)]


def _legend(said: Sequence[Finding]) -> list[Span]:
    there = {_letter(one) for one in said}
    return [
        span
        for letter, meaning in dict.fromkeys(_LETTERS.values())
        if (letter, meaning) in there
        for span in ((f" {letter}", ""), (f" {meaning}", "muted"))
    ]


class _Stretch:
    """The cells of a stretch of time that ends now."""

    def __init__(self, view: View, seconds: float, room: int) -> None:
        self._end, self._seconds, self._room = view.wall, seconds, room
        unseen = self._place(view.wall - view.watched()) if view.watched() < seconds else 0
        self.spans: list[Span] = [(" ", "")] * unseen + [("-", "muted")] * (room - unseen)

    def _place(self, wall: float) -> int:
        part = 1 - (self._end - wall) / self._seconds
        return min(max(int(part * self._room), 0), self._room - 1)

    def harm(self, finding: Finding) -> None:
        """Mark the time in which an alarm went on."""
        if finding.severity is not Gravity.ALARM:
            return
        until = self._end if finding.until is None else finding.until
        for cell in range(self._place(_began(finding)), self._place(until) + 1):
            self.spans[cell] = ("=", "warn")

    def begin(self, findings: Sequence[Finding]) -> None:
        """Put a letter where each began, or beside that: their order is that of their times."""
        findings = findings[-self._room :]
        cells, left = list[int](), -1
        for one in findings:
            left = max(self._place(_began(one)), left + 1)
            cells.append(left)
        right = self._room
        for one, cell in zip(reversed(findings), reversed(cells), strict=True):
            right = min(cell, right - 1)
            role = "muted" if one.state is Progress.OVER else case_rows.mark(one)
            self.spans[right] = (_letter(one)[0], role)
