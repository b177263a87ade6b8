"""What is used: memory of processes, and what their maps are charged."""

from __future__ import annotations

import os
from pathlib import Path


def resident(pid: int | str = "self") -> int:
    """Bytes of a process in RAM; 0 where it has ended."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text().split()
    except OSError:
        return 0
    return int(pages[1]) * os.sysconf("SC_PAGE_SIZE") if len(pages) > 1 else 0


def maps() -> int:
    """Bytes that the kernel charges for the maps that this process holds (proc_pid_fdinfo(5))."""
    charged: dict[bytes, int] = {}
    for file in Path("/proc/self/fdinfo").iterdir():
        try:
            said = file.read_bytes()
        except OSError:
            continue  # closed meanwhile
        if b"map_id:" in said:
            fields = dict(line.split(b":\t", 1) for line in said.splitlines() if b":\t" in line)
            charged[fields[b"map_id"]] = int(fields.get(b"memlock", b"0"))
    return sum(charged.values())
