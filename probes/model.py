"""The frozen values that travel from the kernel to the screen.

    map -> Sample -> Snapshot -> cell

A `Hook` is declared once, in its own file below `hooks/`. A `Sample` is what one reading gave:
raw, cumulative. What is made of samples is in `snapshot`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from probes.drop_rule import DropRule
from probes.errors import ProbeError, Unsupported
from probes.point import Point
from probes.units import Unit

if TYPE_CHECKING:
    from numpy.typing import NDArray

Value = str | int | float | None | tuple[int, ...]
Row = tuple[Value, ...]
Key = tuple[Value, ...]
Flat = tuple[Any, ...]
"""A map entry's C fields: integers and, for byte arrays, bytes."""


class Kind(StrEnum):
    """The way a column behaves from one sample to the next."""

    KEY = "key"
    """Identifies the row."""
    COUNTER = "counter"
    """Only grows; shown as a rate as well."""
    LEVEL = "level"
    """Has the current value."""
    HISTOGRAM = "histogram"
    """A tuple of counters, one for each power of two: bucket n holds 2**n <= x < 2**(n+1)."""
    DERIVED = "derived"
    """Calculated from the others over the window; never stored."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column, and everything that is known about it.

    name: as in JSON and filters. title: as on the screen. field: the C struct's field it is read
    from (None: the rung's reader fills it, or `derive` does). decode: field's value -> Value.
    derive: for DERIVED only; gets the window's values by name (counters and histograms as what was
    added in the window, the rest as they are). hidden: raw material, in recordings but neither on
    the screen nor in JSON. help: one line with unit and source. label: whether it names the row
    where metrics are exported (a level such as the interface's name), or does not (a key that means
    nothing later, such as a pid); None: keys do. total: of a histogram, the counter that has the
    sum of its values. stays: False for a key that may change while the row stays the same, as an
    interface's name; the other keys tell such rows apart.
    """

    name: str
    title: str
    unit: Unit = Unit.TEXT
    kind: Kind = Kind.LEVEL
    field: str | None = None
    decode: Callable[[Value | bytes], Value] | None = None
    derive: Callable[[Mapping[str, Value]], Value] | None = None
    width: int = 8
    hidden: bool = False
    help: str = ""
    label: bool | None = None
    total: str = ""
    stays: bool = True

    @property
    def identifies(self) -> bool:
        return self.kind is Kind.KEY and self.stays


class Reach(StrEnum):
    """The reach of a hook into the kernel's work, and so who may attach it."""

    OBSERVES = "looks on"
    """Attached at start: it only observes."""
    DATA_PATH = "data path"
    """Attached only when the user asks; refused under --observe-only."""


class Fields(Protocol):
    """Many C structs, field by field: a structured array is one."""

    def __len__(self) -> int: ...

    def __getitem__(self, field: str, /) -> NDArray[Any]:
        """Return a field of all of them. An array in C, bytes as well, has a second axis."""
        ...


class Entries(Fields, Protocol):
    """Entries of a map as arrays."""

    def where(self, wanted: NDArray[Any]) -> Entries:
        """Return some of them. wanted: a flag for each entry, or their places."""
        ...

    def rows(self) -> list[Flat]:
        """Return the same entries as `Table.rows` does."""
        ...

    def followed_by(self, more: Iterable[Flat]) -> Entries | None:
        """Return these entries and then others; None for numbers that the map cannot hold."""
        ...


class Table(Protocol):
    """A bcc map as hooks' readers see it. Rows are flat tuples, laid out as `fields` says."""

    fields: Mapping[str, int | slice]
    """C field (of the key, then of the value) -> its place in a row."""

    @property
    def keys(self) -> int:
        """How many of a row's values belong to its key, from the first on."""
        ...

    def rows(self) -> list[Flat]:
        """Read all entries at once; per-CPU values are summed. Raises ProbeError."""
        ...

    def entries(self, *, used: bool = False) -> Entries:
        """Return the entries, for rows or arrays. used: only those that are not all zero."""
        ...

    def used(self) -> list[Flat]:
        """Return the rows that are not all zero: of an array, the entries that were written to."""
        ...

    def row(self, key: Flat) -> Flat | None:
        """Return one entry (key and value fields), or None where there is none."""
        ...

    def update(self, key: Flat, value: Flat) -> None:
        """Set an entry. In a per-CPU map the first CPU holds all of it, the others zero."""
        ...

    def delete(self, key: Flat) -> bool:
        """Delete an entry; return whether there was one."""
        ...

    def drain(self) -> list[Flat]:
        """Take everything out of a queue or a log (a hash by the time), oldest first."""
        ...


