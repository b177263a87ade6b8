"""Who drops an interface's packets: programs, our rules, the kernel, the device."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from heapq import nlargest
from typing import NamedTuple

from probes.analysis.facts import Facts
from probes.analysis.freed import active, freed, place_of
from probes.analysis.snapshot_row import SnapshotRow
from probes.model import State
from probes.units import DASH


class Dropper(NamedTuple):
    """Something that drops packets.

    where: its place on the packets' path. rate: packets a second.
    """

    rate: float
    where: str
    name: str

    @property
    def title(self) -> str:
        return f"{self.where} {self.name}" if self.where else self.name


class Drops(NamedTuple):
    """Known drops of an interface, packets a second; None: unknown.

    programs: by XDP and TC programs and our rules. kernel: by the kernel's code. by: all droppers,
    the greatest first. ordinary: freed by the kernel as a matter of course; nobody misses these.
    """

    programs: float | None
    kernel: float | None
    by: Sequence[Dropper]
    ordinary: float | None = None


ELSEWHERE = "elsewhere"
"""The kind of an interface of another network namespace, and of packets without an interface."""
MAX_ELSEWHERE = 50
"""Interfaces of other network namespaces that are shown, at most."""
_Freed = tuple[Dropper, str]
"""A dropper, and the layer at which the kernel frees the same packets, if it does."""
_PROGRAMS = ("xdp-programs", "tc-programs")
_COUNTED = {"rx_missed": "NIC", "tx_dropped": "link", "rx_dropped": "link"}
"""A link's drop counters, and where each drops."""
PROGRAMS = ("XDP", "TC")
"""Stages at which programs of others drop."""
RULE = "rule"
"""Stage at which our own rules drop."""
_FREED = {"xdp-native": "XDP", "xdp-generic": "XDP", "tcx": "TC"}
"""The layer of a rule's rung, as in `freed`."""


def by_interface(rows: Iterable[SnapshotRow]) -> dict[str, list[SnapshotRow]]:
    found: dict[str, list[SnapshotRow]] = {}
    for row in rows:
        found.setdefault(place_of(row["interface"]), []).append(row)
    return found


def program(row: SnapshotRow) -> str:
    """Return the program as name#id."""
    return f"{row['program'] or '?'}#{row['program_id']}"


def error(row: SnapshotRow) -> str:
    """Describe what happened to packets of xdp-errors: "aborted", "redirect to eth2: ENETDOWN"."""
    to = f" to {row['to']}" if row["to"] != DASH else ""
    return f"{row['answer']}{to}" + (f": {row['error']}" if row["error"] != DASH else "")


HOOKS = ("interfaces", "drops", "xdp-programs", "tc-programs", "xdp-errors")
"""Hooks that tell of drops."""


def droppers(facts: Facts) -> Droppers:
    """Return the droppers of a moment, looked for once."""
    return facts.once_read(Droppers, *HOOKS)


