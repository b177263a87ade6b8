"""systemd-nspawn without systemd or machined (--register=no): named by its own arguments.

Its processes are below it, in a PID namespace of their own. Options: systemd-nspawn(1).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from probes.kernel import procfs
from probes.owners import state_files

COMM = "systemd-nspawn"
MOST_ABOVE = 64
"""Processes above one that are looked at."""
_MOST_BYTES = 1 << 16
_SHORT = {
    "M": "machine", "D": "directory", "i": "image", "u": "user", "L": "selinux-apifs-context",
    "S": "slice", "Z": "selinux-context", "p": "port", "E": "setenv",
}  # fmt: skip
"""Options of one letter that have a value, by their long names."""
_WITH_VALUE = frozenset(
    {
        "directory", "template", "user", "uuid", "machine", "slice", "setenv",
        "selinux-context", "selinux-apifs-context", "capability", "drop-capability",
        "ambient-capability", "no-new-privileges", "system-call-filter", "bind", "bind-ro",
        "bind-user", "inaccessible", "tmpfs", "overlay", "overlay-ro", "personality",
        "kill-signal", "notify-ready", "suppress-sync", "network-interface", "network-macvlan",
        "network-ipvlan", "network-veth-extra", "network-bridge", "network-zone",
        "network-namespace-path", "port", "image", "oci-bundle", "root-hash", "root-hash-sig",
        "verity-data", "pivot-root", "hostname", "property", "register",
        "private-users-ownership", "rlimit", "oom-score-adjust", "cpu-affinity", "resolv-conf",
        "timezone", "link-journal", "console", "settings", "load-credential", "set-credential",
    }
)  # fmt: skip
"""Long options whose value may be the next word."""


def machine_of(pid: int) -> str:
    """Return the machine that a process is in; "" where it is in none.

    Of machines in a machine it is the outermost: the others were named by whoever is in it. One
    that a user began is not told, as it could have any name.
    """
    its = procfs.pid_namespace_of(f"/proc/{pid}")
    if its is not None and its == procfs.pid_namespace_of("/proc/self"):
        return ""
    hosts = [one for one in _above(pid) if procfs.comm(one) == COMM and _is_root_s(one)]
    return _name(hosts[-1]) if hosts else ""


def _above(pid: int) -> Iterator[int]:
    for _ in range(MOST_ABOVE):
        if (pid := procfs.parent(pid)) <= 1:
            return
        yield pid


def _is_root_s(pid: int) -> bool:
    try:
        return os.stat(f"/proc/{pid}").st_uid == 0  # noqa: PTH116 - a path of ours
    except OSError:
        return False


def _name(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:  # noqa: PTH123 - a path of ours
            words = [os.fsdecode(word) for word in file.read(_MOST_BYTES).split(b"\0")]
    except OSError:
        return ""
    told = dict(given(words[1:]))
    if name := told.get("machine"):
        return state_files.named(name)
    root = told.get("image") or told.get("directory") or "."
    name = os.path.basename(os.path.normpath(os.path.join(_folder(pid), root)))  # noqa: PTH118, PTH119
    return state_files.named(name.removesuffix(".raw") if "image" in told else name)


def _folder(pid: int) -> str:
    """Return where a process is: what a relative path is below."""
    try:
        return os.readlink(f"/proc/{pid}/cwd")  # noqa: PTH115
    except OSError:
        return ""


def given(words: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield the options that have a value, up to the command that is run in the machine."""
    left = iter(words)
    for word in left:
        if word in ("", "-", "--") or word[0] != "-":
            return
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            yield name, value if equals or name not in _WITH_VALUE else next(left, "")
        else:
            yield from _in_letters(word[1:], left)


def _in_letters(letters: str, left: Iterator[str]) -> Iterator[tuple[str, str]]:
    """Yield the option among letters that has a value: the rest of them, or the next word."""
    for place, letter in enumerate(letters, 1):
        if name := _SHORT.get(letter):
            yield name, letters[place:] or next(left, "")
            return
