"""A process and everything below it, as /proc tells: CPU time and memory (proc(5))."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PPID, UTIME, STIME, CUTIME, CSTIME, STARTTIME = 1, 11, 12, 13, 14, 19
"""Places in /proc/PID/stat behind the command."""


def _stat(pid: int) -> list[str]:
    """The fields behind the command, which may hold anything but is closed by the last ")"."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _memory(pid: int) -> tuple[int, int]:
    """Resident now and at its highest (VmRSS, VmHWM), in bytes; 0 for a zombie."""
    found = {"VmRSS": 0, "VmHWM": 0}
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name in found:
            found[name] = int(value.split()[0]) * 1024
    return found["VmRSS"], found["VmHWM"]


def _on_cpu(pid: int) -> float:
    """Seconds that the process's living threads were on a CPU, by the scheduler's own clock.

    utime and stime may be sampled at ticks, which bursts shorter than a tick escape.
    """
    total = 0
    for thread in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        try:
            total += int(thread.read_text().split()[0])
        except OSError:
            continue  # ended meanwhile
    return total / 1e9


@dataclass(slots=True)
class Tree:
    """A process and its descendants, looked at again and again.

    peaks: (pid, start) -> highest VmHWM seen, bytes; commands by the same key. peak: the highest
    sum of VmRSS at one look, bytes: shared pages count once for each process that has them.
    """

    root: int
    peaks: dict[tuple[int, int], int] = field(default_factory=dict)
    commands: dict[tuple[int, int], str] = field(default_factory=dict)
    peak: int = 0

    def look(self) -> float:
        """Takes the memory peaks; gives the tree's CPU time so far, in seconds.

        A process that ended counts through its parent, who has waited for it.
        """
        seconds, resident = 0.0, 0
        for pid, stat in self._members().items():
            try:
                now, highest = _memory(pid)
                key = pid, int(stat[STARTTIME])
                self.commands[key] = Path(f"/proc/{pid}/comm").read_text().strip()
            except OSError:
                continue  # ended between two reads
            seconds += max(_on_cpu(pid), (int(stat[UTIME]) + int(stat[STIME])) / TICKS)
            seconds += (int(stat[CUTIME]) + int(stat[CSTIME])) / TICKS
            resident += now
            self.peaks[key] = max(highest, self.peaks.get(key, 0))
        self.peak = max(self.peak, resident)
        return seconds

    def resident(self) -> tuple[int, int]:
        """VmRSS now, in bytes: of the process, and of it and its descendants."""
        each = [_memory(pid)[0] for pid in self._members()]
        return each[0], sum(each)

    def _members(self) -> dict[int, list[str]]:
        stats = {}
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                stats[int(entry.name)] = _stat(int(entry.name))
            except OSError:
                continue  # ended meanwhile
        members = {self.root: stats[self.root]} if self.root in stats else {}
        size = 0
        while size != len(members):
            size = len(members)
            members |= {p: s for p, s in stats.items() if int(s[PPID]) in members}
        return members
