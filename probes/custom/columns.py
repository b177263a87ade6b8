"""The columns of a user's own hook: its keys and its counters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from probes.custom.spec import Spec
from probes.kernel import cgroups, tracefs
from probes.kernel.tracefs import RecordField
from probes.model import Column
from probes.toolkit import Unit, counter, decode, derived, key, latency, mean, owner, process
from probes.toolkit.stacks import STACK

UNKNOWN = RecordField("", "", 0, 8, True, False, False)
"""A field of a tracepoint of another kernel."""


def columns(wanted: Spec, fields: Mapping[str, RecordField]) -> tuple[Column, ...]:
    """Return the columns, keys first but for a stack.

    Fields: the keys among the record's fields.
    """
    made = (*_keys(wanted, fields), *_counted(wanted))
    # A stack may be as wide as it likes: nothing that is always shown stands behind it.
    made = tuple(sorted(made, key=lambda column: column.name == "stack"))
    return (*made, *owner("the process")) if {"pid", "stack", "cgroup"} & {*wanted.by} else made


_PID, _COMM = process("process id (tgid)")


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
            help = "path of the process's cgroup below the mount"
            return (key("cgroup", "Cgroup", help, decode=of, width=24),)
        case "cpu":
            return (key("cpu", "CPU", "CPU number", Unit.NUMBER, width=4),)
        case "stack":
            return _PID, STACK
        case "ret":
            help = "the returned value; an errno by name"
            return (key("ret", "Returned", help, decode=_result, width=12),)
        case _:
            point = wanted.point
            help = "where the events are counted"
            return (key("point", "Point", help, field="all", decode=lambda _: point, width=24),)


def _result(value: Any) -> str:
    return decode.errno_name(-value) if -4095 <= value < 0 else str(value)


_RESERVED = {
    *("pid", "comm", "cgroup", "cpu", "stack", "ret", "point", "events", "latency"),
    *(column.name for column in owner("")),
}


def _field_column(title: str, i: int, field: RecordField, wanted: Spec) -> Column:
    if field is UNKNOWN:
        help = "the tracepoint's field"
        return key(title, wanted.fields[i], help, Unit.NUMBER, field=None, width=12)
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
    return key(title, field.name, help, unit, field=f"f{i}", decode=how, width=12)


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
    made = [counter("events", "Events", what)]
    if wanted.ret:
        made += [
            counter("failed", "Failed", "calls that returned an errno (-1 to -4095)"),
            counter("returned", "Returned", "sum of the other returned values, pointers excluded"),
            counter("plain", "Plain", "calls that returned a number from 0 to 2**40", hidden=True),
            derived(
                "mean_ret",
                "Mean ret",
                "mean of these returned values, last 10 s",
                Unit.COUNT,
                mean("returned", "plain"),
            ),
        ]
    if wanted.latency:
        made.append(counter("timed", "Timed", "calls whose duration is known", hidden=True))
        made += latency("timed", "time from call to return")
    return tuple(made)
