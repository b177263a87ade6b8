"""A user's own hook: from what is written (`spec`) to a `Hook`, with its ladder and columns.

    kernel function      fentry -> kprobe-multi -> kprobe
    tracepoint           BTF -> raw -> tracefs; with fields: tracefs, whose record has them
    program or library   uprobe

None has a passive rung: nothing else counts these. What this kernel or file does not have is
refused here already, with names that are spelled alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

from probes.attach.kprobe import FEW_RETURNS, Kprobe, KprobeMulti, Kretprobe, KretprobeMulti
from probes.attach.tracepoint import BtfTracepoint, RawTracepoint, Tracepoint
from probes.attach.trampoline import Fentry, Fexit
from probes.attach.uprobe import Uprobe, Uretprobe
from probes.custom import columns as own_columns
from probes.custom import spec
from probes.custom.source import REGISTERS, UNDER_WAY, ArgumentAccess, source
from probes.custom.spec import FUNCTIONS, USER, Spec, SpecError
from probes.errors import Denied, Gone, Unsupported
from probes.kernel import btf, cgroups, kallsyms, procfs, tracefs
from probes.kernel.tracefs import RecordField
from probes.model import Hook, Program, Rung
from probes.point import Point
from probes.toolkit.readers import Open, by_columns
from probes.toolkit.stacks import by_stack
from probes.units import did_you_mean

_LOADS = "CAP_BPF, CAP_PERFMON"
_ORDER = 200
"""Position on the screen, after all hooks of the catalogue."""


@cache
def hook(text: str) -> Hook:
    """Return the hook of a spec. Its name is the text in its canonical form (`spec.Spec`).

    Raises Gone where there is no such function, tracepoint, field, file or cgroup, Unsupported
    where it is not available here, and SpecError where the text is not a valid spec.
    """
    wanted = spec.parse(text)
    fields = _fields(wanted)
    groups = {str(c.value): _cgroup(str(c.value)) for c in wanted.where if c.name == "cgroup"}
    began = {pid: procfs.started(pid) for pid in (wanted.pid,) if pid is not None}
    _known(wanted)

    def written(how: ArgumentAccess) -> str:
        groups.update({path: _cgroup(path) for path in groups})
        began.update({pid: procfs.started(pid) for pid in began})
        return source(wanted, how, fields, groups)

    changed = partial(_changed, groups, began)
    open = (
        by_stack(under_way=UNDER_WAY) if "stack" in wanted.by else by_columns(under_way=UNDER_WAY)
    )
    return Hook(
        name=str(wanted),
        title=wanted.point,
        question=_answers(wanted),
        columns=own_columns.columns(wanted, fields),
        ladder=tuple([replace(r, changed=changed) for r in _ladder(wanted, written, open)]),
        order=_ORDER,
        on_demand=True,
    )


def recalled(text: str) -> Hook | None:
    """Return the hook that a recording or another host has; None where the text is not a spec.

    Neither this kernel nor its files are asked: the spec is about another host, and its names are
    untrusted. Which fields of a tracepoint are numbers is inferred from their values (`compat`).
    """
    try:
        wanted = spec.parse(text)
    except SpecError:
        return None
    named = (*wanted.fields, *(c.name for c in wanted.where if c.name not in spec.OF_TASK))
    fields = dict.fromkeys(named, own_columns.UNKNOWN)
    columns = own_columns.columns(wanted, fields)
    return Hook(
        str(wanted), wanted.point, _answers(wanted), columns, (), order=_ORDER, on_demand=True
    )


def _answers(wanted: Spec) -> str:
    what = "returns from" if wanted.of_return else "passes through"
    if wanted.kind.endswith("tracepoint"):
        what = "hits of"
    return f"How many {what} {wanted.point}, and by whom."


# -- what this kernel has --------------------------------------------------------------------


def _known(wanted: Spec) -> None:
    """Raise Gone for what certainly does not exist; where that is not known, the ladder will."""
    if wanted.kind in FUNCTIONS:
        if kallsyms.copies(wanted.place) == ():
            near = did_you_mean(wanted.place, kallsyms.functions())
            raise Gone(f"this kernel has no function {wanted.place}{near}")
    elif wanted.kind in USER:
        _file(wanted)
    elif events := tracefs.events():
        name = f"{wanted.category}:{wanted.place}" if wanted.category else wanted.place
        # Raw tracepoints need not be events: some have no record.
        names = events if wanted.category else tracefs.names() | btf.tracepoints()
        if name not in names:
            raise Gone(f"this kernel has no tracepoint {name}{did_you_mean(name, names)}")


def _file(wanted: Spec) -> str:
    """Return the file as seen from here: a condition on one process means that process's file."""
    if wanted.pid is None:
        return wanted.place
    root = Path("/proc", str(wanted.pid), "root")
    try:
        root.stat()
    except PermissionError as refused:
        raise Denied(
            f"the files of process {wanted.pid} cannot be read by this user",
            errno=refused.errno or 0,
            remedy="Run as root (sudo), outside of containers.",
        ) from None
    except OSError:
        raise Gone(f"there is no process {wanted.pid}") from None
    return f"{root}{wanted.place}"


