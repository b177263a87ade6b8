"""The demo's tour as data: chapters, when each begins, what it presses and what there is to see."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

from probes.recording.bookmarks import Bookmark
from probes.recording.tape import Timeline

BEGIN = 18.0
"""The demo's second at which the tour begins: what is usual is known, and the flood is near."""
STAYS = 6.0
"""Seconds that a chapter stays at least, to be read."""
SPEEDS = (0.5, 1.0, 2.0, 4.0)
"""Seconds of the demo in one second."""


class Chapter(NamedTuple):
    """A part of the tour.

    at: seconds of the demo after BEGIN, from which on there is something to see. presses: ids of
    keys, and "=NAME" to select the row whose name begins so. card: commands to try, each with what
    it does.
    """

    title: str
    at: float
    presses: tuple[str, ...]
    says: str
    card: tuple[tuple[str, str], ...] = ()


CHAPTERS = (
    Chapter(
        "The overview", 0, ("pane.1",),
        "A calm host. Vital signs first: packets, drops, connects, retransmits, failing "
        "calls. Below, what is busiest and slowest. In six seconds a flood comes.",
    ),
    Chapter(
        "Something is wrong", 16, ("pane.1", "top"),
        "Each row is one cause, the gravest first: what, where, which share, since when, and "
        "who. Two are harmful: eth1 drops packets, and connects to a database fail.",
    ),
    Chapter(
        "Which interface", 23, ("pane.2", "=eth1"),
        "Who drops on eth1: another owner's XDP program drops a third of the packets, and the "
        "kernel drops those for which a socket's buffer has no room.",
    ),
    Chapter(
        "The path of the packets", 30, ("pane.2", "=eth1", "open"),
        "NIC, XDP, TC, stack, socket: how many came to each stage, how many were lost there, "
        "and why. Each lost packet is counted at one stage.",
    ),
    Chapter(
        "Who sends", 37, ("pane.2", "=eth1", "sources"),
        "The sources of eth1's packets, by port. This hook is attached while you look, and only "
        "observes. D on a row would drop that source, for a limited time, after one question.",
    ),
    Chapter(
        "Which connects fail", 45, ("pane.4", "top"),
        "By process and destination: refused at first, now no answer at all, and attempts "
        "that wait. Meanwhile the script has dropped the worst source: see the line above.",
    ),
    Chapter(
        "What is slow", 52, ("pane.5", "top", "open"),
        "Round trips to one peer take many times as long as usual. The heat map shows each one"
        " of the last minutes: a queue that fills is a band that rises.",
    ),
    Chapter(
        "Back in time", 60, ("pane.1", "freeze", "rewind.minute", "mark.next"),
        "Space freezes the screen, ( goes back a minute, } to the next mark: there it began. "
        "Every pane is as it was then; digits are chapters. Counting goes on meanwhile.",
    ),
    Chapter(
        "Now you", 69, ("pane.1", "top"),
        "Live again, and over. In a minute the flood comes back: press 2, t on eth1, D on the "
        "worst source, Enter and y, and see what is dropped then.",
    ),
    Chapter(
        "The end", 202, ("pane.1", "top"),
        "That was the tour. These are for a host of your own.",
        (
            ("sudo ebpftop", "the same screen; at first it only observes"),
            ("ebpftop doctor", "what this kernel and user allow, and how to allow more"),
            ("sudo ebpftop findings", "what is wrong, as text or JSON, with an exit status"),
            ("?", "every key; q quits"),
        ),
    ),
)  # fmt: skip


class Tour:
    """A tour under way: how fast the demo goes, and when each chapter begins on its tape.

    begins: when the first one does, Unix seconds on the demo's clock.
    """

    def __init__(self, begins: float, speed: float = 1.0) -> None:
        self._begins, self.speed = begins, speed

    def elapsed(self, wall: float) -> float:
        """Return the demo's seconds since the tour began. wall: on the demo's clock, 0: unknown."""
        return wall - self._begins if wall else -1.0

    def change_speed(self, step: int) -> None:
        """Go faster, or slower if negative."""
        others = [s for s in SPEEDS if (s > self.speed if step > 0 else s < self.speed)]
        if others:
            self.speed = others[0] if step > 0 else others[-1]

    def marks(self, timeline: Timeline) -> Sequence[Bookmark]:
        """Return the beginnings of the chapters on the tape. Their kind is their number."""
        walls = [moment.wall for moment in timeline.moments()]
        found = []
        for number, chapter in enumerate(CHAPTERS[:9], 1):
            begins = self._begins + chapter.at
            if walls and walls[0] <= begins <= walls[-1]:
                at = timeline.first + bisect_left(walls, begins)
                found.append(Bookmark(at, str(number), f"chapter {number}, {chapter.title}"))
        return found
