"""The columns of a user's own hook: its keys and its counters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from probes.custom.spec import Spec
from probes.kernel import cgroups, tracefs
from probes.kernel.tracefs import RecordField
from probes.model import Column, Kind
from probes.toolkit import decode
from probes.toolkit.columns import latency
from probes.toolkit.window import mean
from probes.units import Unit

UNKNOWN = RecordField("", "", 0, 8, True, False, False)
"""A field of a tracepoint of another kernel."""


def columns(wanted: Spec, fields: Mapping[str, RecordField]) -> tuple[Column, ...]:
    """Return the columns, keys first but for a stack.

    Fields: the keys among the record's fields.
    """
    made = (*_keys(wanted, fields), *_counted(wanted))
    # A stack may be as wide as it likes: nothing stands behind it.
    return tuple(sorted(made, key=lambda column: column.name == "stack"))


_PID = Column("pid", "Pid", Unit.NUMBER, Kind.KEY, "pid", width=7, help="process id (tgid)")
_COMM = Column(
    "comm", "Command", kind=Kind.KEY, field="comm", decode=decode.comm, width=16,
    help="the process's name at that moment",
)  # fmt: skip
_STACK = Column(
    "stack",
    "Stack",
    kind=Kind.KEY,
    width=40,
    help=("callers, outermost first; _[k] marks kernel functions"),
)


def _keys(wanted: Spec, fields: Mapping[str, RecordField]) -> tuple[Column, ...]:
    made: dict[str, Column] = {}
    for name in wanted.by:
        made |= {column.name: column for column in _key(name, wanted)}
    for i, name in enumerate(wanted.fields):
        own = name.strip("_").lower()
        title = own if own not in _RESERVED else f"field_{own}"
        made[title] = _field_column(title, i, fields[name], wanted)
    return tuple(made.values())


def _key(name: str, wanted: Spec) -> tuple[Column, ...]:
    match name:
        case "pid":
            return _PID, _COMM
        case "comm":
            return (_COMM,)
        case "cgroup":
            of: Callable[[Any], str] = cgroups.Paths().of
            how = Column("cgroup", "Cgroup", kind=Kind.KEY, field="cgroup", decode=of, width=24,
                         help="path of the process's cgroup below the mount")  # fmt: skip
            return (how,)
        case "cpu":
            return (Column("cpu", "CPU", Unit.NUMBER, Kind.KEY, "cpu", width=4, help="CPU number"),)
        case "stack":
            return _PID, _STACK
        case "ret":
            help = "the returned value; an errno by name"
            return (Column("ret", "Returned", kind=Kind.KEY, field="ret", decode=_result, width=12,
                           help=help),)  # fmt: skip
        case _:
            point = wanted.point
            return (Column("point", "Point", kind=Kind.KEY, field="all", decode=lambda _: point,
                           width=24, help="where the events are counted"),)  # fmt: skip


def _result(value: Any) -> str:
    return decode.errno_name(-value) if -4095 <= value < 0 else str(value)


_RESERVED = {"pid", "comm", "cgroup", "cpu", "stack", "ret", "point", "events", "latency"}


def _field_column(title: str, i: int, field: RecordField, wanted: Spec) -> Column:
    if field is UNKNOWN:
        help = "the tracepoint's field"
        return Column(title, wanted.fields[i], Unit.NUMBER, Kind.KEY, width=12, help=help)
    unit = Unit.NUMBER
    how: Callable[[Any], str] | None = None
    if field.text:
        unit, how = Unit.TEXT, decode.comm
    elif field.type == "dev_t":
        unit, how = Unit.TEXT, _device
    elif field.type.endswith("*"):
        unit, how = Unit.TEXT, _address
    elif names := tracefs.symbols(wanted.category, wanted.place, field.name):
        unit, how = Unit.TEXT, partial(_named, names)
    help = f"the tracepoint's {field.type.removesuffix('[]').strip()} {field.name}"
    return Column(title, field.name, unit, Kind.KEY, f"f{i}", how, width=12, help=help)


def _device(value: Any) -> str:
    """Return major:minor of a device as the kernel keeps it.

    12 bits of major number, 20 of minor.
    """
    return f"{value >> 20}:{value & (1 << 20) - 1}"


def _address(value: Any) -> str:
    return f"0x{value & (1 << 64) - 1:x}"


def _named(names: Mapping[int, str], value: Any) -> str:
    return names.get(value, str(value))


def _counted(wanted: Spec) -> tuple[Column, ...]:
    what = "calls that returned" if wanted.of_return else "times the point was hit"
    made = [Column("events", "Events", Unit.COUNT, Kind.COUNTER, "events", help=what)]
    if wanted.ret:
        made += [
            Column("failed", "Failed", Unit.COUNT, Kind.COUNTER, "failed",
                   help="calls that returned an errno (-1 to -4095)"),
            Column("returned", "Returned", Unit.COUNT, Kind.COUNTER, "returned",
                   help="sum of the other returned values, pointers excluded"),
            Column("plain", "Plain", Unit.COUNT, Kind.COUNTER, "plain", hidden=True,
                   help="calls that returned a number from 0 to 2**40"),
            Column("mean_ret", "Mean ret", Unit.COUNT, Kind.DERIVED,
                   derive=mean("returned", "plain"), help=(
                       "mean of these returned values, last 10 s"
                   )),
        ]  # fmt: skip
    if wanted.latency:
        help = "calls whose duration is known"
        made.append(Column("timed", "Timed", Unit.COUNT, Kind.COUNTER, "timed", hidden=True,
                           help=help))  # fmt: skip
        made += latency("timed", "time from call to return")
    return tuple(made)
