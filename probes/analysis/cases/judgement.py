"""The judgement on a host: all detectors joined, at a moment or from reading to reading."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import zip_longest

from probes.analysis.cases.claim import Claim, Evidence, Gravity
from probes.analysis.cases.detector import Detector
from probes.analysis.cases.detectors import DETECTORS
from probes.analysis.cases.finding import Finding
from probes.analysis.cases.joined import Case, joined
from probes.analysis.cases.log import CaseLog
from probes.analysis.cases.ordinary import OrdinaryEntry, ordinary
from probes.analysis.cases.owners import with_names
from probes.analysis.facts import Facts
from probes.analysis.funnel import remember
from probes.analysis.history import Figure, History
from probes.analysis.hit_rates import Hits
from probes.analysis.snapshot import Snapshot
from probes.errors import as_refusal
from probes.model import UNREAD, Enforced, Hook, HookId, State, Status
from probes.units import Unit


def cases(facts: Facts) -> list[Case]:
    """Return the cases of a moment, the gravest first; computed once until something changes."""
    return facts.once(_cases)


def _cases(facts: Facts) -> list[Case]:
    return joined(claim for detector in DETECTORS for claim in _claims(detector, facts))


def _claims(detector: Detector, facts: Facts) -> Sequence[Claim]:
    """Return what a detector claims; if it raises, that it did: the others go on."""
    try:
        return [with_names(facts, claim) for claim in detector.claims(facts)]
    except Exception as raised:
        return (_broken(detector, as_refusal(raised, f"judging by {detector.name}").why),)


def _broken(detector: Detector, why: str) -> Claim:
    hook = detector.needs[0] if detector.needs else ""
    return Claim(
        f"ebpftop/{detector.name}", Gravity.NOTICE, f"ebpftop cannot judge {detector.name}",
        1.0, Unit.COUNT, "hooks", evidence=(Evidence(hook, why),), own=True,
    )  # fmt: skip


def figures() -> list[Figure]:
    """Return the figures whose history detectors ask for."""
    return list({f.name: f for detector in DETECTORS for f in detector.figures}.values())


def needs() -> tuple[str, ...]:
    """Return the hooks without which some trouble is not seen."""
    return tuple(dict.fromkeys(hook for detector in DETECTORS for hook in detector.needs))


def wants(facts: Facts) -> list[HookId]:
    """Return the hooks that would tell more of what is wrong, attached or not.

    That of each detector which matters most to it comes before any detector's second; what only
    looks (`Detector.looks`) comes last.

    They stay the same as long as that goes on, so that what they tell is not lost.
    """
    wanted: list[Sequence[HookId]] = []
    last: list[HookId] = []
    for detector in DETECTORS:
        with suppress(Exception):  # `cases` says what raises
            wanted.append(detector.wants(facts))
            last += detector.looks(facts)
    return [*(want for some in zip_longest(*wanted) for want in some if want is not None), *last]


def blind(facts: Facts) -> list[Status]:
    """Return a status of each hook that is needed and not read."""
    needed = [s for s in facts.statuses if s.id.hook in needs()]
    read = {s.id.hook for s in needed if not _is_unread(s)}
    return list({s.id.hook: s for s in needed if s.id.hook not in read}.values())


def _is_unread(status: Status) -> bool:
    return status.state in (State.FAILED, State.DETACHED) or UNREAD in status.note


def passive_only(facts: Facts) -> list[Status]:
    """Return a status of each hook that is needed and has no program, which would tell more."""
    needed = [s for s in facts.statuses if s.id.hook in needs()]
    dim = [s for s in needed if s.state is State.PASSIVE and _has_better(facts, s)]
    attached = {s.id.hook for s in needed if s.state is State.ATTACHED}
    return list({s.id.hook: s for s in dim if s.id.hook not in attached}.values())


def _has_better(facts: Facts, status: Status) -> bool:
    hook = facts.catalogue.get(status.id.hook)
    return hook is not None and hook.ladder[0].name != status.rung


def read_once(facts: Facts) -> list[Snapshot]:
    """Return what is needed and has been read only once: it has no rates yet."""
    return [s for hook in needs() for s in facts.of(hook) if s.interval is None]


class Judgement:
    """Follows the readings of a host outside the screen, and tells what is found.

    entries: what is ordinary here, which may be set at any time.
    """

    def __init__(
        self, catalogue: Mapping[str, Hook], entries: Iterable[OrdinaryEntry] = ()
    ) -> None:
        self.facts = Facts(catalogue, History(figures()))
        self.entries = tuple(entries)
        self._log, self._hits = CaseLog(cases), Hits()

    def take(
        self,
        snapshots: Sequence[Snapshot],
        statuses: tuple[Status, ...] = (),
        rules: tuple[Enforced, ...] = (),
    ) -> list[Finding]:
        """Take a reading of all hooks; return what is wrong, the gravest first.

        Snapshots that were there at the last one are no new readings.
        """
        facts, before = self.facts, self.facts.snapshots
        facts.snapshots = {snapshot.id: snapshot for snapshot in snapshots}
        facts.statuses, facts.dropping = statuses, self._hits.take(rules)
        fresh: dict[str, list[Snapshot]] = {}
        for snapshot in snapshots:
            if before.get(snapshot.id) is not snapshot:
                fresh.setdefault(snapshot.id.hook, []).append(snapshot)
        for hook, some in fresh.items():
            remember(facts.since, [snapshot.sample for snapshot in some])
            facts.history.add(hook, tuple(some))
        newest = max((s.sample for s in snapshots), key=lambda s: s.time, default=None)
        if newest is not None:
            facts.time, facts.wall = newest.time, newest.wall
        facts.version += 1
        self._log.take(facts)
        return self._log.at(facts, ordinary(self.entries, facts.wall))
