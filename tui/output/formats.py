"""What `once`, `stream` and `replay` print: a table for people, JSON, or CSV.

CSV has one line for each row and one header for all hooks, so that every tool takes it: time, host,
hook, target, then the columns of the hooks that were asked for, in the catalogue's order; hooks
that have a column of the same name share it. A row leaves empty what its hook does not have, and
what is not known. Counters `x` have their rate beside them, `x_per_s`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from probes.analysis.flows import Since
from probes.analysis.hit_rates import Hits
from probes.analysis.snapshot import Snapshot
from probes.model import Enforced, Hook, Kind
from probes.source import Host
from probes.units import printable
from tui.output import document

FORMATS = ("table", "json", "csv")
BEFORE = ("time", "host", "hook", "target")
"""The first columns of CSV."""


class Shown(NamedTuple):
    """A moment to print. wall: when its newest was read, Unix seconds. interval: seconds since the
    one before."""

    host: Host
    wall: float
    interval: float | None
    snapshots: Sequence[Snapshot]
    rules: Sequence[Enforced]
    since: Since


Printer = Callable[[Shown], str]
"""A moment as text, without the last line's end."""


def printer(
    name: str, hooks: Iterable[Hook], *, several: bool, hits: Hits | None = None
) -> Printer:
    """One of FORMATS. hooks: those that can come. several: more than one moment is printed.

    hits: what drop rules had dropped before, kept from moment to moment; without it nothing is
    known of how fast they drop.
    """
    if name == "csv":
        return _Csv(hooks)
    if name == "json":
        return lambda s: document.document(
            s.host, s.wall, s.interval, s.snapshots, s.rules, s.since, hits
        )
    return _tables if several else _table


def _table(shown: Shown) -> str:
    return document.report(shown.host, shown.snapshots, shown.rules, shown.since)


def _tables(shown: Shown) -> str:
    """With the time above each."""
    when = datetime.fromtimestamp(shown.wall).strftime("%Y-%m-%d %H:%M:%S")
    return f"--- {when} {printable(shown.host.name)}\n{_table(shown)}\n"


class _Csv:
    """The header comes before the first moment."""

    def __init__(self, hooks: Iterable[Hook]) -> None:
        names = dict.fromkeys(BEFORE)
        for hook in hooks:
            for column in hook.columns:
                if not column.hidden:
                    names[_name(column.name)] = None
                    if column.kind is Kind.COUNTER:
                        names[f"{column.name}_per_s"] = None
        self._names = tuple(names)
        self._begun = False

    def __call__(self, shown: Shown) -> str:
        text = io.StringIO()
        lines = csv.DictWriter(text, self._names, restval="", lineterminator="\n")
        if not self._begun:
            lines.writeheader()
            self._begun = True
        for snapshot in shown.snapshots:
            before = {
                "time": f"{snapshot.sample.wall:.3f}",
                "host": printable(shown.host.name),
                "hook": snapshot.id.hook,
                "target": printable(snapshot.id.target or ""),
            }
            for row in document.rows(snapshot):
                cells = {
                    _name(name): printable(value) if isinstance(value, str) else value
                    for name, value in row.items()
                }
                lines.writerow(cells | before)
        return text.getvalue().removesuffix("\n")


def _name(column: str) -> str:
    """A column that is called like one of the first has its own place."""
    return f"{column}_" if column in BEFORE else column
