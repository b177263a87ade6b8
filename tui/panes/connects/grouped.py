"""Records of connects: of destinations, or of each process and destination by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from probes import units
from probes.analysis.anomaly import CALM, ManyVerdicts, Verdict
from probes.analysis.cases.attempts import Attempts
from probes.analysis.cases.detectors.connects import claimed
from probes.analysis.destinations import Destination, ManyDestinations, destinations
from probes.analysis.many import either, many_of, verdicts
from probes.arrays import np
from probes.columns.cells import NumberCells
from probes.columns.lexicon import Lexicon, Part
from probes.model import Key, Value
from tui.panes.connects.columns import DestinationColumns, others
from tui.panes.connects.figures import FAILURES, HOOK, TIME
from tui.session.view import View
from tui.table.fields import TableRow, values_of
from tui.table.many_records import MARKS, ManyRecords, Rows
from tui.table.snapshot_rows import SnapshotRows
from tui.toolkit.anomaly_column import noted, unusual_of, words
from tui.toolkit.owner import OWNER
from tui.toolkit.related import address, before_port

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MARKED = 1e6
"""Failures a second that a mark outweighs, where what is wrong comes first."""
_NAMES = Lexicon(Part("to"))
_ROW_NAMES = Lexicon(
    Part("comm", lambda comm: f"{comm or '?'} > "), Part("raddr", before_port), Part("rport")
)


def to(one: Destination) -> str:
    """Return "10.0.0.5:5432", or "127.0.0.1, 311 ports"."""
    if one.port is None:
        return f"{one.address}, {one.ports} ports"
    return address(one.address, one.port)


def by(one: Destination) -> str:
    """Return "checkout[2311] +1": who tries most, and how many others there are."""
    return f"{units.process(one.comm, one.pid)}{others(one.processes - 1)}"


def _values(one: Destination, mark: int, share: float | None) -> dict[str, Value]:
    """Return a record's values. share: of 1, as its claim has it."""
    part = one.share if share is None else share
    return {
        "to": to(one), "by": by(one), "first": one.comm, "comm": one.commands, "pid": one.pid,
        "raddr": one.address, "rport": one.port, "connects_per_s": one.connects,
        "failed_per_s": one.failed, "how": one.how,
        "failed_share": None if part is None else 100 * part,
        "pending": one.waiting, "late": one.late, "oldest_ns": one.oldest, "mean_ns": one.mean,
        "p99_ns": one.p99, "processes": one.processes,
        "wrong": (one.failed or 0) + one.late + _MARKED * mark,
    }  # fmt: skip


