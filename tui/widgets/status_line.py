"""The status line: whose numbers these are, what is attached, and the cost of watching."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from probes import units
from probes.model import State, Status
from probes.source import Feed, Host
from tui.session.view import clock
from tui.table.fields import label
from tui.table.lines import Line, Span, line, width_of
from tui.widgets.canvas import Canvas

_LONGEST = 900.0
"""Seconds that what is usual is made of, at most."""


@dataclass(frozen=True, slots=True)
class StatusFigures:
    """The figures of the line. kernel_percent, own_percent: of one CPU, None until known.

    own_bytes: memory of ebpftop's processes; limit: its bound. feed: the connection to another
    host. forgotten: rows that there is no memory for. watched: seconds since the first reading,
    None: there is none; learning: seconds until what is usual is known. notes: what is urgent.
    """

    host: Host
    statuses: tuple[Status, ...] = ()
    kernel_percent: float | None = None
    own_percent: float | None = None
    own_bytes: int | None = None
    interval: float = 1.0
    wall: float = 0.0
    feed: Feed | None = None
    limit: int | None = None
    forgotten: int = 0
    watched: float | None = None
    learning: float = 0.0
    notes: tuple[str, ...] = ()

    def count(self, *states: State) -> int:
        return sum(s.state in states for s in self.statuses)


class _Item(NamedTuple):
    """A part of the line. rank: the highest goes first if space is short. brief: in few letters."""

    rank: int
    text: str
    role: str = ""
    brief: str = ""


def status_line(s: StatusFigures, width: int) -> Line:
    """Return all that fits: whose numbers these are and since when; what is attached; the cost."""
    head: list[Span] = [(" ebpftop ", "accent"), (label(s.host.title), "")]
    if s.host.demo:
        head.append((" DEMO", "warn"))
    head += _feed(s.feed)
    left, right = list(_times(s)), list(_hooks(s))
    space = width - sum(width_of(t) for t, _ in head) - 1
    kept = _that_fit([*left, *right], space)
    first, last = kept[: len(left)], kept[len(left) :]
    spans = [
        [(item.text, item.role) for item in items if item is not None] for items in (first, last)
    ]
    taken = sum(width_of(t) for t, _ in (*spans[0], *spans[1]))
    return line(*head, *spans[0], (" " * max(space - taken, 0), ""), *spans[1], " ")


def _times(s: StatusFigures) -> Iterator[_Item]:
    """Yield the time, since when it is watched, and of how long what is usual is."""
    yield from (_Item(0, f"  {note}", "bad") for note in s.notes)
    yield _Item(3, f"  {clock(s.wall)}")
    yield _Item(5, f"  {s.interval:g}s", "muted")
    if s.watched is None:
        return
    since = clock(s.wall - s.watched)
    yield _Item(4, f"  since {since}", "muted")
    if s.learning > 0:
        known = _seconds(s.learning)
        yield _Item(6, f"  usual known in {known}", "muted", f"  usual in {known}")
    else:
        yield _Item(6, f"  usual over {_seconds(min(s.watched, _LONGEST))}", "muted")


def _hooks(s: StatusFigures) -> Iterator[_Item]:
    """Yield how many hooks are attached, how many not as they should be, and the cost."""
    if failed := s.count(State.FAILED):
        yield _Item(0, f"  !{failed} failed", "bad")
    if busy := s.count(State.ATTACHING):
        yield _Item(2, f"  +{busy} attaching", "warn", f"  +{busy}")
    if s.forgotten:
        yield _Item(2, f"  {units.count(s.forgotten)} rows left out", "warn")
    yield _Item(1, f"  hooks {s.count(State.ATTACHED, State.PASSIVE)}")
    if lower := sum(one.degraded for one in s.statuses):
        yield _Item(1, f", {lower} on a lower rung", "warn", f" ~{lower}")
    yield _Item(0, f"  {_cost(s)}")


def _feed(feed: Feed | None) -> list[Span]:
    """Return the round trip to the host, or that the connection is lost."""
    if feed is None:
        return []
    if feed.trouble:
        return [(" CUT", "bad")]
    return [(f" {units.duration(feed.latency * 1e9)}", "muted")] if feed.latency is not None else []


def _that_fit(items: Sequence[_Item], space: int) -> list[_Item | None]:
    """Shorten what has few letters as well, then leave out, by rank; None: left out."""
    kept: list[_Item | None] = list(items)
    ranks = sorted(range(len(items)), key=lambda n: -items[n].rank)
    for n in ranks:
        if _cells(kept) > space and items[n].brief:
            kept[n] = items[n]._replace(text=items[n].brief)
    for n in ranks:
        if _cells(kept) > space:
            kept[n] = None
    return kept


def _cells(items: Sequence[_Item | None]) -> int:
    return sum(width_of(item.text) for item in items if item is not None)


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _cost(s: StatusFigures) -> str:
    """Return the CPU share of the programs in the kernel and of ebpftop, and ebpftop's memory."""
    known = [p for p in (s.kernel_percent, s.own_percent) if p is not None]
    memory = "" if s.own_bytes is None else f" {units.octets(s.own_bytes)}"
    if memory and s.limit is not None and s.own_bytes and s.own_bytes > s.limit / 2:
        memory += f" of {units.octets(s.limit)}"
    return f"{units.percent(sum(known) if known else None)} CPU{memory}"


class StatusLine(Canvas):
    """One line at the top."""

    standing: StatusFigures | None = None

    def show(self, standing: StatusFigures) -> None:
        self.standing = standing
        self.repaint()

    def line(self, _y: int, /) -> Line:
        return status_line(self.standing, self.size.width) if self.standing else Line()
