"""Interfaces of all other network namespaces (containers) on this host, with their counters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from probes.columns.cells import Cells, NumberCells, cells_of
from probes.columns.row_table import ColumnRows
from probes.kernel import capabilities
from probes.kernel.namespace_links import COUNTERS, LinkElsewhere, NamespaceLinks
from probes.toolkit import (
    CONTAINER,
    NETNS,
    Hook,
    Opening,
    Reading,
    Rung,
    Unit,
    given,
    key,
    level,
    link_counters,
)
from probes.units import printable


def _open(opening: Opening) -> Callable[[], Reading]:
    names, links = [c.name for c in opening.hook.stored], NamespaceLinks()
    before: list[LinkElsewhere] = []
    told: dict[str, Cells] = {}

    def read() -> Reading:
        nonlocal before, told
        there, counted = links.read()
        if not there:
            return Reading([])
        if there is not before:
            before, told = there, _told(there)
        made = told | {name: NumberCells(counted[:, at]) for at, name in enumerate(COUNTERS)}
        return Reading(ColumnRows([made[name] for name in names[:-2]]))

    return read


def _told(links: Sequence[LinkElsewhere]) -> dict[str, Cells]:
    """Return the columns that are not counters."""
    return {
        "netns": cells_of([inode for inode, _ in links]),
        "ifindex": cells_of([link.ifindex for _, link in links]),
        "interface": cells_of([printable(link.name) for _, link in links]),
        "kind": cells_of([link.kind for _, link in links]),
        "state": cells_of([link.state for _, link in links]),
        "mtu": cells_of([link.mtu for _, link in links]),
    }


HOOK = Hook(
    name="namespace-interfaces",
    title="Interfaces elsewhere",
    question="What the interfaces of other network namespaces (containers) receive, send and drop.",
    columns=given(
        key("netns", "Netns", "number of the network namespace", Unit.NUMBER, width=10,
            label=False),
        key("ifindex", "Index", "interface number there", Unit.NUMBER, width=5, label=False),
        level("interface", "Interface", "the interface's name there", width=15, label=True),
        level("kind", "Kind", "loopback, physical, or the virtual device's type"),
        level("state", "State", "operational state (IFLA_OPERSTATE), at most 30 s old", width=7),
        level("mtu", "MTU", "largest packet, in bytes", Unit.NUMBER, width=5),
        *link_counters(),
        replace(CONTAINER, label=True),
        replace(NETNS, label=True),
    ),
    ladder=(
        Rung(
            "procfs",
            "nothing; others' namespaces need CAP_SYS_ADMIN, CAP_SYS_PTRACE",
            _open,
            misses="namespaces beyond the first 256, and those that this user may not enter",
            from_zero=False,
        ),
    ),
    order=12,
    on_demand=True,
    rows_go=True,
    reads_with=(capabilities.SYS_ADMIN, *capabilities.PROCESSES),
)  # fmt: skip
