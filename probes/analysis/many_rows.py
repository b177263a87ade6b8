"""Rates of many rows as columns, and the rows themselves for callers that want them one by one.

What `snapshot` does for a row at a time is done here for a column at a time, to the same numbers:
`Snapshot.between` chooses.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, overload

from probes.analysis.snapshot_row import SnapshotRow, added_to, derived_of
from probes.arrays import np
from probes.columns.cells import Cells, NumberCells, Reals, TupleCells, cells_of, common
from probes.columns.row_table import RowTable
from probes.model import Hook, Key, Row, Value

if TYPE_CHECKING:
    from numpy.typing import NDArray

T = TypeVar("T")
_EACH = 16
"""Rows up to which each is looked at."""
_MANY = 32
"""The part of all rows whose derived values are made one by one before all are made at once."""


class Earlier(NamedTuple):
    """An earlier reading. instead: what rows are compared with that took over from others."""

    table: RowTable | None
    instead: Mapping[Key, Row]

    def row(self, of: RowTable, place: int) -> Row | None:
        """Return what the row at a place of a later table is compared with."""
        if self.instead and (found := self.instead.get(of.key(place))) is not None:
            return found
        at = int(of.places_in(self.table)[place]) if self.table is not None else -1
        return self.table.row(at) if self.table is not None and at >= 0 else None


def rate(now: Any, was: Any, interval: float | None, from_zero: bool) -> float | None:
    """Return the rate of one counter, None where it cannot be known."""
    if was is None and from_zero:
        was = 0
    if interval is None or was is None or now is None or now < was:
        return None  # it went back, or is not known
    per_s: float = (now - was) / interval
    return per_s


class ManyRows(Sequence[SnapshotRow]):
    """The rows of a snapshot: each is made when it is asked for; who asks for all gets them kept.

    before: None if nothing is compared with. window: what derived columns look back to.
    """

    def __init__(
        self,
        hook: Hook,
        table: RowTable,
        before: Earlier,
        window: Earlier,
        interval: float | None,
        *,
        from_zero: bool,
    ) -> None:
        self.table = table
        self._hook = hook
        self._before, self._window = before, window
        self._interval, self._from_zero = interval, from_zero
        self._rates: dict[str, Reals] = {}
        self._derived: dict[str, Reals | None] = {}
        self._asked = 0
        self._answers: dict[Callable[[ManyRows], Any], Any] = {}

    def once(self, ask: Callable[[ManyRows], T]) -> T:
        """Return the result of `ask`, computed once: rows never change."""
        if ask not in self._answers:
            self._answers[ask] = ask(self)
        found: T = self._answers[ask]
        return found

    @cached_property
    def keys(self) -> Sequence[Key]:
        """The keys of all rows."""
        return list(self.table)

    def cells(self, column: str) -> Cells:
        """Return a stored column."""
        return self.table.cells[self._hook.places.names.index(column)]

    def numbers(self, column: str) -> NDArray[np.float64]:
        """Return a column as numbers for sums and sorting; an unknown value counts as 0."""
        if column not in self._hook.places.names:
            return self._derived_numbers(column)
        cells = self.cells(column)
        if not isinstance(cells, NumberCells):
            values = cells.values()
            return np.array([v if isinstance(v, int | float) else 0 for v in values], "f8")
        raw = cells.raw.astype("f8")
        return raw if cells.known is None else np.where(cells.known, raw, 0.0)

    def _derived_numbers(self, column: str) -> NDArray[np.float64]:
        reals = self.derived(column)
        if reals is None:
            return np.array([row.number(column) for row in self], "f8")
        return np.where(reals.known, reals.values, 0.0)

    def per_s(self, column: str) -> NDArray[np.float64]:
        """Return a counter's rates for sums and sorting; an unknown rate counts as 0."""
        per_s, known = self.rates(column)
        return np.where(known, per_s, 0.0)

    def reals(self, column: str) -> Reals | None:
        """Return a column's numbers, and where there are any; None where only rows have them."""
        if column not in self._hook.places.names:
            return self.derived(column)
        cells = self.cells(column)
        if not isinstance(cells, NumberCells):
            return None
        return Reals(cells.raw.astype("f8"), cells.flags())

    def places(self, keys: Iterable[Hashable]) -> list[int]:
        """Return where the rows with these keys are; there may be none with some."""
        wanted = set(keys)
        if len(wanted) <= _EACH:
            found = [self.place(key) for key in wanted]
            return sorted([place for place in found if place is not None])
        return [n for n, key in enumerate(self.keys) if key in wanted]

    def place(self, key: object) -> int | None:
        """Return where the row with this key is; None if there is none."""
        table = self.table
        if not isinstance(key, tuple) or len(key) != len(table.keyed):
            return None
        near: NDArray[np.bool_] | None = None
        for at, value in zip(table.keyed, key, strict=True):
            cells = table.cells[at]
            if isinstance(cells, NumberCells) and isinstance(value, int):
                same = cells.raw == value
                near = same if near is None else near & same
        places = [] if near is None else np.flatnonzero(near).tolist()
        if near is None or len(places) > _EACH:
            return table.place(key) if key in table else None
        return next((place for place in places if table.key(place) == key), None)

    def rates(self, column: str) -> Reals:
        """Return a counter's rates."""
        if column not in self._rates:
            place = self._hook.places.names.index(column)
            with np.errstate(all="ignore"):  # as of Python's own numbers: infinity less infinity
                self._rates[column] = self._with_taken(place, self._compared(place))
        return self._rates[column]

    def _compared(self, place: int) -> Reals:
        now, interval = self.table.cells[place], self._interval
        if interval is None:
            return Reals(np.zeros(len(now)), np.zeros(len(now), bool))
        table = self._before.table
        was = None if table is None else table.cells[place]
        at = np.full(len(now), -1) if table is None else self.table.places_in(table)
        if isinstance(now, NumberCells) and (was is None or isinstance(was, NumberCells)):
            found = _difference(now, was, at, from_zero=self._from_zero)
            if found is not None:
                return Reals(found[0] / interval, found[1])
        old = was.values() if was is not None else []
        pairs = zip(now.values(), [old[n] if n >= 0 else None for n in at.tolist()], strict=True)
        return _rates_of([rate(n, w, interval, self._from_zero) for n, w in pairs])

    def _with_taken(self, place: int, rates: Reals) -> Reals:
        """Correct those of rows that took over from others."""
        for key, row in self._before.instead.items():
            at = self.table.place(key)
            now = self.table.cells[place].value(at)
            per_s = rate(now, row[place], self._interval, self._from_zero)
            rates.known[at], rates.values[at] = per_s is not None, per_s or 0.0
        return rates

    # -- the window ----------------------------------------------------------------------------

    def derived(self, column: str) -> Reals | None:
        """Return a derived column; None where only rows have it."""
        if column not in self._derived:
            derive = next(derive for name, derive in self._hook.places.derived if name == column)
            many = getattr(derive, "many", None)
            with np.errstate(all="ignore"):
                self._derived[column] = many(self.added) if many is not None else None
        return self._derived[column]

    def added(self, column: str) -> Cells | None:
        """Return what the window added to a column that adds up; any other as it is.

        None if there is no such column, or no array holds what was added.
        """
        names = self._hook.places.names
        if column not in names:
            return None
        place = names.index(column)
        now, table = self.table.cells[place], self._window.table
        if all(at != place for at, _, _ in self._hook.places.sums):
            return now
        made: Cells | None = now
        if table is not None:
            made = added_since(now, table.cells[place], self.table.places_in(table))
        return made if made is None else self._with_taken_added(place, made)

    def _with_taken_added(self, place: int, made: Cells) -> Cells | None:
        if not self._window.instead:
            return made
        values = made.values()
        for key, row in self._window.instead.items():
            at = self.table.place(key)
            values[at] = added_to(self.table.cells[place].value(at), row[place])
        return cells_of(values)

    # -- row by row ----------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.table)

    @overload
    def __getitem__(self, place: int) -> SnapshotRow: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[SnapshotRow]: ...
    def __getitem__(self, place: int | slice) -> SnapshotRow | Sequence[SnapshotRow]:
        if isinstance(place, slice):
            return self._all[place]
        if "_all" in self.__dict__:
            return self._all[place]
        return self._row(range(len(self))[place])

    def _row(self, place: int) -> SnapshotRow:
        rates: dict[str, float | None] = {}
        for _, name in self._hook.places.counters:
            per_s, known = self.rates(name)
            rates[name] = float(per_s[place]) if known[place] else None
        row = self.table.row(place)
        values: dict[str, Value] = dict(zip(self._hook.places.names, row, strict=True))
        derive = partial(self._derived_in, place, values) if self._hook.places.derived else None
        return SnapshotRow(self.table.key(place), values, rates, derive)

    def __iter__(self) -> Iterator[SnapshotRow]:
        return iter(self._all)

    @cached_property
    def _all(self) -> tuple[SnapshotRow, ...]:
        """All rows, with what is derived as far as columns have it."""
        places, derived = self._hook.places, self._all_derived or {}
        counters = [name for _, name in places.counters]
        columns = [cells.values() for cells in self.table.cells]
        keys = self.table.keys_of(columns)
        rates = _zipped([self.rates(name).listed() for name in counters], len(self))
        names, rows = (*places.names, *derived), zip(*columns, *derived.values(), strict=True)
        later = bool(places.derived) and not derived
        made = []
        for place, (key, row, own) in enumerate(zip(keys, rows, rates, strict=True)):
            values: dict[str, Value] = dict(zip(names, row, strict=True))
            derive = partial(self._derived_in, place, values) if later else None
            made.append(SnapshotRow(key, values, dict(zip(counters, own, strict=True)), derive))
        return tuple(made)

    def _derived_in(
        self, place: int, values: Mapping[str, Value], wanted: str | None
    ) -> Mapping[str, Value]:
        """Return a row's derived values; those of all rows at once when many were asked for."""
        self._asked += 1
        many = self._asked > len(self) // _MANY
        if many and self._all_derived is not None:
            return {name: listed[place] for name, listed in self._all_derived.items()}
        base = self._bases[place] if many else self._window.row(self.table, place)
        return derived_of(self._hook, values, base, wanted)

    @cached_property
    def _all_derived(self) -> Mapping[str, Sequence[Value]] | None:
        found = {name: self.derived(name) for name, _ in self._hook.places.derived}
        known = {name: reals.listed() for name, reals in found.items() if reals is not None}
        return known if len(known) == len(found) else None

    @cached_property
    def _bases(self) -> Sequence[Row | None]:
        """What the derived values of each row look back to."""
        table, instead = self._window
        found: list[Row | None] = [None] * len(self)
        if table is not None:
            rows = list(table.values())
            found = [rows[at] if at >= 0 else None for at in self.table.places_in(table).tolist()]
        for key, row in instead.items():
            found[self.table.place(key)] = row
        return found

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ManyRows | tuple):
            return NotImplemented
        return tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(tuple(self))


