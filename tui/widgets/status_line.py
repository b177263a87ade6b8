"""The status line: whose numbers these are, what is attached, and the cost of watching."""

from __future__ import annotations

from dataclasses import dataclass

from probes import units
from probes.model import State, Status
from probes.source import Feed, Host
from tui.session.view import clock
from tui.table.fields import label
from tui.table.lines import Line, Span, line, width_of
from tui.widgets.canvas import Canvas


@dataclass(frozen=True, slots=True)
class StatusFigures:
    """The figures of the line. kernel_percent, own_percent: of one CPU, None until known.

    own_bytes: memory of ebpftop's processes; limit: its bound. feed: the connection to another
    host. forgotten: rows that there is no memory for.
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

    def count(self, *states: State) -> int:
        return sum(s.state in states for s in self.statuses)


def status_line(s: StatusFigures, width: int) -> Line:
    """Return all that fits: what is wrong first, then whose numbers these are, then the rest."""
    failed, degraded = s.count(State.FAILED), sum(x.degraded for x in s.statuses)
    busy, standing = s.count(State.ATTACHING), s.count(State.ATTACHED, State.PASSIVE)
    left: list[Span] = [(" ebpftop ", "accent"), (label(s.host.name), "")]
    if s.host.demo:
        left.append((" DEMO", "warn"))
    left += _feed(s.feed)
    middle: list[tuple[int, Span]] = [
        (4, (f" {label(s.host.kernel)}", "muted")),
        (1, (f"  hooks {standing}", "")),
    ]
    if busy:
        middle.append((1, (f" +{busy} attaching", "warn")))
    if degraded:
        middle.append((1, (f" ~{degraded} degraded", "warn")))
    if failed:
        middle.append((0, (f" !{failed} failed", "bad")))
    if s.forgotten:
        middle.append((1, (f" {units.count(s.forgotten)} rows forgotten", "warn")))
    right: list[tuple[int, Span]] = [
        (0, (f"  cost {_cost(s)}", "")),
        (3, (f"  {s.interval:g}s", "muted")),
        (2, (f"  {clock(s.wall)} ", "")),
    ]
    space = width - sum(width_of(t) for t, _ in left)
    kept = _that_fit([*middle, *right], space)
    spare = space - sum(width_of(t) for _, (t, _) in kept)
    spans = [*left, *(span for i in kept if i in middle for span in (i[1],))]
    spans.append((" " * max(spare, 0), ""))
    return line(*spans, *(i[1] for i in kept if i in right))


def _feed(feed: Feed | None) -> list[Span]:
    """Return the round trip to the host, or that the connection is lost."""
    if feed is None:
        return []
    if feed.trouble:
        return [(" CUT", "bad")]
    return [(f" {units.duration(feed.latency * 1e9)}", "muted")] if feed.latency is not None else []


def _that_fit(items: list[tuple[int, Span]], space: int) -> list[tuple[int, Span]]:
    kept = list(items)
    while kept and sum(width_of(t) for _, (t, _) in kept) > space:
        kept.remove(max(kept, key=lambda i: i[0]))
    return kept


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
