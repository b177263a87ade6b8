"""The network namespace that this process looks from: entering another one, and its name."""

from __future__ import annotations

import os
from errno import EACCES, EINVAL, EPERM

from probes.errors import Denied, Gone
from probes.kernel import net_namespaces, procfs
from probes.owners.netns import HOST, NAMED, given_names
from probes.owners.processes import shared
from probes.units import no_such, printable

FIND_SECONDS = 2.0
"""Seconds to look at every process, for a name that no file has."""


def looked_from() -> str:
    """Return the name of this thread's network namespace; "" for that of the host."""
    try:
        inode = procfs.netns()
        if inode == net_namespaces.of_host():
            return ""
    except OSError:  # no /proc
        return ""
    (name,) = shared.namespaces([inode])
    return "" if name in (None, HOST) else str(name)


def enter(told: str) -> None:
    """Move this thread, and what it starts from now on, into a network namespace.

    told: a name as ip-netns(8) lists it, the id of a process in it, or any name that this host's
    namespaces are shown by, such as a container's. Raises Gone and Denied.
    """
    file = _file(told)
    try:
        net_namespaces.enter(file)
    except OSError as refused:
        name = printable(told)
        if refused.errno in (EPERM, EACCES):
            raise Denied(
                f"the network namespace of {name!r} may not be entered by this user",
                errno=refused.errno or 0,
                remedy="Run as root (sudo), or grant CAP_SYS_ADMIN.",
            ) from None
        if refused.errno == EINVAL:
            raise Gone(f"{file} is not a network namespace") from None
        raise Gone(f"the network namespace of {name!r} has gone") from None


def _file(told: str) -> str:
    if _is_a_name(told) and os.path.lexists(f"{NAMED}/{told}"):
        return f"{NAMED}/{told}"
    if told.isascii() and told.isdecimal():
        if not os.path.isdir(f"/proc/{told}"):  # noqa: PTH112 - a path of ours
            raise Gone(f"there is no process {told}")
        return f"/proc/{told}/ns/net"
    names = shared.namespaces_by_name(FIND_SECONDS)
    if told not in names:
        raise Gone(no_such("network namespace", told, sorted({*names, *given_names()})))
    return f"/proc/{names[told]}/ns/net"


def _is_a_name(told: str) -> bool:
    return told not in ("", ".", "..") and "/" not in told
