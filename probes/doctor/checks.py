"""Checks of this host: each rung of each hook, and the one that would be taken.

The kernel is asked with empty programs (`features`); of the best rung that it accepts, the real
programs are compiled and loaded as well, but not attached.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from probes.attach import program as bpf_program
from probes.attach.tracepoint import MOUNT_TRACEFS
from probes.compile.compiler import NOTHING
from probes.errors import ProbeError
from probes.kernel import btf, capabilities, cgroups, rlimits, tracefs
from probes.ladder import features
from probes.ladder.features import Answer, AnswerWord
from probes.ladder.modules import Modules
from probes.model import Hook, HookId, Rung
from probes.owners.state import unreadable

ON_REQUEST = "attached only when you ask: it would outlive the process"
ONLY_PINNED = "attached only when you pin it: it would be in the data path"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A hook on this host: the answer of each rung, and the rung it would use, None for none."""

    id: HookId
    hook: Hook
    answers: tuple[tuple[Rung, Answer], ...]
    predicted: str | None


@dataclass(frozen=True, slots=True)
class Fact:
    """Something about the host that decides what it allows. ok: it is not in the way."""

    name: str
    value: str
    ok: bool
    remedy: str = ""


def uncompiled(modules: Modules) -> ProbeError | None:
    """Return why nothing can be compiled here (no bcc, no BTF and no headers), or None."""
    try:
        with ExitStack() as stack:
            modules.take(NOTHING, stack)
    except ProbeError as refusal:
        return refusal
    return None


def examine(
    hook: Hook,
    modules: Modules,
    *,
    target: str | None = None,
    ifindex: int = 0,
    asked: bool,
    compiler: ProbeError | None = None,
) -> Diagnosis:
    """Ask the kernel about every rung of a hook.

    asked: the user names it (lasting rungs too). compiler: why nothing can be compiled here.
    """
    rlimits.raise_memlock()  # as for the real run: before Linux 5.11 programs count against it
    answers: list[tuple[Rung, Answer]] = []
    predicted: str | None = None
    for rung in hook.ladder:
        answer = features.answer(rung, ifindex)
        if compiler is not None and rung.source and answer.word is not AnswerWord.NO:
            answer = Answer(AnswerWord.NO, compiler.why, compiler.remedy, compiler.code)
        pinned = hook.only_pinned(rung)
        taken = (not rung.lasting or asked) and not pinned
        if answer.word is not AnswerWord.NO and predicted is None and taken:
            answer = _rehearsed(rung, modules, target, answer)
            if answer.word is not AnswerWord.NO:
                predicted = rung.name
        elif answer.word is AnswerWord.YES and not taken:
            answer = Answer(AnswerWord.YES, ONLY_PINNED if pinned else ON_REQUEST)
        answers.append((rung, answer))
    return Diagnosis(HookId(hook.name, target), hook, tuple(answers), predicted)


def _rehearsed(rung: Rung, modules: Modules, target: str | None, answer: Answer) -> Answer:
    """Return the answer, or NO where the rung's real programs do not compile or load."""
    if not rung.source:
        return answer
    try:
        with ExitStack() as stack:
            module = modules.take(rung.source_for(target), stack)
            for program in rung.programs:
                if not program.optional:
                    insns = module.functions[program.function]
                    stack.callback(
                        os.close, bpf_program.load(program.point, insns, program.function)
                    )
    except ProbeError as refusal:
        return Answer(AnswerWord.NO, refusal.why, refusal.remedy, refusal.code)
    return answer


def facts(compiler: ProbeError | None = None, by: str = "bcc") -> Iterator[Fact]:
    """Yield the facts that decide which rungs work here.

    compiler: why nothing can be compiled. by: what programs come from.
    """
    lacking = capabilities.missing(capabilities.BPF, capabilities.PERFMON, capabilities.NET_ADMIN)
    yield Fact(
        "privilege",
        "all that hooks need" if not lacking else f"without {', '.join(lacking)}",
        not lacking,
        capabilities.FULL if lacking else "",
    )
    yield Fact(
        "BTF",
        "there" if btf.available() else btf.missing().why,
        btf.available(),
        "" if btf.available() else btf.missing().remedy,
    )
    yield Fact(
        "compiler",
        by if compiler is None else compiler.why,
        compiler is None,
        "" if compiler is None else compiler.remedy,
    )
    yield _tracefs()
    root = cgroups.root()
    yield Fact(
        "cgroup v2",
        f"at {root}" if root else "not mounted",
        root is not None,
        "" if root else cgroups.MOUNT,
    )
    yield _names()
    kprobes = Path("/sys/bus/event_source/devices/kprobe").exists()
    yield Fact("kprobes", "there" if kprobes else "not in this kernel", kprobes)
    mode = capabilities.lockdown()
    yield Fact("lockdown", mode, mode != "confidentiality")
    paranoid = capabilities.sysctl("kernel.perf_event_paranoid")
    yield Fact("kernel.perf_event_paranoid", str(paranoid), paranoid is None or paranoid <= 2)
    disabled = capabilities.sysctl("kernel.unprivileged_bpf_disabled")
    yield Fact("kernel.unprivileged_bpf_disabled", str(disabled), True)


def _names() -> Fact:
    """Return whether containers and network namespaces of others can be called by name."""
    lacking = [f"those of {runtime} ({place})" for runtime, place in unreadable().items()]
    if capabilities.missing(*capabilities.PROCESSES):
        lacking.append("others' network namespaces")
    if not lacking:
        return Fact("names of containers", "readable", True)
    return Fact(
        "names of containers", f"not readable by this user: {', '.join(lacking)}", False,
        "Run as root (sudo).",
    )  # fmt: skip


def _tracefs() -> Fact:
    for root in tracefs.roots():
        try:
            if (root / "events").is_dir():
                return Fact("tracefs", "readable", True)
        except PermissionError:  # it is for root alone, and so is what it is mounted on
            remedy = "Run as root (sudo), or grant CAP_DAC_READ_SEARCH."
            return Fact("tracefs", "not readable by this user", False, remedy)
    return Fact("tracefs", "not mounted", False, MOUNT_TRACEFS)
