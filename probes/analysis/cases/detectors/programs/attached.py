"""Programs at their attach points: how, at which stage, whose, and what is freed for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from probes.analysis.cases.claim import Who
from probes.analysis.droppers import Dropper
from probes.analysis.facts import Facts
from probes.analysis.freed import losses
from probes.analysis.many import rows_of
from probes.analysis.snapshot_row import SnapshotRow

NOBODY = "nobody"
"""Value of `held_by` for a program that no process and no pin holds."""
_PIN = "pin "
DEPTH = 3
"""Depth (`Claim.depth`) of a program's claim."""


class AttachedProgram(NamedTuple):
    """A program where it is attached, and what it drops. hook: the one that has its row."""

    hook: str
    row: SnapshotRow
    dropper: Dropper


def came_to(row: SnapshotRow, link: SnapshotRow) -> float:
    """Return what must have come to it, where its runs are not counted."""
    sent = row.stored.get("direction") == "egress"
    return link.rate("tx_packets" if sent else "rx_packets")


def way_of(sits: AttachedProgram) -> str:
    """Return how it is attached: "native", "ingress"."""
    return str(sits.row["mode" if sits.hook == "xdp-programs" else "direction"])


def stage_of(sits: AttachedProgram) -> str:
    return stage_at(sits.hook, sits.row)


def stage_at(hook: str, row: SnapshotRow) -> str:
    """Return the stage of a program's row: "xdp", "tc-ingress", "tc-egress"."""
    return "xdp" if hook == "xdp-programs" else f"tc-{row['direction']}"


def holders(facts: Facts, row: SnapshotRow) -> Iterator[Who]:
    """Yield the processes that hold it, where that is known."""
    for name in _held_by(facts, row).split(", "):
        comm, _, pid = name.removesuffix(")").rpartition("(")
        if comm and pid.isdigit():
            yield Who(comm, int(pid))


def held(facts: Facts, row: SnapshotRow) -> str:
    """Return ", pinned at PATH", or that nobody holds it; "" where processes alone do."""
    names = _held_by(facts, row)
    if names == NOBODY:
        by_link = row.stored.get("by") == "link" or row.stored.get("at") == "tcx"
        return ", held by nobody" + ("" if by_link else ": the interface has it")
    pins = [name.removeprefix(_PIN) for name in names.split(", ") if name.startswith(_PIN)]
    return f", pinned at {pins[0]}" if pins else ""


def _held_by(facts: Facts, row: SnapshotRow) -> str:
    """Return its holders; recordings of older versions have them in `programs` alone."""
    if known := row.stored.get("held_by"):
        return str(known)
    rows = (one for one in facts.rows("programs") if one.stored["id"] == row["program_id"])
    return next((str(one.stored.get("held_by") or "") for one in rows), "")


def next_steps(row: SnapshotRow, name: str) -> tuple[str, ...]:
    """Return the commands that tell more of a program. name: the interface's."""
    return f"bpftool prog show id {row['program_id']}", f"bpftool net show dev {name}"


def freed_for(facts: Facts, name: str, layer: str) -> list[SnapshotRow]:
    """Return the rows of what the kernel freed on a program's behalf. layer: XDP, TC."""
    return [
        row
        for loss in losses(rows_of(facts, "drops"))
        if loss.layer == layer and loss.interface == name
        for row in loss.rows
    ]
