"""BPF programs of others that drop much of what they see, fail to send it on, or take long."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from probes.analysis.cases.claim import Claim
from probes.analysis.cases.detector import MOST, Detector
from probes.analysis.cases.detectors.programs.astray import astray_claim
from probes.analysis.cases.detectors.programs.attached import AttachedProgram
from probes.analysis.cases.detectors.programs.dropping import (
    DROPPED,
    FLOOR,
    dropping_claim,
    uncounted_claim,
)
from probes.analysis.cases.detectors.programs.slow import BUSY, SLOW_NS, TAKES, slow_claim
from probes.analysis.droppers import HOOKS, PROGRAMS, Dropper, Droppers, droppers, error, program
from probes.analysis.facts import Facts
from probes.analysis.many import rows_of
from probes.analysis.snapshot_row import SnapshotRow

_LISTS = {"XDP": "xdp-programs", "TC": "tc-programs"}


def every_claim(facts: Facts) -> Sequence[Claim]:
    """Return all claims of programs, the worst first."""
    return facts.once_read(_claimed, *HOOKS, "programs")


def _claims(facts: Facts) -> Sequence[Claim]:
    return every_claim(facts)[:MOST]


def _claimed(facts: Facts) -> Sequence[Claim]:
    found = droppers(facts)
    if not found.managed:
        return ()
    claims: list[Claim] = []
    for link in rows_of(facts, "interfaces"):
        if str(link.stored["interface"]) in found.managed:
            claims += _at(facts, link, found)
    return sorted(claims, key=lambda c: (c.severity, c.struck, c.now), reverse=True)


def _at(facts: Facts, link: SnapshotRow, found: Droppers) -> Iterator[Claim]:
    name = str(link.stored["interface"])
    here = {
        (where, program(row)): (hook, row)
        for where, hook in _LISTS.items()
        for row in facts.rows(hook)
        if row["interface"] == name
    }
    astray = {error(row): row for row in facts.rows("xdp-errors") if row["interface"] == name}
    for (where, named), (hook, row) in here.items():
        taken = row.number("ns_per_run")
        busy = taken * row.rate("packets") / 1e9
        if taken >= SLOW_NS and busy >= BUSY:
            slow = AttachedProgram(hook, row, Dropper(row.rate("packets"), where, named))
            yield slow_claim(facts, link, slow, taken, busy)
    for one in found.of(link).by:
        if one.where not in PROGRAMS or one.rate < FLOOR:
            continue
        if (sits := here.get((one.where, one.name))) is not None:
            claim = dropping_claim(facts, name, AttachedProgram(*sits, one), link)
        elif one.name in astray:
            claim = astray_claim(facts, name, astray[one.name], one, link)
        else:
            claim = uncounted_claim(facts, name, one, link)
        if claim is not None:
            yield claim


DETECTOR = Detector(
    "programs",
    ("xdp-programs", "tc-programs"),
    _claims,
    (*DROPPED.values(), *TAKES.values()),
)
