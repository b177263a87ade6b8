"""Interfaces of other network namespaces, as rows beside those of this one."""

from __future__ import annotations

import re
from collections.abc import Collection, Hashable, Iterator, Mapping
from dataclasses import dataclass

from probes.analysis.by_row import ByRow
from probes.analysis.droppers import ELSEWHERE, Droppers
from probes.analysis.history import Figure
from probes.analysis.netns_names import named
from probes.analysis.snapshot_row import SnapshotRow
from probes.model import Hook, HookId, Value
from probes.units import Unit
from tui.panes.interfaces.figures import RECEIVED, SENT
from tui.session.view import View
from tui.table.fields import Field, TableRow

HOOK = "namespace-interfaces"
_LOOPBACK = "loopback"
_NAME = re.compile(r"if(\d+) \(netns (\d+)\)")


def _bytes(figure: Figure, column: str) -> Figure:
    return Figure(f"{figure.name}-there", figure.title, Unit.BYTES, HOOK, ByRow(column, rate=True))


FIGURES = {
    RECEIVED.name: _bytes(RECEIVED, "rx_bytes"),
    SENT.name: _bytes(SENT, "tx_bytes"),
}
"""The figures of these interfaces by those of this namespace's; their keys are the rows'."""


def wanted(view: View) -> list[HookId]:
    """Return the hook that tells them, where there is one."""
    return [HookId(HOOK)] if HOOK in view.catalogue else []


def elsewhere(view: View, found: Droppers, here: Collection[str]) -> list[SnapshotRow]:
    """Return them by the names that `drops` gives them: "if2 (netns 4026532476)".

    Each but loopback devices, and while packets are dropped there also those, and what has a number
    alone.
    """
    hook, there = view.catalogue["interfaces"], view.once_read(_by_name, HOOK)
    strange = found.elsewhere(here)
    names = {name for name, row in there.items() if row.stored["kind"] != _LOOPBACK}
    return [_row(hook, name, there.get(name)) for name in dict.fromkeys((*strange, *names))]


def known(view: View) -> Mapping[str, SnapshotRow]:
    """Return what is known of each by that name."""
    return view.once_read(_by_name, HOOK)


def called(row: SnapshotRow) -> str:
    """Return "eth0 (netns web)"."""
    name = row.stored["netns_name"]
    return f"{row.stored['interface']} ({named(str(name or row.stored['netns']))})"


def drawn(figure: Figure, record: TableRow) -> tuple[Figure, Hashable]:
    """Return the figure to draw in place of one of this namespace's interfaces, and its key."""
    there, name = FIGURES.get(figure.name), _NAME.fullmatch(record.name)
    if there is None or name is None or record.values["kind"] != ELSEWHERE:
        return figure, record.name
    return there, (int(name[2]), int(name[1]))


def _by_name(view: View) -> Mapping[str, SnapshotRow]:
    return dict(_named(view))


def _named(view: View) -> Iterator[tuple[str, SnapshotRow]]:
    for row in view.rows(HOOK):
        yield f"if{row.stored['ifindex']} (netns {row.stored['netns']})", row


def _row(hook: Hook, name: str, there: SnapshotRow | None) -> SnapshotRow:
    """Return a row of the hook `interfaces`."""
    values: dict[str, Value] = dict.fromkeys(hook.places.names)
    rates: dict[str, float | None] = {column: None for _, column in hook.places.counters}
    if there is not None:
        values |= {n: v for n, v in there.stored.items() if n in values}
        rates |= {n: v for n, v in there.rates.items() if n in rates}
    return SnapshotRow((ELSEWHERE, name), values | {"interface": name, "kind": ELSEWHERE}, rates)


@dataclass(frozen=True, slots=True)
class HereFirst(Field):
    """A field by which this namespace's interfaces come first."""

    def order(self, record: TableRow) -> tuple[int, float, str]:
        """Return a sort key: those of other namespaces come after all others."""
        known, number, text = Field.order(self, record)
        return known + 3 * (record.values["kind"] == ELSEWHERE), number, text
