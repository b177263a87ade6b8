"""A row of a snapshot: its values, its rates, and what is derived when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from operator import sub

from probes.model import Hook, Key, Row, Value

Derive = Callable[[Mapping[str, Value]], Value]
"""The function of a derived column, called with what the window added."""


class SnapshotRow:
    """A row for display: values by column name, and each counter's rate per second.

    stored: what there is without deriving any value now. derived: returns the derived values;
    called when one is needed, as most rows are not shown.
    """

    __slots__ = ("_derived", "key", "rates", "stored")

    def __init__(
        self,
        key: Key,
        values: Mapping[str, Value],
        rates: Mapping[str, float | None],
        derived: Callable[[], Mapping[str, Value]] | None = None,
    ) -> None:
        self.key, self.rates = key, rates
        self.stored, self._derived = values, derived

    @property
    def values(self) -> Mapping[str, Value]:
        """All values, by column."""
        if self._derived is not None:
            self.stored = {**self.stored, **self._derived()}
            self._derived = None
        return self.stored

    def __getitem__(self, name: str) -> Value:
        known = self.stored
        return known[name] if name in known else self.values[name]

    def number(self, name: str) -> float:
        """Return a column as a number for sums and sorting; an unknown value counts as 0."""
        known = self.stored
        value = known[name] if name in known else self.values.get(name)
        return value if isinstance(value, int | float) else 0

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
) -> Callable[[], Mapping[str, Value]] | None:
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


def derived_of(hook: Hook, values: Mapping[str, Value], base: Row | None) -> Mapping[str, Value]:
    """Return a row's derived values; see `later`."""
    _, _, _, sums, derived = hook.places
    added = values if base is None else _added(values, base, sums)
    return {name: _derived(derive, added) for name, derive in derived}


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
    """Return what was added to a counter or a histogram, or all of it if it went back."""
    if isinstance(now, tuple) and isinstance(then, tuple):
        difference = tuple(map(sub, now, then))
        return now if min(difference, default=0) < 0 else difference
    if isinstance(now, int | float) and isinstance(then, int | float) and now >= then:
        return now - then
    return now