def _zipped(columns: Sequence[Sequence[T]], number: int) -> Iterable[tuple[T, ...]]:
    return zip(*columns, strict=True) if columns else [()] * number


def added_since(now: Cells, then: Cells, at: NDArray[np.intp]) -> Cells | None:
    """Return what was added to a column since then; a counter that went back began again.

    at: the place of each row then, -1 if it was not there. None if no array holds it.
    """
    if not len(then) or not then.flags().any():
        return now
    both = common(now.raw, then.raw[at]) if type(now) is type(then) else None
    if both is None or now.raw.shape[1:] != then.raw.shape[1:] or now.raw.dtype.kind == "O":
        return None
    if not isinstance(now, NumberCells | TupleCells) or any(map(_large, both)):
        return None
    current, old = both
    with np.errstate(invalid="ignore"):
        difference = current - old if current.dtype.kind == "f" else _steps(current, old)
    grew = current >= old
    grew = (at >= 0) & (grew if grew.ndim == 1 else grew.all(axis=1))
    grew = grew if then.known is None else grew & then.known[at]
    wanted = grew if difference.ndim == 1 else grew[:, None]
    return now.with_raw(np.where(wanted, difference, current.astype(difference.dtype)), now.known)


def _large(numbers: NDArray[Any]) -> bool:
    """Return whether some have more than 62 bits, and differences perhaps more than 63."""
    if numbers.dtype.kind == "f" or not numbers.size:
        return False
    return bool(int(numbers.max()) >> 62 or int(numbers.min()) < -1 << 62)