class Droppers:
    """The droppers of every interface of a facts.

    touched: interfaces where something may drop; managed: by programs and rules. quiet: what is
    known of all others.
    """

    def __init__(self, facts: Facts) -> None:
        self._xdp, self._tc = (by_interface(facts.rows(hook)) for hook in _PROGRAMS)
        self._looks = any(facts.of(hook) for hook in _PROGRAMS)
        self._seen = any(s.status.state is State.ATTACHED for s in facts.of("drops"))
        found = [freed(snapshot.rows) for snapshot in facts.of("drops")] or [({}, {})]
        self._kernel, self._ordinary = map(active, found[0]) if self._seen else found[0]
        self._errors = by_interface(facts.rows("xdp-errors"))
        self._rules = facts.dropping
        ruled = {d.enforced.interface for d in self._rules}
        dropping = {n for n, drops in self._kernel.items() if drops[0].rate}
        self.managed = ruled | self._xdp.keys() | self._tc.keys() | self._errors.keys()
        self.touched = dropping | self.managed
        none = 0 if self._seen else None
        self.quiet = Drops(0 if self._looks else None, none, (), none)

    def elsewhere(self, known: Collection[str]) -> list[str]:
        """Return interfaces of other network namespaces (and "no device") with drops right now."""
        strange = [n for n, drops in self._kernel.items() if n not in known and drops[0].rate]
        return nlargest(
            MAX_ELSEWHERE, strange, key=lambda name: sum(d.rate for d in self._kernel[name])
        )

    def of(self, row: SnapshotRow) -> Drops:
        """Return the drops of an interface, given its row."""
        name = str(row["interface"])
        if name not in self.managed and not any(map(row.rates.get, _COUNTED)):
            simple = self._without_programs(row, name)  # as most are
            if simple is not None:
                return simple
        programs, silent = self._programs(name)
        astray = list(self._astray(row, silent))
        programs += [*self._ruled(name), *astray]
        kernel, freed = self._reasons(name)
        programs += _uncounted(programs, freed, silent)
        known = self._looks and not silent and row["kind"] != ELSEWHERE
        others = sum(d.rate for d in kernel)
        if row["kind"] == "veth":  # it counts as its own what XDP could not send on
            others += sum(d.rate for d, _ in astray)
        by = [*(d for d, _ in programs), *kernel, *_device(row, others)]
        counted, freely = sum(d.rate for d, _ in programs), sum(d.rate for d in kernel)
        return Drops(
            counted if known or counted else None,
            freely if self._seen or freely else None,
            sorted((d for d in by if d.rate > 0), key=lambda d: -d.rate),
            self.freely(name),
        )

    def _without_programs(self, row: SnapshotRow, name: str) -> Drops | None:
        """Return the same where nothing is that drops but the kernel; None: it does so for some."""
        if name not in self.touched:
            return self.quiet._replace(ordinary=self.freely(name))
        kernel, freed = self._reasons(name)
        if freed:
            return None
        lost = sum([d.rate for d in kernel])
        by = sorted([d for d in kernel if d.rate > 0], key=lambda d: -d.rate)
        known = self._looks and row["kind"] != ELSEWHERE
        return Drops(
            0 if known else None, lost if self._seen or lost else None, by, self.freely(name)
        )

    def freely(self, name: str) -> float | None:
        """Return the rate of ordinary drops at an interface; None if unknown."""
        found = self._ordinary.get(name, ())
        return sum(d.rate for d in found) if self._seen or found else None

    def _programs(self, name: str) -> tuple[list[_Freed], list[_Freed]]:
        """Return what each program drops and, separately, the programs whose drops are unknown."""
        found, silent = list[_Freed](), list[_Freed]()
        for where, rows in (("XDP", self._xdp.get(name, ())), ("TC", self._tc.get(name, ()))):
            for row in rows:
                rate = row.rate("drop") + row.rate("aborted")
                # Ours around it see whether it ends anything at all.
                ended = row.rates.get("ended")
                into = silent if row.rates["drop"] is None and ended != 0 else found
                into.append((Dropper(rate, where, program(row)), where))
        return found, silent

    def _astray(self, link: SnapshotRow, silent: Sequence[_Freed]) -> Iterator[_Freed]:
        """Yield what XDP failed to send on, and what it aborted if its program is not counted.

        In generic mode the kernel frees them all.
        """
        for row in self._errors.get(str(link["interface"]), ()):
            sent = row["answer"] in ("tx", "redirect")
            if sent or any(layer == "XDP" for _, layer in silent):
                freed = not sent or link["xdp_mode"] == "generic"
                yield Dropper(row.rate("packets"), "XDP", error(row)), "XDP" if freed else ""

    def _ruled(self, name: str) -> list[_Freed]:
        """Return what our rules drop."""
        return [
            (Dropper(d.per_s or 0, RULE, d.enforced.rule.what), _FREED.get(d.place, ""))
            for d in self._rules
            if d.enforced.interface == name
        ]

    def _reasons(self, name: str) -> tuple[list[Dropper], dict[str, float]]:
        """Sum up the kernel's drops by reason and, apart, by layer those on behalf of programs."""
        sums: dict[str, float] = {}
        freed: dict[str, float] = {}
        for drop in self._kernel.get(name, ()):
            into, key = (freed, drop.layer) if drop.layer else (sums, drop.reason)
            into[key] = into.get(key, 0) + drop.rate
        return [Dropper(rate, "", reason) for reason, rate in sums.items()], freed


def _uncounted(
    programs: Sequence[_Freed], freed: Mapping[str, float], silent: Sequence[_Freed]
) -> list[_Freed]:
    """Attribute what the kernel freed beyond the counted drops to the program without a count."""
    found = list[_Freed]()
    for layer, rate in freed.items():
        rest = rate - sum(d.rate for d, at in programs if at == layer)
        if rest <= max(rate / 10, 1):  # counters are not read at the same moment
            continue
        names = [d.name for d, at in silent if at == layer]
        who = names[0] if len(names) == 1 else "a program that is not counted"
        found.append((Dropper(rest, layer, who), layer))
    return found


def _device(row: SnapshotRow, kernel: float) -> list[Dropper]:
    """Return the link's own drop counters, unless they count the kernel's drops."""
    found = [Dropper(row.rate(counter), where, counter) for counter, where in _COUNTED.items()]
    return [d for d in found if d.rate > kernel]
