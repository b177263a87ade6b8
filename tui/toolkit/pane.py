"""A pane as data: declared in one file below `panes/` and found by being there."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from probes.analysis.cases.joined import Case
from probes.analysis.history import Figure
from probes.model import Hook, HookId
from tui.session.drop_rules import Offer
from tui.session.view import View
from tui.table.fields import Field, TableRow
from tui.table.lines import Line, Span


class Trouble(NamedTuple):
    """Trouble in a pane, in words. role: "warn" or "bad". brief: the same in fewer words."""

    role: str
    text: str
    brief: str = ""


class Busiest(NamedTuple):
    """A row as the overview shows it while the pane has no case: the busiest or slowest.

    record: the pane's own, so that one can go there. what: how it stands out, with its name first:
    "eth1 busiest interface". figure, key: the most telling history. amount: of the moment, 0 if
    there is nothing; now: the same in words. why: by whom, in words.
    """

    record: TableRow
    what: str
    figure: Figure
    key: Hashable
    amount: float
    now: str
    why: str


EVERY = "*"
"""Name that stands for all hooks."""


@dataclass(frozen=True, slots=True)
class Pane:
    """One pane.

    hooks: those whose ticks change it. fields: its columns, from the catalogue. records: its rows.
    trouble: the worst thing in it now, or None. detail: the lines of a record's detail, for a
    width. figures: numbers kept of each row and drawn as graphs, the first in the pane itself;
    figure_key: a record's key in them. figure_of: what is drawn in place of one for a record that
    another hook tells of, and its key there. below: more lines under the table if there is space,
    with their heading, "": none. hook_of: the hook that attaching and detaching on a record affect.
    while_open: what to attach while its detail is open. reverse: sorted in descending order at
    first. few: rows are few, so the graphs get the space.

    busiest: its row for the overview while it has no case: what is wrong is told by cases.
    needs: the hooks that it is made from; calm: the text there if it has none. kept:
    figures that are not drawn here. leads: the pane and the row that Enter goes to, not a detail.
    case: that which a row is about. folds: the modes ("pane", "detail") in which it leaves out what
    is little or ordinary, unless `view.unfolded`. shows: the key of the record that shows the row
    with a key. draw: drawn of the selected row instead of the figures' graphs, for a width and
    height. wants: what to attach now, while it is shown. vitals: the host's are shown above it,
    on small screens too. heading: the first column's title now. says_beyond: a line says how many
    rows have no room.

    short: a shorter title, for its tab.

    inner: it has no tab; a key opens it, on `view.about` where it is about an interface.
    while_shown: what to attach while it is shown, by what it is about. about: the interface of a
    record. offer: what a record suggests to drop. summary: the text if nothing is wrong,
    None: the usual one. empty: the text if there is no row although all was read.
    """

    name: str
    title: str
    order: int
    hooks: tuple[str, ...]
    fields: Callable[[Mapping[str, Hook]], tuple[Field, ...]]
    sort: str
    records: Callable[[View], Sequence[TableRow]]
    trouble: Callable[[View], Trouble | None]
    detail: Callable[[View, TableRow, int], list[Line]]
    figures: tuple[Figure, ...] = ()
    figure_key: Callable[[TableRow], Hashable] = lambda record: record.key
    figure_of: Callable[[Figure, TableRow], tuple[Figure, Hashable]] | None = None
    below: Callable[[View, int, int], list[Line]] | None = None
    below_title: str = ""
    hook_of: Callable[[TableRow], HookId | None] | None = None
    while_open: Callable[[TableRow], HookId] | None = None
    reverse: bool = True
    few: bool = False
    inner: bool = False
    while_shown: Callable[[str], HookId] | None = None
    about: Callable[[TableRow], str] | None = None
    offer: Callable[[TableRow], Offer | None] | None = None
    summary: Callable[[View], Span | None] | None = None
    empty: str = "nothing yet"
    busiest: Callable[[View], Busiest | None] | None = None
    needs: tuple[str, ...] = ()
    kept: tuple[Figure, ...] = ()
    calm: str = ""
    leads: Callable[[TableRow], tuple[str, Sequence[object]] | None] | None = None
    case: Callable[[View, TableRow], Case | None] | None = None
    folds: frozenset[str] = frozenset()
    shows: Callable[[View, object], object] = lambda _, key: key
    draw: Callable[[View, TableRow | None, int, int], list[Line]] | None = None
    wants: Callable[[View], Sequence[HookId]] | None = None
    vitals: bool = False
    short: str = ""
    heading: Callable[[View], str] | None = None
    says_beyond: bool = False