def _cgroup(path: str) -> int:
    top = cgroups.root()
    if top is None:
        raise cgroups.not_mounted()
    try:
        return cgroups.id_of(top / path.lstrip("/"))
    except OSError:
        raise Gone(f"there is no cgroup {path} below {top}") from None


def _changed(groups: dict[str, int], began: dict[int, int | None]) -> str:
    """Return why a condition's target is not what the programs were made for; "" if it still is.

    A condition holds a number: a later process or cgroup of the same name has another. began: when
    each process began, None: it did not exist. A pid is the one in this process's own /proc, as in
    the program (`who_c`).
    """
    said = [s for pid, then in began.items() if (s := _gone(pid, procfs.started(pid), then))]
    for path, id in groups.items():
        try:
            if _cgroup(path) != id:
                said.append(f"{path} is another cgroup now: detach and attach again")
        except (Gone, Unsupported):
            said.append(f"the cgroup {path} has gone")
    return "; ".join(said)


def _gone(pid: int, now: int | None, began: int | None) -> str:
    if now is None:
        return f"the process {pid} has gone"
    if began is None or now == began:
        return ""
    return f"{pid} is another process now: detach and attach again"


def _fields(wanted: Spec) -> Mapping[str, RecordField]:
    """Return the record's fields that the spec names. Raises Gone or Unsupported."""
    named = (*wanted.fields, *(c.name for c in wanted.where if c.name not in spec.OF_TASK))
    if not named:
        return {}
    known = tracefs.fields(wanted.category, wanted.place)
    if not known:
        _known(wanted)
        raise Unsupported(
            "a tracepoint's fields are listed in tracefs, which cannot be read here",
            remedy="As root: mount -t tracefs tracefs /sys/kernel/tracing",
        )
    for name in named:
        if name not in known:
            near = did_you_mean(name, known) or f"; it has {', '.join(known)}"
            raise Gone(f"{wanted.point} has no field {name}{near}")
        if not known[name].number and not (known[name].text and name in wanted.fields):
            kind = "number or text" if name in wanted.fields else "number"
            raise Unsupported(f"the field {name} of {wanted.point} is not a {kind}")
    return {name: known[name] for name in named}


# -- the ladder ------------------------------------------------------------------------------


def _ladder(wanted: Spec, written: Callable[..., str], open: Open) -> tuple[Rung, ...]:
    if wanted.kind in FUNCTIONS:
        return _of_function(wanted, written, open)
    if wanted.kind in USER:
        return (_of_file(wanted, written, open),)
    return _of_tracepoint(wanted, written, open)


def _since(wanted: Spec, minor: int) -> str:
    """Return Linux 4.`minor`, or 4.18, where programs can ask for their task's cgroup."""
    by_cgroup = "cgroup" in wanted.by or any(c.name == "cgroup" for c in wanted.where)
    return f"Linux 4.{max(minor, 18) if by_cgroup else minor}"


