"""A row of a snapshot: its values, its rates, and what is derived when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from operator import sub

from probes.model import Hook, Key, Row, Value

Derive = Callable[[Mapping[str, Value]], Value]
"""The function of a derived column, called with what the window added."""
_NONE: Mapping[str, Value] = {}
_NUMBER = int, float
"""Kinds of a number; a union would be made again at each question."""


class SnapshotRow:
    """A row for display: values by column name, and each counter's rate per second.

    stored: what there is without deriving any value now. derived: returns the derived value of a
    column, perhaps with others, or those of all columns (None); called when one is needed, as most
    are not shown. still: nothing had changed in it since the reading before.
    """

    __slots__ = ("_derived", "_found", "key", "rates", "still", "stored")

    def __init__(
        self,
        key: Key,
        values: Mapping[str, Value],
        rates: Mapping[str, float | None],
        derived: Callable[[str | None], Mapping[str, Value]] | None = None,
        *,
        still: bool = False,
    ) -> None:
        self.key, self.rates, self.still = key, rates, still
        self.stored, self._derived = values, derived
        self._found: Mapping[str, Value] = _NONE

    @property
    def values(self) -> Mapping[str, Value]:
        """All values, by column."""
        if self._derived is not None:
            self.stored = {**self.stored, **self._derived(None)}
            self._derived = None
        return self.stored

    def __getitem__(self, name: str) -> Value:
        known = self.stored
        if name in known:
            return known[name]
        if self._derived is not None and name not in self._found:
            self._found = {**self._found, **self._derived(name)}
        return self._found[name]

    def number(self, name: str) -> float:
        """Return a column as a number for sums and sorting; an unknown value counts as 0."""
        try:
            value = self[name]
        except KeyError:
            return 0
        return value if isinstance(value, _NUMBER) else 0

    def rate(self, name: str) -> float:
        """Return a counter's rate as a number for sums and sorting; an unknown rate counts as 0."""
        return self.rates.get(name) or 0

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SnapshotRow):
            return NotImplemented
        return (self.key, self.values, self.rates) == (other.key, other.values, other.rates)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"SnapshotRow({self.key!r}, {self.values!r}, {self.rates!r})"


def later(
    hook: Hook, values: Mapping[str, Value], base: Row | None
) -> Callable[[str | None], Mapping[str, Value]] | None:
    """Return what derives a row's values when it is called; None: there are none.

    values: the row by column. base: what derived columns look back to; None: to the beginning.
    """
    return partial(derived_of, hook, values, base) if hook.places.derived else None


def rates_of(
    counters: Iterable[tuple[int, str]],
    row: Row,
    before: Row | None,
    interval: float | None,
    from_zero: bool,
) -> dict[str, float | None]:
    """Return each counter's rate, None where it cannot be known.

    Called for each row of each tick: no calls in it.
    """
    rates: dict[str, float | None] = {}
    for i, name in counters:
        now = row[i]
        was = before[i] if before is not None else None
        if was is None and from_zero:
            was = 0
        if interval is None or was is None or now is None or now < was:  # type: ignore[operator]
            rates[name] = None  # it went back, or is not known
        else:
            rates[name] = (now - was) / interval  # type: ignore[operator]  # counters are numbers
    return rates


def derived_of(
    hook: Hook, values: Mapping[str, Value], base: Row | None, wanted: str | None = None
) -> Mapping[str, Value]:
    """Return a row's derived values; see `later`. wanted: the only column that is asked for.

    What the window added is calculated of those columns that a function looks at.
    """
    places, all_added, found = hook.places, None, {}
    for name, derive in places.derived:
        if wanted is not None and name != wanted:
            continue
        if base is None:
            added = values
        elif name in places.needed:
            added = {
                column: values[column] if at < 0 else added_to(values[column], base[at])
                for at, column in places.needed[name]
            }
        else:
            added = all_added = all_added or _added(values, base, places.sums)
        found[name] = _derived(derive, added)
    return found


def _derived(derive: Derive, added: Mapping[str, Value]) -> Value:
    """Return a derived value, None where there can be none.

    It is called while a screen is painted.
    """
    try:
        return derive(added)
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return None


def _added(
    values: Mapping[str, Value], base: Row, sums: Iterable[tuple[int, str, bool]]
) -> Mapping[str, Value]:
    """Return what the window added.

    A counter that went back started again, so all of it was added.
    """
    return {**values, **{name: added_to(values[name], base[i]) for i, name, _ in sums}}


def added_to(now: Value, then: Value) -> Value:
    """Return what was added to a counter or a histogram, or all of it if it went back.

    Called for most rows of each tick: what is most frequent comes first.
    """
    if type(now) is int and type(then) is int:
        return now - then if now >= then else now
    if isinstance(now, tuple) and isinstance(then, tuple):
        difference = tuple(map(sub, now, then))
        return now if min(difference, default=0) < 0 else difference
    if isinstance(now, _NUMBER) and isinstance(then, _NUMBER) and now >= then:
        return now - then
    return now