@dataclass(frozen=True, slots=True)
class Reading:
    """Result of one reading: rows by `Hook.stored`, events not seen, and new log entries.

    unlogged: events that the rows count, but for which the log had no room. idle: all is as in the
    reading before, as the rung's programs did not run: they are not asked what they cost.
    """

    rows: Iterable[Row] = ()
    lost: int = 0
    log: Iterable[Row] = ()
    unlogged: int = 0
    idle: bool = False


class Attach(Protocol):
    """Loader of further programs, for a rung that follows other people's programs."""

    def __call__(self, point: Point, insns: bytes, name: str, stack: ExitStack, /) -> int:
        """Load and attach a program; return its id.

        The program is released when `stack` unwinds. Raises ProbeError, with nothing left behind.
        """
        ...


def _attaches_nothing(*_: object) -> int:
    raise Unsupported("nothing can be attached from here")


@dataclass(frozen=True, slots=True)
class Opening:
    """Arguments of a rung's `open`, once the rung has been attached.

    functions: instructions of the rung's C functions, by name. attach: loads one of them for a
    point and attaches it, for as long as the rung is attached. stack: unwinds when the rung is
    released. iterators: by the function at an `Iterator`, what runs it and returns all that it
    wrote; raises OSError.
    """

    hook: Hook
    tables: Mapping[str, Table]
    target: str | None
    ifindex: int
    program_ids: tuple[int, ...] = ()
    functions: Mapping[str, bytes] = field(default_factory=dict)
    attach: Attach = _attaches_nothing
    stack: ExitStack = field(default_factory=ExitStack)
    iterators: Mapping[str, Callable[[], bytes]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Program:
    """A C function of the rung's source, and where it is attached.

    optional: the rung works without it; `without` says what is then missing.
    """

    function: str
    point: Point
    optional: bool = False
    without: str = ""


@dataclass(frozen=True, slots=True)
class Rung:
    """One way to get a hook's numbers.

    requires: the least kernel and privilege, for people. source: the C that bcc compiles ("" for a
    passive rung: netlink, procfs), or what makes it for a target. types: the kernel types that the
    C uses, taken from BTF. open: called once attached; returns the function that reads. lasting:
    the attachment outlives the process, so it is attached only when the user asks, marked, and
    swept at the next start. from_zero: every row starts at zero when it appears, so a new row's
    count is its increase. precheck: the refusal of a kernel that this rung is not for, where
    loading would not show it. reach: where it reaches further than its hook, it is attached only
    when the user pins it. misses: what it cannot see that better rungs can, shown while it is in
    use. changed: asked at each reading for a sentence on what the rung was told to watch and is no
    longer so; "" if there is nothing to say. samples: its C leaves events out (LEFT_OUT), chosen at
    random. reads_with: as in `Hook`, where the rung needs something else.

    A rung without programs that has a source, or requires something, is a follower: it attaches in
    `open` and while it reads, to what is there by then.
    """

    name: str
    requires: str
    open: Callable[[Opening], Callable[[], Reading]]
    source: str | Callable[[str], str] = ""
    types: tuple[str, ...] = ()
    programs: tuple[Program, ...] = ()
    lasting: bool = False
    from_zero: bool = True
    precheck: Callable[[], ProbeError | None] | None = None
    reach: Reach | None = None
    misses: str = ""
    samples: bool = False
    changed: Callable[[], str] | None = None
    reads_with: tuple[int, ...] | None = None

    @property
    def passive(self) -> bool:
        """Whether the rung works always and everywhere."""
        return not self.programs and not self.source and self.precheck is None

    def source_for(self, target: str | None, one_in: int = 1) -> str:
        source = self.source if isinstance(self.source, str) else self.source(target or "")
        return source if one_in == 1 else f"#define ONE_IN {one_in}\n{source}"


class TargetKind(StrEnum):
    """Kind of thing that a hook is attached to, where it has a target."""

    NONE = ""
    INTERFACE = "interface"
    SYSCALL = "syscall"


class RowLayout(NamedTuple):
    """Positions in a hook's stored rows, found once.

    counters: position and name. sums: the same of all that adds up, and whether it is a histogram.
    derived: name and function. needed: what a derived column is made of: names, and positions of
    what adds up, -1 of any other; not there for a function that may look at everything.
    """

    names: tuple[str, ...]
    keys: tuple[int, ...]
    counters: tuple[tuple[int, str], ...]
    sums: tuple[tuple[int, str, bool], ...]
    derived: tuple[tuple[str, Callable[[Mapping[str, Value]], Value]], ...]
    needed: Mapping[str, tuple[tuple[int, str], ...]]

    @classmethod
    def of(cls, stored: tuple[Column, ...], columns: tuple[Column, ...]) -> RowLayout:
        numbered = tuple(enumerate(stored))
        histogram = {Kind.COUNTER: False, Kind.HISTOGRAM: True}
        return cls(
            tuple(c.name for c in stored),
            tuple(i for i, c in numbered if c.identifies),
            tuple((i, c.name) for i, c in numbered if c.kind is Kind.COUNTER),
            tuple((i, c.name, histogram[c.kind]) for i, c in numbered if c.kind in histogram),
            tuple((c.name, c.derive) for c in columns if c.derive is not None),
            {
                c.name: tuple(
                    (i if s.kind in histogram else -1, s.name)
                    for i, s in numbered
                    if s.name in needs
                )
                for c in columns
                if (needs := getattr(c.derive, "needs", None)) is not None
            },
        )


@dataclass(frozen=True, slots=True)
class Hook:
    """A question to the kernel: what is asked, its columns, and its ladder, best rung first.

    log: columns of the hook's event log, if it has one. order: its place in lists, low first.
    on_demand: not attached at start, but when a pane or the user asks for it, with a target if it
    has one. risk: what the user should know before it is put into a data path. reads_with: the
    capabilities that it needs once attached, beside CAP_BPF for its maps; None: any that ebpftop
    uses. rows_go: its rows are of sockets or programs, and go with them; elsewhere counts stay.
    """

    name: str
    title: str
    question: str
    columns: tuple[Column, ...]
    ladder: tuple[Rung, ...]
    target: TargetKind = TargetKind.NONE
    reach: Reach = Reach.OBSERVES
    order: int = 100
    on_demand: bool = False
    risk: str = ""
    log: tuple[Column, ...] = ()
    reads_with: tuple[int, ...] | None = None
    rows_go: bool = False
    stored: tuple[Column, ...] = field(init=False)
    """Columns of a sample's rows: all but the derived ones."""
    places: RowLayout = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for column in (*self.columns, *self.log):
            if not isinstance(column, Column):
                kind = type(column).__name__
                raise TypeError(f"{kind} among columns; a set of them needs a star: *process(...)")
        stored = tuple(c for c in self.columns if c.kind is not Kind.DERIVED)
        object.__setattr__(self, "stored", stored)
        object.__setattr__(self, "places", RowLayout.of(stored, self.columns))

    def rung(self, name: str) -> Rung | None:
        return next((r for r in self.ladder if r.name == name), None)

    def reach_of(self, rung: Rung) -> Reach:
        return rung.reach or self.reach

    def only_pinned(self, rung: Rung) -> bool:
        """Return whether the ladder never takes this rung by itself: it is in a data path."""
        return self.reach is Reach.OBSERVES and self.reach_of(rung) is Reach.DATA_PATH

    def column(self, name: str) -> Column:
        return next(c for c in self.columns if c.name == name)


class ProcessFacts(NamedTuple):
    """Facts about a process for the user. Texts are printable.

    command: with its arguments. user: "" where it is not known. started: Unix seconds.
    """

    command: str
    user: str
    started: float


class HookId(NamedTuple):
    """A hook and its target: the identity that keys, prompts and the JSON use."""

    hook: str
    target: str | None = None

    def __str__(self) -> str:
        return self.hook if self.target is None else f"{self.hook}@{self.target}"

    @classmethod
    def parse(cls, text: str) -> HookId:
        """Parse an id. The user's own hooks have a colon in their names, and no target."""
        hook, at, target = text.partition("@")
        if ":" in hook:
            return cls(text)
        return cls(hook, target if at else None)


class State(StrEnum):
    """State of an attachment. `ATTACHING` never reaches the JSON of `once`."""

    DETACHED = "detached"
    ATTACHING = "attaching"
    ATTACHED = "attached"
    PASSIVE = "passive"
    FAILED = "failed"


UNREAD = "not read since "
"""Beginning of the last part of a status's note while readings fail."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a rung could not be used. error: errno's name or the kind of refusal."""

    rung: str
    error: str
    why: str
    remedy: str = ""
    log: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """State of one hook, the rung in use, and why the better ones were refused.

    note: what the rung in use lacks, or what is worth knowing about it, or what is under way.
    pinned: the user chose the rung. one_in: only one event in so many is counted, to save time
    (`budget`); counters and histograms are scaled by it, so they are estimates.
    """

    id: HookId
    state: State = State.DETACHED
    rung: str | None = None
    refused: tuple[Refusal, ...] = ()
    note: str = ""
    pinned: bool = False
    one_in: int = 1

    @property
    def unread(self) -> str:
        """Since when the numbers have not been read, and why; "" while they are read."""
        _, begin, rest = self.note.partition(UNREAD)
        return begin + rest

    @property
    def degraded(self) -> bool:
        """Whether numbers come, but not from the ladder's first rung."""
        return self.state in (State.ATTACHED, State.PASSIVE) and bool(self.refused)


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of our programs so far, by the kernel (BPF_ENABLE_STATS): runs, nanoseconds.

    map_memory: bytes that their maps are charged; maps that several targets share are in each.
    """

    runs: int = 0
    run_ns: int = 0
    map_memory: int | None = None


OTHERS = "(others)"
"""Name of the row for everything that a full map evicted before it was read."""

SERIES = 1 << 16
"""Epochs whose multiple of this is the same have totals that go on from one to the next. Below it,
and in recordings from before that was so, each epoch began at zero."""


def same_totals(epoch: int, later: int) -> bool:
    """Return whether a sample's counters continue an earlier one's, none starting again at zero."""
    series = later // SERIES
    return epoch == later or (epoch // SERIES == series and series % SERIES != 0)


@dataclass(frozen=True, slots=True)
class Sample:
    """Result of one reading, raw and cumulative.

    time: monotonic seconds. wall: Unix seconds. epoch: changes when another rung counts, or the
    same was attached again, so that no rate is made across it (`same_totals`). rows: key -> row by
    `Hook.stored`. log: the events since the previous sample. forgotten: number of further rows,
    left out to stay within the bound on memory. lost, unlogged: as in `Reading`.
    """

    status: Status
    time: float
    wall: float
    epoch: int = 0
    rows: Mapping[Key, Row] = field(default_factory=dict)
    lost: int = 0
    cost: Cost | None = None
    log: tuple[Row, ...] = ()
    from_zero: bool = True
    forgotten: int = 0
    unlogged: int = 0


@dataclass(frozen=True, slots=True)
class Enforced:
    """A drop rule on an interface, and its state.

    rung: what enforces it; None: nothing does any more, `note` says why. refused: why better rungs
    were refused. expires_in: seconds. packets, bytes: dropped so far.
    """

    interface: str
    rule: DropRule
    rung: str | None
    expires_in: float
    packets: int = 0
    bytes: int = 0
    refused: tuple[Refusal, ...] = ()
    note: str = ""
