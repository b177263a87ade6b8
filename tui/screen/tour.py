"""The demo's tour as data: chapters, when each begins, what it presses and what there is to see."""

from __future__ import annotations

from typing import NamedTuple

BEGIN = 10.0
"""The demo's second at which the tour begins: what is usual is known before the flood comes."""
STAYS = 6.0
"""Seconds that a chapter stays at least, to be read."""


class Chapter(NamedTuple):
    """A part of the tour.

    at: seconds of the demo after BEGIN, from which on there is something to see. presses: ids of
    keys, and "=NAME" to select the row whose name begins so.
    """

    title: str
    at: float
    presses: tuple[str, ...]
    says: str


CHAPTERS = (
    Chapter(
        "The overview", 0, ("pane.1",),
        "A calm host. Vital signs first: packets, drops, connects, retransmits, failing "
        "calls. Below, what is busiest and slowest. In twelve seconds a flood comes.",
    ),
    Chapter(
        "Something is wrong", 24, ("pane.1", "top"),
        "Each row is one cause, the gravest first: what, where, which share, since when, and "
        "who. Two are harmful: eth1 drops packets, and connects to a database fail.",
    ),
    Chapter(
        "Which interface", 31, ("pane.2", "=eth1"),
        "Who drops: on eth1 an XDP program of another owner drops a third, and the kernel "
        "what finds no room in a socket's buffer.",
    ),
    Chapter(
        "The path of the packets", 38, ("pane.2", "=eth1", "open"),
        "NIC, XDP, TC, stack, socket: how many came to each stage, how many were lost there, "
        "and why. Each lost packet is at one stage.",
    ),
    Chapter(
        "Who sends", 45, ("pane.2", "=eth1", "sources"),
        "The senders to eth1 by port. This hook is attached while you look, and only "
        "observes. D on a row would drop that sender, for a limited time, after one question.",
    ),
    Chapter(
        "Which connects fail", 53, ("pane.4", "top"),
        "By process and destination: refused at first, now no answer at all, and attempts "
        "that wait. The script's rule has dropped the worst sender meanwhile: see the line "
        "above.",
    ),
    Chapter(
        "What is slow", 60, ("pane.5", "top", "open"),
        "The way to one peer takes many times as long as usual. The heat map shows each round"
        " trip of the last minutes, so a queue that fills is a band that rises.",
    ),
    Chapter(
        "Back in time", 68, ("pane.1", "freeze", "rewind.minute", "mark.next"),
        "Space freezes the screen, ( goes back a minute, } to the next mark: there it began. "
        "Every pane is as it was then, and counting goes on meanwhile.",
    ),
    Chapter(
        "Now you", 77, ("pane.1", "top"),
        "Live again, and over. In a minute the flood comes back: press 2, t on eth1, D on the "
        "worst sender, Enter and y, and see who drops then. ? lists the keys, q quits.",
    ),
)  # fmt: skip
