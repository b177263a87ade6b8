"""Security checks: what the kernel asks its security modules, for whom, and what is denied.

It only observes: a program at a security hook returns the verdict of those before it.
"""

from __future__ import annotations

from probes.hooks.lsm import source
from probes.hooks.lsm.readers import check, open_checks, open_hooks, unlisted
from probes.hooks.lsm.source import CHECKS, TYPES, program
from probes.point import Point
from probes.toolkit import (
    BtfTracepoint,
    Fexit,
    Hook,
    Kprobe,
    Kretprobe,
    Lsm,
    Program,
    Rung,
    Tracepoint,
    Unit,
    counter,
    given,
    key,
    level,
    logged_process,
    owner,
    process,
)

_LOADS = "CAP_BPF, CAP_PERFMON"
_ALWAYS = {"exec", "open", "connect"}
"""Checks that every kernel with security modules has."""
_UNKNOWN = (
    "capabilities, module requests and the object of each check are not seen; denials by file "
    "modes and seccomp count as denied; calls of 32-bit and x32 programs, and of io_uring, are "
    "not seen"
)


def _programs(
    of: str, point: type[Lsm] | type[Fexit] | type[Kprobe] | type[Kretprobe]
) -> list[Program]:
    return [
        _program(program(c.name, of), point(c.hook if point is Lsm else c.function), c.name)
        for c in CHECKS
    ]


def _program(function: str, point: Point, name: str) -> Program:
    if name in _ALWAYS and not isinstance(point, Tracepoint):
        return Program(function, point)
    return Program(function, point, True, f"{name} is not seen")


def _denials() -> list[Program]:
    """Return the programs at exits.

    They come first, so that every check is counted at the exit as well.
    """
    return [
        Program(p.function, p.point, True, "denials by other modules are not seen")
        for p in _programs("done", Fexit)
    ]


def _calls() -> list[Program]:
    return [
        _program(program(call, "left"), Tracepoint("syscalls", f"sys_exit_{call}"), call)
        for call in source.here()
    ]


HOOK = Hook(
    name="lsm",
    title="Security checks",
    question="Which security checks the kernel makes, for whom, and which are denied.",
    columns=(
        *process("process that is checked", "the process's name"),
        key("uid", "Uid", "the process's user", Unit.NUMBER, width=6),
        key(
            "check",
            "Check",
            "exec, open, connect, bpf, module (request), read-file and load-data (kernel), "
            "ptrace, capable",
            field="op",
            decode=check,
            width=10,
        ),
        key(
            "what",
            "What",
            "object of the check: capability, command, mode, family",
            field=None,
            width=18,
        ),
        counter("checks", "Checks", "number of checks", field=None),
        counter("denied", "Denied", "checks that returned an error", field=None),
        *owner("the process"),
    ),
    ladder=(
        Rung(
            "lsm",
            f"Linux 5.7, BTF, bpf in lsm=, {_LOADS}",
            open_hooks,
            source=source.at_hooks,
            types=TYPES,
            programs=(*_denials(), *_programs("asked", Lsm)),
            precheck=unlisted,
        ),
        Rung(
            "fexit",
            f"Linux 5.5, BTF, {_LOADS}",
            open_checks,
            source=source.at_exits,
            types=TYPES,
            programs=tuple(_programs("done", Fexit)),
        ),
        Rung(
            "kprobe",
            f"Linux 4.20, CONFIG_KPROBES, {_LOADS}",
            open_checks,
            source=source.PROBED,
            types=TYPES,
            programs=(*_programs("done", Kretprobe), *_programs("asked", Kprobe)),
        ),
        Rung(
            "tracepoint",
            f"Linux 4.20, tracefs, {_LOADS}",
            open_checks,
            source=source.AT_CALLS,
            types=TYPES,
            programs=(Program("executed", Tracepoint("sched", "sched_process_exec")), *_calls()),
            misses=_UNKNOWN,
        ),
        Rung(
            "btf-tracepoint",
            f"Linux 5.5, BTF, {_LOADS}",
            open_checks,
            source=source.at_every_call,
            types=TYPES,
            programs=(
                Program("executed", BtfTracepoint("sched_process_exec")),
                Program("leave", BtfTracepoint("sys_exit")),
            ),
            misses=_UNKNOWN,
        ),
    ),
    order=130,
    on_demand=True,
    log=given(
        *logged_process("process that was denied"),
        level("uid", "Uid", "the process's user", Unit.NUMBER, width=6),
        level("check", "Check", "check that was denied", width=10),
        level("what", "What", "object of the check", width=18),
        level("error", "Error", "errno that the process got", width=10),
        *owner("the process"),
    ),
)
