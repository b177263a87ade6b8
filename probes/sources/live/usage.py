"""Memory in use: memory of processes, and what their maps are charged."""

from __future__ import annotations

import os
from pathlib import Path


def resident(pid: int | str = "self") -> int:
    """Return the bytes of a process in RAM; 0 where it has ended."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text().split()
    except OSError:
        return 0
    return int(pages[1]) * os.sysconf("SC_PAGE_SIZE") if len(pages) > 1 else 0


def maps() -> int:
    """Return the bytes that the kernel charges for this process's maps (proc_pid_fdinfo(5)).

    0 without a /proc. Raises OSError where no file is left to look with.
    """
    charged: dict[bytes, int] = {}
    try:
        files = list(Path("/proc/self/fdinfo").iterdir())
    except FileNotFoundError:
        return 0
    for file in files:
        try:
            said = file.read_bytes()
        except OSError:
            continue  # closed meanwhile
        if b"map_id:" in said:
            fields = dict(line.split(b":\t", 1) for line in said.splitlines() if b":\t" in line)
            charged[fields[b"map_id"]] = int(fields.get(b"memlock", b"0"))
    return sum(charged.values())
