"""Readers of the rungs of drops: what was traced, beside the kernel's own counters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from probes.arrays import FEW
from probes.columns.groups import total
from probes.columns.row_table import ColumnRows
from probes.hooks.drops import reasons as drop_reasons
from probes.hooks.drops.columns import TracedColumns
from probes.hooks.drops.counters import known_reasons
from probes.hooks.drops.devices import Devices
from probes.hooks.drops.holders import SocketHolders
from probes.hooks.drops.port_room import PortRoom
from probes.hooks.drops.seen import SeenByPlace, SeenDrops
from probes.hooks.drops.senders import Senders
from probes.hooks.drops.source import MAP_ENTRIES
from probes.hooks.drops.traced import Around, traced_rows
from probes.hooks.drops.untraced import Untraced, packets_row
from probes.hooks.drops.ways import Forwarding
from probes.kernel import kallsyms, procfs
from probes.kernel.netlink import route
from probes.model import OTHERS, Entries, Opening, Reading, Row
from probes.toolkit.links import Made
from probes.units import DASH


def open_traced(*, reasons: bool) -> Callable[[Opening], Callable[[], Reading]]:
    def open(opening: Opening) -> Callable[[], Reading]:
        tables = opening.tables["rows"], opening.tables["ports"]
        name_of: Callable[[int], str] = drop_reasons.Names() if reasons else lambda _: DASH
        own = procfs.netns()
        kallsyms.prepare()
        told, kept = known_reasons() if reasons else None, SeenDrops()
        untraced = Untraced(own, told, traced=True, forget=kept.forget)
        holders, forwarding = SocketHolders(), Forwarding()
        senders, sent = Senders(own), opening.tables["senders"]
        around = Around(own, name_of, Devices(opening, own), holders, senders, kept, forwarding)
        many, everything, others = TracedColumns(around), opening.tables["everything"], 0
        room = PortRoom(opening.tables["ports"], MAP_ENTRIES)

        def read() -> Reading:
            nonlocal others
            untraced.read()
            counted = everything.row((0,))
            entries = [table.entries() for table in tables]
            room.make(entries[1])
            senders.look(sent.rows())
            packets, rows, more = look(entries)
            # What the map threw out. Those that are no drops are among them.
            others = max(others, (counted[1] if counted else 0) - packets)
            rest: Row = (DASH, OTHERS, DASH, others, DASH, None, DASH)
            last = [packets_row(rest, (None, 0, 0))] * bool(others)
            if isinstance(rows, ColumnRows):
                return Reading(many.followed_by(rows, [*more, *last]))
            return Reading([*rows, *more, *last])

        def look(entries: Sequence[Entries]) -> tuple[int, Iterable[Row], list[Row]]:
            """Return the packets in all entries, their rows, and those of what nobody traced."""
            if sum(map(len, entries)) > FEW:
                rows, seen = many.rows(entries)
                return sum([total(e["packets"]) for e in entries]), rows, untraced.rows(seen)
            found = [row for of in entries for row in of.rows()]
            made, seen = traced_rows(found, around)
            return sum([row[-1] for row in found]), made, untraced.rows(seen)

        return read

    return open


def from_counters(opening: Opening) -> Callable[[], Reading]:
    """Read counters of netlink and procfs: no place in the code, and no reason but the counter."""
    untraced, made = Untraced(procfs.netns(), None, traced=False), Made(opening)

    def read() -> Reading:
        untraced.read()
        links = made.asked(route.links)
        dropped = [
            packets_row(
                (link.name, name, "netlink", packets, DASH, None, DASH),
                (None, link.ifindex, made.of(link.ifindex)),
            )
            for link in links
            for name, packets in (("rx_dropped", link.rx_dropped), ("tx_dropped", link.tx_dropped))
            if packets
        ]
        return Reading(untraced.rows(SeenByPlace({})) + dropped)

    return read
