"""TC programs by a clsact qdisc and a direct-action filter: for kernels before TCX (Linux 6.6).

They outlive the process. Nobody is ever replaced: qdisc and filter are made with NLM_F_EXCL, the
filter under a free priority, and only what is found to be ours is removed. CAP_NET_ADMIN; see
tc-bpf(8). `attach.persistent` keeps the record of what was attached.
"""

from __future__ import annotations

from dataclasses import dataclass
from errno import EEXIST, EINVAL, ENODEV, ENOENT

from probes.errors import Busy
from probes.kernel import bpf
from probes.kernel.netlink import changes, route
from probes.kernel.netlink import socket as nlsocket

_PRIORITY = 0xC000  # where the kernel begins when it may choose (TC_H_MAKE(0xC0000000))
_LAST = 0xFFFF
_TRIES = 5


@dataclass(frozen=True, slots=True)
class ClsactFilter:
    """A filter of ours. made_qdisc: the qdisc was not there before us.

    behind: at how many priorities other filters run before it, and may keep packets from it.
    """

    ifindex: int
    direction: str
    priority: int
    name: str
    program_id: int
    made_qdisc: bool
    behind: int


def clsact_attach(ifindex: int, direction: str, prog_fd: int, name: str) -> ClsactFilter:
    """Attach a program to "ingress" or "egress" under a name that says whose it is.

    It runs before all filters that are there, unless one of them has priority 1. Raises Busy (an
    ingress qdisc takes the place that egress needs), Unsupported, Denied, Gone.
    """
    made = _make_qdisc(ifindex, direction)
    try:
        return _add_filter(ifindex, direction, prog_fd, name, made)
    except BaseException:
        if made:
            remove_qdisc(ifindex)
        raise


def clsact_detach(filter: ClsactFilter) -> bool:
    """Remove this filter, and the qdisc if we made it and nobody else uses it.

    Return False where the filter was not there any more. Raises Denied.
    """
    removed = remove_filter(filter.ifindex, filter.direction, filter.name, filter.program_id)
    if filter.made_qdisc:
        remove_qdisc(filter.ifindex)
    return removed


def remove_filter(ifindex: int, direction: str, name: str, program_id: int) -> bool:
    """Remove the filter with exactly this name and program; return False where there is none."""
    for found in route.filters(ifindex, direction):
        if (found.name, found.program_id) != (name, program_id):
            continue
        errno, kernel = changes.remove_filter(
            ifindex, found.handle, found.parent, found.priority, found.protocol
        )
        if errno in (ENOENT, EINVAL, ENODEV):  # it, its qdisc or the interface went meanwhile
            return False
        if errno:
            raise nlsocket.refusal(errno, "removing the clsact filter", kernel)
        return True
    return False


def remove_qdisc(ifindex: int) -> bool:
    """Remove a clsact qdisc without filters; return False where there is none, or it is in use."""
    if qdisc(ifindex) != "clsact" or any(route.filters(ifindex, d) for d in route.DIRECTIONS):
        return False
    errno, kernel = changes.remove_clsact(ifindex)
    if errno in (ENOENT, EINVAL, ENODEV):
        return False
    if errno:
        raise nlsocket.refusal(errno, "removing the clsact qdisc", kernel)
    return True


def qdisc(ifindex: int) -> str | None:
    """Return which qdisc is in clsact's place: "clsact", "ingress", or None."""
    for found in route.qdiscs():
        if found.ifindex == ifindex and found.parent == route.CLSACT:
            return found.kind
    return None


def no_egress() -> Busy:
    """Return the refusal of egress where somebody has an ingress qdisc."""
    why = "an ingress qdisc is in the place of the clsact qdisc that TC egress needs"
    return Busy(why, errno=EEXIST)


def _make_qdisc(ifindex: int, direction: str) -> bool:
    errno, kernel = changes.add_clsact(ifindex)
    if not errno:
        return True
    if errno != EEXIST:
        raise nlsocket.refusal(errno, "adding a clsact qdisc", kernel)
    # An ingress qdisc serves ingress, but would take an egress filter for one of ingress.
    if direction == "egress" and qdisc(ifindex) != "clsact":
        raise no_egress()
    return False


def _add_filter(ifindex: int, direction: str, prog_fd: int, name: str, made: bool) -> ClsactFilter:
    id = bpf.prog_info(prog_fd).id
    for _ in range(_TRIES):
        taken = {f.priority for f in route.filters(ifindex, direction)}
        priority = _free(taken)
        parent = route.DIRECTIONS[direction]
        errno, kernel = changes.add_filter(ifindex, parent, priority, prog_fd, name)
        if errno == EEXIST:  # somebody took that priority since it was looked up
            continue
        if errno:
            raise nlsocket.refusal(errno, "adding a clsact filter", kernel)
        behind = sum(p < priority for p in taken)
        return ClsactFilter(ifindex, direction, priority, name, id, made, behind)
    raise Busy(
        "other filters were added faster than ebpftop could find a free priority", errno=EEXIST
    )


def _free(taken: set[int]) -> int:
    """Return a priority before all that are taken; where there is none, the first one after."""
    if not taken:
        return _PRIORITY
    if min(taken) > 1:
        return min(taken) - 1
    for priority in range(1, _LAST + 1):
        if priority not in taken:
            return priority
    raise Busy("every filter priority is taken", errno=EEXIST)