def _steps(now: NDArray[Any], old: NDArray[Any]) -> NDArray[Any]:
    steps: NDArray[Any] = now.astype("i8") - old.astype("i8")
    return steps


def _difference(
    now: NumberCells, was: NumberCells | None, at: NDArray[np.intp], *, from_zero: bool
) -> tuple[NDArray[Any], NDArray[np.bool_]] | None:
    """Return what was added, and where that is known; None where integers are too large."""
    there = at >= 0
    if was is None or not len(was):
        old, there = np.zeros(len(now), now.raw.dtype), np.zeros(len(now), bool)
    else:
        old = was.raw[at]
        if was.known is not None:
            there = there & was.known[at]
    if from_zero:
        old = np.where(there, old, np.zeros(1, old.dtype))
        there = np.ones(len(now), bool)
    both = common(now.raw, old)
    if both is None:
        return None
    current, old = both
    if current.dtype.kind == "i" and len(old) and _far_apart(current, old):
        return None
    known = there & ~(current < old)
    if now.known is not None:
        known = known & now.known
    return np.where(known, current, old) - old, known


def _far_apart(now: NDArray[Any], old: NDArray[Any]) -> bool:
    """Return whether the difference of integers with a sign may need more than 63 bits."""
    return int(now.max()) - int(old.min()) >= 1 << 63


def _rates_of(rates: Sequence[float | None]) -> Reals:
    known = np.array([value is not None for value in rates], bool)
    return Reals(np.array([value or 0.0 for value in rates], "f8"), known)
