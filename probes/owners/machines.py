"""Machines of systemd-machined (systemd-nspawn, libvirt) and LXC: the name is in the path.

Where it is not, because a machine runs in a unit of another name, machined tells:
/run/systemd/machines/NAME has the unit, as SCOPE=. A machine that systemd-nspawn does not register
has a scope of its own name, or none (`nspawn`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path

from probes.owners import state_files
from probes.owners.runtime import Runtime

MACHINES = Path("/run/systemd/machines")
"""Where machined keeps what it knows."""
MOST_MACHINES = 1 << 10
_MACHINE = re.compile(r"machine-(.+)\.scope|systemd-nspawn@(.+)\.service|(.+)\.scope")
_WITH_ID = re.compile(r".*[0-9a-f]{64}.*")
"""A scope of another runtime: a machine's name has 64 characters at most."""
_LXC = re.compile(r"lxc\.payload\.(.+)")
_ESCAPED = re.compile(rb"\\x([0-9a-f]{2})")

Stamp = tuple[int, int]
_known: dict[Path, tuple[Stamp, Mapping[str, str]]] = {}
"""Names by unit of each folder, and what tells whether it was changed since."""


def _machine_in(part: str, above: str) -> str:
    if part.endswith((".scope", ".service")) and (name := _by_unit().get(part)):
        return name
    found = _MACHINE.fullmatch(part) if above == "machine.slice" else None
    if found is None or _WITH_ID.fullmatch(part):
        return ""
    return unescaped(next(filter(None, found.groups())))


def _by_unit() -> Mapping[str, str]:
    """Return the machines that are registered, by their units."""
    try:
        found = os.stat(MACHINES)  # noqa: PTH116 - asked for each new path
    except OSError:
        return {}
    stamp = found.st_ino, found.st_mtime_ns
    known = _known.get(MACHINES)
    if known is None or known[0] != stamp:
        _known.clear()
        known = _known[MACHINES] = stamp, _listed(MACHINES)
    return known[1]


def _listed(folder: Path) -> dict[str, str]:
    units: dict[str, str] = {}
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in islice(entries, MOST_MACHINES):
            if ":" not in entry.name and (unit := _unit_of(Path(entry.path))):
                units[unit] = entry.name
    return units


def _unit_of(state: Path) -> str:
    """Return the unit of a machine: its state has backslashes twice, as in C."""
    for line in state_files.read(state).split(b"\n"):
        if line.startswith(b"SCOPE="):
            return os.fsdecode(line[6:].replace(b"\\\\", b"\\"))
    return ""


def _lxc_in(part: str, above: str) -> str:
    if found := _LXC.fullmatch(part):
        return found[1]
    return part if above in ("lxc", "lxc.payload") else ""


def unescaped(text: str) -> str:
    """Return what systemd-escape(1) made a unit's name of."""
    raw = _ESCAPED.sub(lambda m: bytes([int(m[1], 16)]), os.fsencode(text))
    return raw.decode(errors="surrogateescape")


def _itself(id: str, _: int | None) -> str:
    return state_files.named(id)


NSPAWN = Runtime("machine", _machine_in, _itself, in_path=True)
LXC = Runtime("lxc", _lxc_in, _itself, in_path=True)