class Grouped:
    """The destinations of a view; if it is unfolded, each row by itself."""

    def __init__(self, view: View) -> None:
        self.view, self._alone = view, view.unfolded
        snapshots = view.of(HOOK)
        self.attempts = Attempts(view, snapshots[0]) if len(snapshots) == 1 else None
        self.many: DestinationColumns | None = None
        self.few: list[Destination] = []
        self._key_of: dict[Key, int] = {}
        if self.attempts is None:
            return
        many = many_of(view, HOOK)
        if many is not None:
            found = ManyDestinations(self.attempts, many, alone=self._alone)
            self.many = DestinationColumns(found)
            return
        self.few = destinations(self.attempts, alone=self._alone)
        rows = self.attempts.rows
        self._key_of = {rows[n].key: at for at, one in enumerate(self.few) for n in one.rows}

    # -- asked for -----------------------------------------------------------------------------

    def of_row(self, key: object) -> int | None:
        """Return the destination that has the row with this key."""
        if self.many is not None:
            place = self.many.many.rows.place(key)
            return None if place is None else int(self.many.many.group[place])
        return self._key_of.get(key) if isinstance(key, tuple) else None

    def key_of(self, key: object) -> object:
        """Return the key of the record that shows the row with this key."""
        at = self.of_row(key)
        if at is None or self._alone:
            return key
        return self.few[at].key if self.many is None else self.many.key(at)

    def find(self, key: object) -> Destination | None:
        """Return the destination with this key."""
        if self.many is not None:
            at = self.many.place(key)
            return None if at is None else self.many.one(at)
        return next((one for one in self.few if one.key == key), None)

    # -- records -------------------------------------------------------------------------------

    def records(self) -> Sequence[TableRow]:
        number = len(self.few) if self.many is None else len(self.many)
        marks, shares = self._marks(number), self._shares()
        if self.many is not None:
            return self._of_many(self.many, np.asarray(marks, "u1"), shares)
        return [
            self._record(one, int(mark), shares.get(at), self._owners(one))
            for at, (one, mark) in enumerate(zip(self.few, marks, strict=True))
        ]

    def _owners(self, one: Destination) -> dict[str, Value]:
        """Return the owners of its processes, joined in the order of their rows; of few rows."""
        assert self.attempts is not None
        rows = [self.attempts.row(place).stored for place in one.rows]
        found = {name: dict.fromkeys([row[name] for row in rows if row[name]]) for name in OWNER}
        return {name: ", ".join(map(str, names)) or None for name, names in found.items()}

    def _record(
        self, one: Destination, mark: int, share: float | None, owners: dict[str, Value]
    ) -> TableRow:
        values = _values(one, mark, share) | noted(self._verdict(one, mark)) | owners
        if not self._alone or self.attempts is None:
            return TableRow(one.key, to(one), values, MARKS[mark])
        row = self.attempts.row(one.rows[0])
        name = f"{row['comm'] or '?'} > {to(one)}"
        return TableRow(row.key, name, values_of(row) | values, MARKS[mark], row)

    def _verdict(self, one: Destination, mark: int) -> Verdict:
        """Return the verdict on the row that is named, if the destination is marked."""
        if not mark or self.attempts is None:
            return CALM
        return self.view.verdict(FAILURES if mark == 2 else TIME, self.attempts.key(one.first))

    def _verdicts(self, many: DestinationColumns, marks: NDArray[np.uint8]) -> ManyVerdicts:
        """Return the same of all."""
        first = many.many.first
        failing, slow = (verdicts(self.view, f, HOOK).of(first) for f in (FAILURES, TIME))
        told = either(marks == 2, failing, slow)
        return told._replace(since=np.where(marks > 0, told.since, np.nan))

    def _of_many(
        self, many: DestinationColumns, marks: NDArray[np.uint8], shares: Mapping[int, float]
    ) -> ManyRecords:
        cells = many.cells
        share = cells["share"]
        parts, known = 100 * share.raw.astype("f8"), share.flags().copy()
        for at, part in shares.items():
            parts[at], known[at] = 100 * part, True
        wrong = cells["failed_per_s"].raw + cells["late"].raw + _MARKED * marks
        told = self._verdicts(many, marks)
        own = {**cells, "comm": cells["commands"]}
        hook = self.view.catalogue[HOOK]
        rows: Rows = SnapshotRows(hook, many.many.rows) if self._alone else many
        return ManyRecords(
            rows,
            _ROW_NAMES if self._alone else _NAMES,
            lambda at: self._record(
                many.one(at), int(marks[at]), shares.get(at), _owners_of(rows, at)
            ),
            own={
                **own,
                "failed_share": NumberCells(parts, known),
                "wrong": NumberCells(wrong),
                "unusual": unusual_of(told),
            },
            marks=marks,
            odd=np.flatnonzero(told.unusual),
            written={"unusual": lambda at: words(told.at(at))},
        )

    def _marks(self, number: int) -> Sequence[int] | NDArray[np.uint8]:
        marks = claimed(self.view).marks
        if marks is None:
            return [0] * number
        found = np.zeros(number, "u1")
        if self.many is not None:
            np.maximum.at(found, self.many.many.group, marks)
        else:
            for at, one in enumerate(self.few):
                found[at] = marks[list(one.rows)].max()
        return found

    def _shares(self) -> Mapping[int, float]:
        """Return the shares of those of which a claim tells one, which has the same rows."""
        found: dict[int, float] = {}
        for claim in () if self._alone else reversed(claimed(self.view).claims):
            for row in claim.rows if claim.share is not None else ():
                at = self.of_row(row.key)
                if at is not None and claim.share is not None:
                    found[at] = claim.share
        return found


def _owners_of(rows: Rows, at: int) -> dict[str, Value]:
    found = {name: rows.column(name) for name in OWNER}
    return {name: None if cells is None else cells.value(at) for name, cells in found.items()}


def grouped(view: View) -> Grouped:
    """Return the destinations of a moment, looked for once."""
    return view.once(Grouped)


def records(view: View) -> Sequence[TableRow]:
    """Return a record for each destination, or each row."""
    return view.once(_records)


def _records(view: View) -> Sequence[TableRow]:
    return grouped(view).records()
