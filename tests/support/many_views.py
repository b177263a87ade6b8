"""Two views of the same readings: one has rows as columns, the other one by one."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from probes.analysis.history import Figure, History
from probes.analysis.snapshot import Snapshot, Trail
from probes.arrays import np
from probes.columns.cells import Cells, CodedCells
from probes.columns.row_table import RowTable
from probes.hooks import catalogue
from probes.model import Column, Hook, HookId, Key, Kind, Row, Sample, State, Status, Value
from probes.owners.owner_columns import NAMES
from probes.units import Unit
from tui.panes import inner_panes, panes
from tui.session.view import View
from tui.toolkit.pane import Pane

_TEXTS: Mapping[str, tuple[Any, ...]] = {
    "comm": ("nginx", "nginx2", "nginx10", "a > b", "a", "ΑΣ", "tab\there", None, "x\ny"),
    "raddr": (*[f"10.0.{n % 3}.{n}" for n in range(12)], "fe80::1", "fe80::1%eth0", "2001:db8::9"),
    "laddr": ("10.0.0.1", "127.0.0.1", "::1"),
    "interface": ("eth0", "eth1", "eth10", "eth2", "-"),
    "counts": ("packets", "packets", "packets", "again"),
    "reason": ("NO_SOCKET", "XDP", "OTHERHOST", "TCP_CSUM", "NOT_SPECIFIED", "TC_INGRESS"),
    "location": ("udp_unicast_rcv_skb+0x1", "__netif_receive_skb_core+0x2", "tcp_v4_rcv+0x3"),
    "trait": ("-", "closed"),
    "protocol": ("tcp", "udp", "icmp"),
}
_OWNERS = ("web", None, "shop/cart/app", "nginx.service")
_FAILURES = ("failed", "srtt_us", "retransmits")
_WORDS = tuple(f"word{n}" for n in range(40))


def all_panes() -> dict[str, Pane]:
    """Return every pane by name."""
    found = {pane.name: pane for pane in panes(catalogue())}
    return found | inner_panes(catalogue())


def figures() -> list[Figure]:
    return [f for pane in all_panes().values() for f in (*pane.figures, *pane.kept)]


class TwoViews:
    """Views of one hook, attached to a target. columns: the one that has them; rows: the other.

    alone: whether there is only the one with columns. wrong: how many rows fail now and then.
    """

    def __init__(
        self,
        hook: Hook,
        number: int,
        seed: int,
        target: str | None = None,
        *,
        alone: bool = False,
        wrong: int = 1 << 30,
    ) -> None:
        self._alone, self._wrong = alone, wrong
        self._hook, self._number, self._dice = hook, number, random.Random(seed)
        self._id = HookId(hook.name, target)
        self._rows: dict[Key, list[Value]] = {}
        self._time = 100.0
        self._views = [View(catalogue(), History(figures())) for _ in range(2)]
        self._trails = [Trail(hook) for _ in range(2)]
        for view in self._views:
            view.about = target or ""
            view.statuses = (Status(self._id, State.ATTACHED, "best"),)
        self.columns, self.rows = self._views

    def tick(self, seconds: float = 1.0) -> None:
        """Count, with some rows gone and others new."""
        self._live()
        self._time += seconds
        plain: dict[Key, Row] = {key: tuple(row) for key, row in self._rows.items()}
        for view, trail, rows in zip(
            self._views, self._trails, (self._table(plain), plain), strict=True
        ):
            if self._alone and view is self.rows:
                continue
            sample = Sample(
                view.statuses[0], self._time, 1e9 + self._time, rows=rows, from_zero=True
            )
            self._add(view, trail.snapshot(sample))

    def _add(self, view: View, snapshot: Snapshot) -> None:
        view.snapshots[snapshot.id] = snapshot
        view.history.add(self._hook.name, (snapshot,))
        view.time, view.wall = snapshot.sample.time, snapshot.sample.wall
        view.version += 1

    def _live(self) -> None:
        dice = self._dice
        for key in dice.sample(list(self._rows), len(self._rows) // 20):
            del self._rows[key]
        while len(self._rows) < self._number:
            row = [self._first(column) for column in self._hook.stored]
            self._rows[tuple([row[place] for place in self._hook.places.keys])] = row
        for n, row in enumerate(self._rows.values()):
            for place, column in enumerate(self._hook.stored):
                if n < self._wrong or column.name not in _FAILURES:
                    row[place] = self._next(column, row[place])

    def _first(self, column: Column) -> Value:
        dice = self._dice
        if column.kind is Kind.COUNTER:
            return 0
        if column.kind is Kind.HISTOGRAM:
            return (0,) * 32
        if column.name in NAMES:
            return _OWNERS[len(self._rows) % len(_OWNERS)]
        if column.unit is Unit.TEXT:
            found: Value = dice.choice(_TEXTS.get(column.name, _WORDS))
            return found
        if column.kind is Kind.KEY or column.unit is Unit.NUMBER:
            return dice.randrange(1, 1 << (16 if "port" in column.name else 20))
        return dice.choice((None, dice.randrange(9), dice.randrange(1, 60_000)))

    def _next(self, column: Column, value: Value) -> Value:
        dice = self._dice
        if column.kind is Kind.COUNTER and isinstance(value, int):
            return value + dice.choice((0, 0, 0, 0, 1, dice.randrange(40)))
        if column.kind is Kind.HISTOGRAM and isinstance(value, tuple):
            hit = dice.randrange(64)
            return tuple([n + (place == hit) for place, n in enumerate(value)])
        if column.unit is Unit.US and isinstance(value, int) and dice.random() < 0.1:
            return dice.choice((value * 9, value // 2 + 1))
        return value

    def _table(self, rows: Mapping[Key, Row]) -> RowTable:
        table = RowTable.of_rows(rows.values(), self._hook.places.keys)
        stored = self._hook.stored
        cells = [_coded(c, cells) for c, cells in zip(stored, table.cells, strict=True)]
        return RowTable(cells, self._hook.places.keys)


_CODES: list[Value] = []
_KNOWN: dict[Value, int] = {}


def _coded(column: Column, cells: Cells) -> Cells:
    """Return names as codes, of which each is decoded when it is asked for."""
    if column.name not in ("comm", "raddr"):
        return cells
    for value in cells.values():
        if value is not None and value not in _KNOWN:
            _KNOWN[value] = len(_CODES)
            _CODES.append(value)
    codes = np.array([_KNOWN.get(value, 0) for value in cells.values()], "u4")
    known = np.array([value is not None for value in cells.values()], bool)
    return CodedCells(codes, _CODES.__getitem__, known)