def _of_function(wanted: Spec, written: Callable[..., str], open: Open) -> tuple[Rung, ...]:
    name, result = wanted.place, wanted.reads_result
    ends = wanted.of_return
    typed: list[Point] = [Fexit(name) if ends else Fentry(name)]
    probed: list[Point] = [Kretprobe(name, result) if ends else Kprobe(name, arguments=False)]
    linked: list[Point] = [
        KretprobeMulti(name, result) if ends else KprobeMulti(name, arguments=False)
    ]
    if wanted.latency:
        typed.append(Fentry(name))
        linked.append(KprobeMulti(name, arguments=False))
        probed.append(Kprobe(name, arguments=False))
    return (
        Rung(
            "fentry",
            f"Linux 5.5, BTF, {_LOADS}",
            open,
            source=lambda _: written(_typed(wanted)),
            programs=_programs(typed),
        ),
        Rung(
            "kprobe-multi",
            f"Linux 5.18, CONFIG_FPROBE, {_LOADS}",
            open,
            source=lambda _: written(REGISTERS),
            programs=_programs(linked),
            misses=FEW_RETURNS if ends else "",
        ),
        Rung(
            "kprobe",
            f"{_since(wanted, 17)}, CONFIG_KPROBES, {_LOADS}",
            open,
            source=lambda _: written(REGISTERS),
            programs=_programs(probed),
            misses=FEW_RETURNS if ends else "",
        ),
    )


def _typed(wanted: Spec) -> ArgumentAccess:
    """Return the function's types; at its exit the result follows the arguments.

    Raises Unsupported.
    """
    if not wanted.reads_result:
        return ArgumentAccess()
    prototype = btf.prototype(wanted.place)
    if prototype is None:
        raise Unsupported(f"this kernel has no type information for the function {wanted.place}")
    if not prototype.returns:
        raise Unsupported(f"{wanted.place} returns nothing")
    return ArgumentAccess(result=f"ctx[{prototype.words}]")


def _programs(points: list[Point]) -> tuple[Program, ...]:
    """Return the programs.

    An end is attached before its beginning, so that every call that begins ends.
    """
    return tuple(map(Program, ("hit", "enter"), points))


def _of_tracepoint(wanted: Spec, written: Callable[..., str], open: Open) -> tuple[Rung, ...]:
    plain = not wanted.fields and all(c.name in spec.OF_TASK for c in wanted.where)
    kinds: list[tuple[str, str, Point]] = []
    # System calls have records, but no tracepoints of their own.
    if plain and wanted.category != "syscalls":
        kinds += [
            ("btf-tracepoint", "Linux 5.5, BTF", BtfTracepoint(wanted.place)),
            ("raw-tracepoint", _since(wanted, 17), RawTracepoint(wanted.place)),
        ]
    if wanted.category:
        tracefs = Tracepoint(wanted.category, wanted.place)
        kinds.append(("tracepoint", f"{_since(wanted, 10)}, tracefs", tracefs))
    return tuple(
        Rung(
            name,
            f"{least}, {_LOADS}",
            open,
            source=lambda _: written(ArgumentAccess()),
            programs=_programs([at]),
        )
        for name, least, at in kinds
    )


def _of_file(wanted: Spec, written: Callable[..., str], open: Open) -> Rung:
    path, symbol = _file(wanted), wanted.symbol
    at: list[Point] = [
        Uretprobe(path, symbol, wanted.unsafe)
        if wanted.of_return
        else Uprobe(path, symbol, wanted.offset)
    ]
    if wanted.latency:
        at.append(Uprobe(path, symbol))
    return Rung(
        "uprobe",
        f"{_since(wanted, 17)}, CONFIG_UPROBES, CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN",
        open,
        source=lambda _: written(REGISTERS),
        programs=_programs(at),
    )
