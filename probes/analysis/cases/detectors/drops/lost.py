"""Packets that are lost for one cause at one place, before they are judged."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

from probes.analysis.cases.claim import Evidence
from probes.analysis.cases.drop_causes import NO_CARRIER, DropPlace
from probes.analysis.classes import DropClass
from probes.analysis.facts import Facts
from probes.analysis.snapshot_row import SnapshotRow
from probes.model import State
from probes.units import DASH

FLOOR = 5.0
"""Lost packets a second below which nothing is claimed."""


@dataclass(slots=True)
class Lost:
    """Packets that are lost for one cause at one place. number: of kinds, such as ports.

    counted: the cause that they are counted under, where something else tells a deeper one. among:
    "1 in 4 listeners", where only some of a port's have a full queue.
    """

    cause: str
    place: DropPlace
    drop_class: DropClass
    stage: str
    rate: float = 0.0
    number: int = 0
    rows: list[SnapshotRow] = field(default_factory=list)
    waiting: float = 0.0
    room: float = 0.0
    texts: list[Evidence] = field(default_factory=list)
    counted: str = field(init=False)
    among: str = ""

    def __post_init__(self) -> None:
        self.counted = self.cause

    @property
    def key(self) -> Hashable:
        """What its history is kept by."""
        return self.place._replace(port=None, protocol=""), self.counted


def merge(found: dict[Hashable, Lost], one: Lost) -> None:
    """Add what is lost to what is known of the same cause at the same place."""
    known = found.setdefault((one.cause, one.place), one)
    if known is not one:
        known.rate += one.rate
        known.number += one.number
        known.rows += one.rows
        known.texts += one.texts
        known.among = known.among or one.among
        known.waiting, known.room = max(known.waiting, one.waiting), max(known.room, one.room)


def claim_id(place: DropPlace, cause: str) -> str:
    """Return the id of a claim of it."""
    at = place.at if place.at != DASH else f"netns {place.netns}" if place.netns else "host"
    service = "" if cause == NO_CARRIER else place.service  # whatever is sent there is lost
    return "/".join(filter(None, ("drops", at, cause, service)))


def netns_of(row: SnapshotRow) -> str:
    """Return "" for this host's own namespace, else its number, or "?"."""
    _, _, named = str(row.stored["interface"]).partition(" (netns ")
    if named:
        return named.removesuffix(")")
    netns = row.stored.get("netns")
    return "" if netns is None else str(netns or "?")


def is_climbing(facts: Facts) -> bool:
    """Return whether a better rung is about to tell the same packets with their reasons."""
    found = facts.of("drops")
    return any(s.status.state is State.ATTACHING or s.interval is None for s in found)
