"""`ebpftop profile`: one profile as text, as folded stacks, or as a flame graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from probes.model import Hook, Row
from probes.units import printable

MAX_LINES = 15
"""Processes and functions in the text, at most."""

Stack = tuple[str, int]
"""Names joined by ";" (the process, then calls, outermost first), and the number of samples."""


def stacks(hook: Hook, rows: Iterable[Row]) -> list[Stack]:
    """Return the stacks in the rows of the hook `profile`, most samples first."""
    names = [c.name for c in hook.stored]
    comm, stack, samples = (names.index(n) for n in ("comm", "stack", "samples"))
    counted: Counter[str] = Counter()
    for row in rows:
        process = printable(str(row[comm])).replace(";", ":")
        number = row[samples]
        if isinstance(number, int):
            counted[f"{process};{printable(str(row[stack]))}"] += number
    return counted.most_common()


def folded(profile: Iterable[Stack]) -> str:
    """Return a line for each stack, as flame graph tools read them: `nginx;main;handle 42`."""
    return "".join(f"{stack} {samples}\n" for stack, samples in profile)


def text(profile: Sequence[Stack], seconds: float) -> str:
    """Return the busiest processes and functions, as shares of all samples."""
    whole = sum(samples for _, samples in profile)
    processes: Counter[str] = Counter()
    inside: Counter[tuple[str, str]] = Counter()
    for stack, samples in profile:
        process, *calls = stack.split(";")
        processes[process] += samples
        inside[calls[-1] if calls else "-", process] += samples
    lines = [f"{whole} samples in {seconds:g} s", "", "  share  samples  process"]
    lines += [f"{_share(n, whole)}  {n:7}  {p}" for p, n in processes.most_common(MAX_LINES)]
    lines += ["", "  share  samples  function, without what it calls (process)"]
    lines += [
        f"{_share(n, whole)}  {n:7}  {f} ({p})" for (f, p), n in inside.most_common(MAX_LINES)
    ]
    return "\n".join(lines)


def _share(samples: int, whole: int) -> str:
    return f"{100 * samples / whole if whole else 0:6.1f}%"
