"""systemd: the unit of a cgroup, and the user whose session or manager it belongs to."""

from __future__ import annotations

import re
from collections.abc import Container

from probes.owners import state_files
from probes.owners.cgroup_path import CgroupPath
from probes.owners.users import user

_UNIT = re.compile(r".+\.(?:service|scope|socket|mount|swap)")


def unit_of(path: CgroupPath, not_units: Container[int] = ()) -> str:
    """Return the innermost unit: "nginx.service", "session-3.scope (alice)"; "" if there is none.

    not_units: the places of parts that are containers' own cgroups.
    """
    if not path.by_systemd:
        return ""
    for place in range(len(path.parts) - 1, -1, -1):
        if place not in not_units and _UNIT.fullmatch(path.parts[place]):
            unit = state_files.named(path.parts[place])
            return unit if path.uid is None else f"{unit} ({user(path.uid).name})"
    return ""
