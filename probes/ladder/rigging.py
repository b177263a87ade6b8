"""Attaching a rung: its module, its programs, and what it follows; whole, or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial

from probes.attach import program as bpf_program
from probes.errors import ProbeError, passing
from probes.kernel import bpf, open_files
from probes.ladder import replaced_files
from probes.ladder.modules import Modules
from probes.ladder.standing import Standing, charged
from probes.model import Attach, Hook, Opening, Program, Rung, Table
from probes.point import Held, Point


@dataclass(frozen=True, slots=True)
class Spot:
    """The target that is attached, and its place. one_in: one event in so many is counted."""

    hook: Hook
    target: str | None
    ifindex: int
    one_in: int = 1


@dataclass(slots=True)
class _Rigged:
    """The parts of a rung made so far."""

    programs: list[int] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)
    iterators: dict[str, Callable[[], bytes]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    source: str = ""
    tables: Mapping[str, Table] = field(default_factory=dict)
    functions: Mapping[str, bytes] = field(default_factory=dict)
    maps: Mapping[str, int] = field(default_factory=dict)


def stand(
    rung: Rung,
    place: Spot,
    modules: Modules,
    opening: Callable[[], object],
    keep: Callable[[Rung, list[Held]], object],
    *notes: str,
) -> Standing:
    """Attach a rung. opening: called before it is opened. notes: for its remarks at the beginning.

    Raises ProbeError, and exceptions of the rung's own functions; then nothing is attached, but for
    what could not be detached again, which is among the handles that `keep` gets.
    """
    made = _Rigged(notes=[*notes, rung.misses])
    try:
        return _stood(rung, place, modules, opening, made)
    except BaseException:
        keep(rung, made.held)
        raise


def _stood(
    rung: Rung, place: Spot, modules: Modules, opening: Callable[[], object], made: _Rigged
) -> Standing:
    with ExitStack() as stack:
        if rung.source:
            made.source = rung.source_for(place.target, place.one_in)
            module = modules.take(made.source, stack)
            made.tables, made.functions, made.maps = module.tables, module.functions, module.fds
        for program in rung.programs:
            _attach(program, place.ifindex, made, stack)
        memory = None if rung.passive else charged(made.maps.values())
        attach, following = _attaching(made.programs), stack.enter_context(ExitStack())
        asked = _opening(place, made, attach, following)
        opening()
        read = rung.open(asked)
        files = replaced_files.probed(rung.programs, made.functions, attach, following)
        changed = [*(file.look for file in files), *(f for f in (rung.changed,) if f is not None)]
        if not rung.passive:
            open_files.check_left()
        return Standing(
            rung,
            read,
            stack.pop_all(),
            made.programs,
            made.held,
            made.source,
            place.one_in,
            memory,
            "; ".join(dict.fromkeys(filter(None, made.notes))),
            changed=changed,
        )


def _attach(program: Program, ifindex: int, made: _Rigged, stack: ExitStack) -> None:
    """Attach one program; the refusal of an optional one becomes a note, unless it may pass."""
    insns = made.functions[program.function]
    try:
        with ExitStack() as attaching:
            fd = bpf_program.load(program.point, insns, program.function)
            attaching.callback(os.close, fd)
            attached = program.point.attach(fd, ifindex, made.maps)
            attaching.callback(attached)
            stack.push(attaching.pop_all())
    except ProbeError as refusal:
        if not program.optional or passing(refusal):
            raise
        made.notes.append(f"{program.without}: {refusal.why}")
        return
    made.programs.append(fd)
    made.held.append(attached)
    if program.point.iterates and attached.link is not None:
        made.iterators[program.function] = partial(bpf.iterate, attached.link)


def _opening(place: Spot, made: _Rigged, attach: Attach, following: ExitStack) -> Opening:
    return Opening(
        place.hook,
        made.tables,
        place.target,
        place.ifindex,
        tuple(bpf.prog_info(fd).id for fd in made.programs),
        made.functions,
        attach,
        following,
        made.iterators,
    )


def _attaching(programs: list[int]) -> Attach:
    """Count what a rung attaches by itself among its programs while it is there."""

    def attach(point: Point, insns: bytes, name: str, stack: ExitStack) -> int:
        with ExitStack() as attaching:
            fd = bpf_program.load(point, insns, name)
            attaching.callback(os.close, fd)
            attaching.callback(point.attach(fd, 0, {}))
            id = bpf.prog_info(fd).id
            programs.append(fd)  # last: from now on, only the thread that reads may let go of it
            attaching.callback(programs.remove, fd)
            stack.push(attaching.pop_all())
            return id

    return attach
