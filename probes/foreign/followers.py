"""Other people's XDP and TC programs, each followed by a program of ours at its exit.

Their programs are not touched: a fexit program sees what theirs was given and what it returned.
Where that is refused, the kernel's own count of its runs serves (BPF_ENABLE_STATS). What one
program refuses costs the others nothing.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from probes.attach.refusals import privileged
from probes.attach.trampoline import FexitOf
from probes.errors import ProbeError, Unsupported, in_words, short
from probes.foreign.counters_c import ProgramPlace, made_for
from probes.kernel import bpf, capabilities, procfs
from probes.model import Opening, Value
from probes.point import PROGRAM_PREFIX

FEXIT, DRIVER, RUNS, NONE = "fexit", "driver", "runs", "none"
"""Ways in which a program is counted, as in the column `seen`."""
UNCOUNTED = "listed only: counting needs Linux 5.8 and CAP_SYS_ADMIN"
ONLY_RUNS = "its runs are counted, not its verdicts"
MAX_FOLLOWED = 256
"""Programs of one hook that get one of ours; further ones are counted by their runs."""
ENOUGH = f"{MAX_FOLLOWED} others are followed already"


def unreachable() -> ProbeError | None:
    """Return the refusal of a host where programs cannot be opened by id."""
    try:
        next(bpf.prog_ids(), None)
    except OSError as refused:
        what = "others' programs cannot be opened"
        return privileged(refused.errno or 0, what, capabilities.SYS_ADMIN)
    return None


def uncountable() -> ProbeError | None:
    """Return the refusal of a host that does not let us count the runs of programs."""
    if (refusal := unreachable()) is not None:
        return refusal
    try:
        os.close(bpf.enable_stats())
    except OSError as refused:
        code = refused.errno or 0
        if code == errno.EINVAL:
            return Unsupported("this kernel has no run-time statistics (Linux 5.8)", errno=code)
        return privileged(code, "runs of programs cannot be counted", capabilities.SYS_ADMIN)
    return None


@dataclass(slots=True)
class Followed:
    """A program that is held. seen: FEXIT, RUNS or NONE; why: what is missing.

    name, fd: None where they are unavailable. ours: it is not a foreign one. again: what it
    refused, it refused for the moment. begun: how long and how often it had run by then.
    """

    id: int
    stack: ExitStack
    name: str | None = None
    fd: int | None = None
    ours: bool = False
    seen: str = NONE
    why: str = ""
    again: bool = False
    base: int = 0
    begun: tuple[int, int] = (0, 0)

    def taken(self) -> tuple[int, int] | None:
        """Return how many nanoseconds it has run since, and how often, as the kernel counts.

        It counts while statistics are on, as they are while ebpftop runs; None: it cannot be asked.
        """
        if self.fd is None or self.ours:
            return None
        ran, times, _ = bpf.prog_runs(self.fd)
        return max(ran - self.begun[0], 0), max(times - self.begun[1], 0)

    def runs(self) -> int | None:
        """Return how often it ran since being followed; None where verdicts are counted."""
        if self.fd is None or self.seen != RUNS:
            return None
        return bpf.prog_runs(self.fd)[1] - self.base


class Followers:
    """Programs of one hook, held while they are where they are looked for.

    ways: functions of SOURCE to load at their exit, best first; none: by their runs only.
    """

    def __init__(self, opening: Opening, ways: Sequence[str] = ()) -> None:
        self._opening = opening
        self._ways = ways
        self._netns = procfs.netns()
        self._held: dict[int, Followed] = {}
        self._places: frozenset[ProgramPlace] = frozenset()
        self._links: tuple[bpf.ProgLink, ...] = ()
        self._stats = False
        opening.stack.callback(self.close)

    def keep(self, places: Collection[ProgramPlace]) -> Mapping[int, Followed]:
        """Follow new programs, release those that have gone; return what is held, by id."""
        if (now := frozenset(places)) != self._places:
            self._links = _links()
            self._places = now
        wanted = {place.program for place in now}
        for id in self._held.keys() - wanted:
            self._held.pop(id).stack.close()
        for id in wanted:
            if id not in self._held or self._held[id].again:
                self._take(self._held.get(id) or Followed(id, ExitStack()))
        return self._held

    def by_link(self, place: ProgramPlace) -> bool:
        """Return whether a bpf_link holds the XDP program there."""
        return any((x.prog_id, x.ifindex) == place[:2] for x in self._links)

    def parts(self, program: int) -> str:
        """Return the programs that replace functions of this one (libxdp), by name and id."""
        parts = [x.prog_id for x in self._links if x.target == program]
        names = {part: bpf.prog_name(part) or "?" for part in parts}
        return " ".join(
            f"{name}#{part}" for part, name in names.items() if not name.startswith(PROGRAM_PREFIX)
        )

    def close(self) -> None:
        while self._held:
            self._held.popitem()[1].stack.close()

    def _take(self, followed: Followed) -> None:
        """Follow a program, or try again; one that is gone already is not held."""
        try:
            self._hold(followed)
        except FileNotFoundError:
            return  # gone since it was listed
        except OSError as refused:
            followed.again = short(refused.errno)
            followed.why = f"it cannot be opened: {in_words(refused)}"
        self._held[followed.id] = followed

    def _hold(self, followed: Followed) -> None:
        if followed.fd is None:
            followed.fd = bpf.prog_fd_by_id(followed.id)
            followed.stack.callback(os.close, followed.fd)
        followed.name = bpf.prog_info(followed.fd).name
        followed.ours = followed.name.startswith(PROGRAM_PREFIX)
        if not followed.ours:
            followed.begun = bpf.prog_runs(followed.fd)[:2]
            self._follow(followed, followed.fd)

    def _follow(self, followed: Followed, fd: int) -> None:
        """Follow it by the first way that this program accepts, else by its runs."""
        refused: list[ProbeError] = []
        for way in self._ways:
            try:
                self._attach(followed, fd, way)
            except ProbeError as refusal:
                refused.append(refusal)
                continue
            followed.seen, followed.why, followed.again = FEXIT, _tail_calls(fd), False
            return
        followed.again = any(short(refusal.errno) for refusal in refused)
        if followed.seen == NONE:
            self._count_runs(followed, fd, refused[-1].why if refused else ONLY_RUNS)

    def _attach(self, followed: Followed, fd: int, way: str) -> None:
        if sum(other.seen == FEXIT for other in self._held.values()) >= MAX_FOLLOWED:
            raise Unsupported(ENOUGH)
        point = FexitOf(fd, bpf.main_function(fd))
        insns = made_for(self._opening.functions[way], followed.id, self._netns)
        self._opening.attach(point, insns, way, followed.stack)

    def _count_runs(self, followed: Followed, fd: int, why: str) -> None:
        followed.why = why
        try:
            if not self._stats:
                self._opening.stack.callback(os.close, bpf.enable_stats())
                self._stats = True
        except OSError as refused:
            runs = f"its runs are not counted either ({in_words(refused)})"
            followed.why = f"{why}; {runs}"
            return
        followed.seen, followed.base = RUNS, bpf.prog_info(fd).runs


def ids_of(held: Mapping[int, Followed]) -> list[int]:
    """Return the ids of those that are not ebpftop's."""
    return [id for id, followed in held.items() if not followed.ours]


def time_of(followed: Followed) -> dict[str, Value]:
    """Return the columns of `program_time`."""
    taken = followed.taken()
    return {} if taken is None else {"run_ns": taken[0], "timed_runs": taken[1]}


def _links() -> tuple[bpf.ProgLink, ...]:
    try:
        return tuple(bpf.prog_links())
    except OSError as refused:
        if refused.errno != errno.EINVAL:
            raise
        return ()  # links have ids since Linux 5.8


def _tail_calls(fd: int) -> str:
    """Return what is worth knowing although the verdict is right."""
    if not bpf.tail_calls(fd):
        return ""
    return "it may tail-call others: the verdict is that of the last one"
