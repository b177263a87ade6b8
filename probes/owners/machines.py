"""Machines of systemd-machined (systemd-nspawn, libvirt) and LXC: the name is in the path."""

from __future__ import annotations

import re

from probes.owners import state_files
from probes.owners.runtime import Runtime

_MACHINE = re.compile(r"machine-(.+)\.scope|systemd-nspawn@(.+)\.service")
_LXC = re.compile(r"lxc\.payload\.(.+)")
_ESCAPED = re.compile(r"\\x([0-9a-f]{2})")


def _machine_in(part: str, above: str) -> str:
    found = _MACHINE.fullmatch(part) if above == "machine.slice" else None
    return unescaped(found[1] or found[2]) if found else ""


def _lxc_in(part: str, above: str) -> str:
    if found := _LXC.fullmatch(part):
        return found[1]
    return part if above in ("lxc", "lxc.payload") else ""


def unescaped(text: str) -> str:
    """Return what systemd-escape(1) made a unit's name of."""
    return _ESCAPED.sub(lambda m: chr(int(m[1], 16)), text)


def _itself(id: str, _: int | None) -> str:
    return state_files.named(id)


NSPAWN = Runtime("machine", _machine_in, _itself, bare=False)
LXC = Runtime("lxc", _lxc_in, _itself, bare=False)
