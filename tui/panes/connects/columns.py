"""Many destinations as columns: what records are made of, sorted and filtered by."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from functools import cache, cached_property
from typing import TYPE_CHECKING

from probes.analysis.destinations import HOW, NO_ANSWER, Destination, ManyDestinations
from probes.arrays import np
from probes.columns.cells import Cells, NumberCells, ObjectCells, cells_of
from probes.columns.lexicon import Lexicon, Part
from probes.model import Value
from tui.toolkit.owner import OWNER
from tui.toolkit.related import before_port

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TO = Lexicon(Part("raddr", before_port), Part("rport"))
_BY = Lexicon(Part("comm", lambda comm: f"{comm or '?'}["), Part("pid", lambda pid: f"{pid}]"))
_TEXTS = Lexicon()
_MOST_COUNTED = 999


@cache
def others(number: int) -> str:
    """Return how many processes there are beside the one that is named: " +3"."""
    if number > _MOST_COUNTED:
        return f" +>{_MOST_COUNTED}"
    return f" +{number}" if number else ""


@cache
def _all_others() -> NDArray[np.object_]:
    return np.array([others(number) for number in range(_MOST_COUNTED + 2)], object)


class DestinationColumns:
    """The rows of records: one for each destination."""

    def __init__(self, many: ManyDestinations) -> None:
        self.many = many
        self._owners: dict[str, Cells] = {}

    def __len__(self) -> int:
        return self.many.number

    def column(self, name: str) -> Cells | None:
        if name in OWNER and name not in self._owners:
            self._owners[name] = self._joined(name)
        return self._owners.get(name) or self.cells.get(name)

    def key(self, place: int) -> Hashable:
        return self.one(place).key

    def place(self, key: object) -> int | None:
        if not isinstance(key, tuple) or len(key) not in (2, 3):
            return None
        several = len(key) == 3
        wanted = zip(("comm", "raddr") if several else ("raddr", "rport"), key[-2:], strict=True)
        same = self.many.several == several
        for name, value in wanted:
            same = same & _equals(name, self.cells[name], value)
        found = np.flatnonzero(same)
        return int(found[0]) if len(found) else None

    def one(self, at: int) -> Destination:
        """Return the destination at a place."""
        cells = self.cells

        def number(name: str) -> float | None:
            value = cells[name].value(at)
            return float(value) if isinstance(value, int | float) else None

        told = cells["commands"].value(at)
        commands = None if told is None else str(told)
        value: Mapping[str, Value] = {
            n: cells[n].value(at) for n in ("raddr", "rport", "comm", "pid")
        }
        return Destination(
            value["raddr"], value["rport"], int(self._ports[at]), value["comm"], value["pid"],
            int(self._processes[at]), commands, number("connects_per_s"), number("failed_per_s"),
            number("share"), str(cells["how"].value(at)), number("pending") or 0.0,
            number("late") or 0.0, number("oldest_ns"), number("mean_ns"), number("p99_ns"),
            self.many.places(at).tolist(), int(self.many.first[at]),
        )  # fmt: skip

    @cached_property
    def _ports(self) -> NDArray[np.intp]:
        return self.many.different("rport")

    @cached_property
    def _processes(self) -> NDArray[np.intp]:
        return self.many.different("pid")

    @cached_property
    def cells(self) -> Mapping[str, Cells]:
        """The columns by name. share: of 1, as `Destination` has it."""
        many, a, rows, first = self.many, self.many.attempts, self.many.rows, self.many.first
        port = rows.cells("rport").at(first)
        texts = {name: rows.cells(name).at(first) for name in ("comm", "pid", "raddr")}
        known = np.full(many.number, a.snapshot.interval is not None)
        connects, failed = (many.sums(a.per_s(name)) for name in ("connects", "failed"))
        lost, made = (many.sums(a.recent(name)) for name in ("failed", "established"))
        late, both = many.sums(a.number("late")), lost + made
        return {
            **texts,
            "commands": self._joined("comm"),
            "rport": port.with_raw(port.raw, port.flags() & ~many.several),
            "to": self._to(texts["raddr"], port),
            "by": self._by(texts),
            "connects_per_s": NumberCells(connects, known),
            "failed_per_s": NumberCells(failed, known),
            "share": NumberCells(lost / np.where(both > 0, both, 1.0), both > 0),
            "how": _how(many, late),
            "pending": NumberCells(many.sums(a.number("pending"))),
            "late": NumberCells(late),
            "oldest_ns": NumberCells(*many.greatest("oldest_ns")),
            "mean_ns": NumberCells(*many.means()),
            "p99_ns": NumberCells(*many.greatest("p99_ns")),
            "processes": NumberCells(self._processes),
        }

    def _to(self, addresses: Cells, ports: Cells) -> Cells:
        texts = _TO.names([addresses, ports])
        for at in np.flatnonzero(self.many.several).tolist():
            texts[at] = f"{addresses.value(at)}, {int(self._ports[at])} ports"
        return cells_of(texts)

    def _joined(self, column: str) -> Cells:
        """Return the different texts of each in a column, joined in the order of their rows."""
        many = self.many
        cells = many.rows.cells(column)
        words = _TEXTS.column(column, cells)
        both = many.group * (len(words.texts) + 1) + words.places
        rows = np.flatnonzero(_known(cells))
        _, first = np.unique(both[rows], return_index=True)
        rows = np.sort(rows[first])
        rows = rows[np.argsort(many.group[rows], kind="stable")]
        group = many.group[rows]
        begins = np.flatnonzero(np.diff(group, prepend=-1))
        joined = np.array([", "], object) + words.texts[words.places[rows]]
        joined[begins] = words.texts[words.places[rows[begins]]]
        found = np.full(many.number, None, object)
        if len(begins):
            found[group[begins]] = np.add.reduceat(joined, begins)
        return cells_of(found.tolist())

    def _by(self, texts: Mapping[str, Cells]) -> Cells:
        named = np.array(_BY.names([texts["comm"], texts["pid"]]), object)
        counted = np.minimum(self._processes - 1, _MOST_COUNTED + 1)
        return cells_of((named + _all_others()[counted]).tolist())


def _equals(name: str, cells: Cells, value: object) -> NDArray[np.bool_]:
    if value is None:
        return ~cells.flags()
    if isinstance(cells, NumberCells):
        return np.asarray((cells.raw == value) & cells.flags(), bool)
    words = _TEXTS.column(name, cells)
    known = np.array([text == value for text in words.texts.tolist()], bool)
    return np.asarray(known[words.places] & cells.flags(), bool)


def _known(cells: Cells) -> NDArray[np.bool_]:
    if isinstance(cells, ObjectCells):
        return np.array([value is not None for value in cells.raw.tolist()], bool)
    return cells.flags()


def _how(many: ManyDestinations, late: NDArray[np.float64]) -> Cells:
    words = np.array([*HOW.values(), NO_ANSWER, ""], object)
    told = np.where(late > 0, len(HOW), len(HOW) + 1)
    for of in (many.attempts.recent, many.attempts.per_s):
        numbers = np.stack([many.sums(of(name)) for name in HOW])
        told = np.where(numbers.max(axis=0) > 0, numbers.argmax(axis=0), told)
    return cells_of(words[told].tolist())
