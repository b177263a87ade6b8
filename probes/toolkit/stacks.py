"""Call stacks from a stack map: ids to text, outermost first, `main;handle;read_request`."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import add
from typing import Any

from probes.columns.cells import Cells
from probes.columns.groups import alike
from probes.columns.numbered import Texts
from probes.columns.row_table import ColumnRows
from probes.kernel import kallsyms
from probes.model import Fields, Flat, Kind, Opening, Reading, Row, Table, Value
from probes.toolkit.columns import key
from probes.toolkit.counters_c import counted
from probes.toolkit.field_cells import cells_from
from probes.toolkit.others import Others
from probes.toolkit.readers import Uncounted, row_of
from probes.toolkit.user_symbols import UserSymbols

MAP = """
BPF_TABLE("stacktrace", int, struct bpf_stacktrace, stacks, 16384);
"""
"""The map that `by_stack` reads. It takes 16 MB."""
KERNEL = "_[k]"
"""Suffix of kernel functions, as in most input of flame graphs."""
_HELP = f"callers, outermost first; {KERNEL} marks kernel functions"
STACK = key("stack", "Stack", _HELP, field=None, width=40)
"""The column that `by_stack` fills. As it is so wide, it comes last."""
_OURS = (
    "0x", "bpf_prog_", "bpf_trace_run", "bpf_get_stackid", "__bpf_trace_", "__traceiter_",
    "trace_call_bpf", "perf_trace_", "bpf_overflow_handler", "__perf_event_overflow",
    "perf_swevent_", "perf_event_overflow",
)  # fmt: skip
_MOST_KEPT, _MOST_CHARACTERS = 20_000, 1 << 24
_LOST = -errno.EEXIST


class Stacks:
    """Texts of stacks; a stack is looked up once, while its process lives.

    table: the stack map. A failed look-up has a negative errno for an id.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self._users, self._numbers = UserSymbols(), Texts()
        self._texts: dict[tuple[int, int, int], str] = {}
        self._size = 0

    def text(self, kernel: int, user: int, pid: int) -> str:
        """Return kernel and user stack as one, the user's first as it called the kernel's."""
        key = (kernel, user, pid)
        known = self._texts.get(key)
        if known is None:
            if len(self._texts) >= _MOST_KEPT or self._size >= _MOST_CHARACTERS:
                self._texts.clear()
                self._numbers = Texts()
                self._size = 0
            known = self._texts[key] = self._made(kernel, user, pid)
            self._size += len(known)
        return known

    def cells(self, entries: Fields) -> Cells:
        """Return the texts of many entries with `kernel`, `user` and `pid`."""
        keys = list(zip(*[entries[f].tolist() for f in ("kernel", "user", "pid")], strict=True))
        known = list(map(self._texts.get, keys))
        texts = [self.text(*k) if t is None else t for k, t in zip(keys, known, strict=True)]
        return self._numbers.cells(texts)

    def _made(self, kernel: int, user: int, pid: int) -> str:
        names = _once(self._users.names(pid, self._addresses(user)))
        inside = self._addresses(kernel)
        known = kallsyms.resolve(inside) if inside else {}
        names += [name + KERNEL for name in _without_us([_plain(known[a]) for a in inside])]
        if _LOST in (kernel, user):
            names.append("[stack not kept]")
        # A semicolon in a name (of a C++ template, never) would look like another function.
        return ";".join(name.replace(";", ":") for name in names) or "[no stack]"

    def _addresses(self, id: int) -> list[int]:
        """Return addresses, outermost first.

        Callers' are those after the call, so one is subtracted.
        """
        entry = self._table.row((id,)) if id >= 0 else None
        found: list[int] = []
        for address in (entry or ())[1:]:
            if not address:
                break
            found.append(int(address) - bool(found))
        return found[::-1]


def _once(names: list[str]) -> list[str]:
    """Return the names, with a run of the same unnamed entry as one, however many calls deep."""
    return [n for i, n in enumerate(names) if not (n.startswith("[") and names[i - 1 : i] == [n])]


def _plain(name: str) -> str:
    return name.partition("+")[0]


def _without_us(names: list[str]) -> list[str]:
    """Return the names without our program, which is innermost: its code has no name, or bpf's."""
    end = len(names)
    while end and names[end - 1].startswith(_OURS):
        end -= 1
    return names[:end]


def by_stack(
    name: str = "rows", under_way: Mapping[str, Callable[[Flat], int]] | None = None
) -> Callable[[Opening], Callable[[], Reading]]:
    """Return an `open` for a map whose key has `kernel`, `user` and `pid`: the stack is in `stack`.

    Stacks that differ only in places within functions are one row. The array `lost`, where the rung
    has one, holds how many events had no room. under_way: as in `readers.logged`.
    """

    def open(opening: Opening) -> Callable[[], Reading]:
        table, columns = opening.tables[name], opening.hook.stored
        stacks, row = Stacks(opening.tables["stacks"]), row_of(columns, table)
        at = [c.name for c in columns].index("stack")
        places: list[Any] = [table.fields[f] for f in ("kernel", "user", "pid")]
        keys = [i for i, c in enumerate(columns) if c.kind is Kind.KEY]
        summed = [i for i, c in enumerate(columns) if c.kind in (Kind.COUNTER, Kind.HISTOGRAM)]

        cells = cells_from(columns, {"stack": stacks.cells})
        lost, others = opening.tables.get("lost"), Others(opening, name, stay=True)
        uncounted = Uncounted(opening, under_way or {})

        def of(entry: Flat) -> Row:
            kernel, user, pid = (int(entry[p]) for p in places)
            values = list(row(entry))
            values[at] = stacks.text(kernel, user, pid)
            return tuple(values)

        def read() -> Reading:
            others.before()
            made = others.many(table.entries(), of, cells)
            unseen = uncounted.read() + counted(lost)
            many = merged_columns(made, keys, summed) if isinstance(made, ColumnRows) else None
            return Reading(merged(made, keys, summed) if many is None else many, unseen)

        return read

    return open


def merged(rows: Iterable[Row], keys: Sequence[int], summed: Sequence[int]) -> list[Row]:
    """Return rows with the same key as one; counters and histograms are added."""
    found: dict[tuple[Value, ...], list[Value]] = {}
    for row in rows:
        key = tuple([row[i] for i in keys])
        before = found.get(key)
        if before is None:
            found[key] = list(row)
            continue
        for i in summed:
            before[i] = _sum(before[i], row[i])
    return [tuple(row) for row in found.values()]


def merged_columns(
    rows: ColumnRows, keys: Sequence[int], summed: Sequence[int]
) -> ColumnRows | None:
    """Return the same as columns; None if that has to be done row by row."""
    groups = alike([rows.cells[place] for place in keys])
    if groups is None or len(groups.first) == len(rows):
        return None if groups is None else rows
    made = [cells.at(groups.first) for cells in rows.cells]
    for place in summed:
        sums = groups.summed(rows.cells[place])
        if sums is None:
            return None
        made[place] = sums
    return ColumnRows(made)


def _sum(a: Value, b: Value) -> Value:
    if isinstance(a, tuple) and isinstance(b, tuple):
        return tuple(map(add, a, b))
    if isinstance(a, int | float) and isinstance(b, int | float):
        return a + b
    return a
