"""The view of an earlier moment: what the screen showed then, read back from the tape."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from probes.recording.bookmarks import Bookmark
from probes.recording.encoder import Tick
from probes.recording.tape import Timeline
from tui.session.collector import MAX_LOGGED
from tui.session.drop_rules import Dropping, Hits
from tui.session.view import Decided, View

_LOG_MOMENTS = 60
"""Moments that logs are read back from, at most."""
_SAME_WITHIN = 10
"""Moments within which a repeated beginning counts as the same."""


def past_view(live: View, timeline: Timeline, number: int) -> View:
    """Return what the screen showed at a moment. Raises IndexError if there is none."""
    tick = timeline.at(number)
    return replace(
        live,
        snapshots=timeline.snapshots(number),
        statuses=tick.statuses,
        events=tuple([e for e in live.events if e.time <= tick.time]),
        decided=Logs(timeline, number),
        wall=tick.wall,
        time=tick.time,
        ticks=live.history.until(tick.time),
        dropping=_dropping(timeline, number),
        since=dict(live.since),  # where counting began; what began later has another epoch
    )


class Logs(Mapping[str, Sequence[Decided]]):
    """The hooks' own logs as they were at a moment: read back from the tape on demand."""

    def __init__(self, timeline: Timeline, number: int) -> None:
        self._timeline, self._number = timeline, number
        self._read: dict[str, Sequence[Decided]] | None = None

    def __getitem__(self, hook: str) -> Sequence[Decided]:
        if self._read is None:
            self._read = self._all()
        return self._read[hook]

    def __iter__(self) -> Iterator[str]:
        return iter(self._timeline.hooks)

    def __len__(self) -> int:
        return len(self._timeline.hooks)

    def _all(self) -> dict[str, Sequence[Decided]]:
        logs = {hook: deque[Decided](maxlen=MAX_LOGGED) for hook in self._timeline.hooks}
        before: Tick | None = None
        for _, tick in self._timeline.readable(self._number - _LOG_MOMENTS, self._number + 1):
            for hook, samples in tick.fresh(before).items():
                logs[hook].extend(Decided(s.wall, row, s.time) for s in samples for row in s.log)
            before = tick
        return dict(logs)


def _dropping(timeline: Timeline, number: int) -> tuple[Dropping, ...]:
    """Return the rules in force, with their drop rates."""
    hits, found = Hits(), tuple[Dropping, ...]()
    for _, tick in timeline.window(number, Hits.BACK):
        found = hits.take(tick.rules)
    return found


def beginnings(marks: Iterable[Bookmark]) -> list[Bookmark]:
    """Leave out drops and failures so soon after others that they are still the same."""
    found: list[Bookmark] = []
    latest: dict[str, int] = {}
    for mark in marks:
        if (
            mark.kind == "event"
            or mark.number - latest.get(mark.kind, -_SAME_WITHIN) >= _SAME_WITHIN
        ):
            found.append(mark)
        latest[mark.kind] = mark.number
    return found
