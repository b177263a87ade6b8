"""What `once`, `stream` and `replay` print: a table for people, JSON, or CSV.

CSV has one line for each row and one header for all hooks, so that any tool can read it: time,
host, hook, target, then the columns of the requested hooks, in the catalogue's order; hooks with a
column of the same name share it. A field is empty if the hook does not have it or the value is
unknown. A counter `x` is followed by its rate, `x_per_s`.
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
from tui.output.findings import FoundWrong
from tui.output.scope import EVERYTHING, Scope

FORMATS = ("table", "json", "csv")
BEFORE = ("time", "host", "hook", "target")
"""The first columns of CSV."""


class PrintedMoment(NamedTuple):
    """A moment to print.

    wall: time of its newest reading, Unix seconds. interval: seconds since the previous moment.
    """

    host: Host
    wall: float
    interval: float | None
    snapshots: Sequence[Snapshot]
    rules: Sequence[Enforced]
    since: Since
    found: FoundWrong = FoundWrong()
    scope: Scope = EVERYTHING


Printer = Callable[[PrintedMoment], str]
"""Turns a moment into text without its last newline."""


def printer(
    name: str, hooks: Iterable[Hook], *, several: bool, hits: Hits | None = None
) -> Printer:
    """Return the printer for one of FORMATS.

    hooks: those that may occur. several: more than one moment is printed. hits: what drop rules had
    dropped before, kept from moment to moment; without it their rates are unknown.
    """
    if name == "csv":
        return _Csv(hooks)
    if name == "json":
        return lambda s: document.document(
            s.host, s.wall, s.interval, s.snapshots, s.rules, s.since, hits, s.found, s.scope
        )
    return _tables if several else _table


def _table(shown: PrintedMoment) -> str:
    wrong = shown.found.wrong_as_text(shown.wall)
    return document.report(
        shown.host, shown.snapshots, shown.rules, shown.since, wrong, shown.scope
    )


def _tables(shown: PrintedMoment) -> str:
    """Return the tables with the time above them."""
    when = datetime.fromtimestamp(shown.wall).strftime("%Y-%m-%d %H:%M:%S")
    return f"--- {when} {printable(shown.host.title)}\n{_table(shown)}\n"


class _Csv:
    """CSV; the header precedes the first moment."""

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

    def __call__(self, shown: PrintedMoment) -> str:
        text = io.StringIO()
        lines = csv.DictWriter(text, self._names, restval="", lineterminator="\n")
        if not self._begun:
            lines.writeheader()
            self._begun = True
        for snapshot in shown.scope.snapshots(shown.snapshots):
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
    """Return the column's name, with a "_" behind if it is one of the first columns' names."""
    return f"{column}_" if column in BEFORE else column
