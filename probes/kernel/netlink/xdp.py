"""XDP through netlink: for devices or kernels that refuse a bpf_link. It outlives the process.

Nobody is ever replaced: attaching asks for XDP_FLAGS_UPDATE_IF_NOEXIST, and removing names the
program to be removed (XDP_FLAGS_REPLACE, Linux 5.7). CAP_NET_ADMIN; see netlink(7) and
include/uapi/linux/if_link.h. `attach.persistent` keeps the record of what was attached.
"""

from __future__ import annotations

import os
from errno import EBUSY, EEXIST, ENODEV

from probes.errors import Busy
from probes.kernel import bpf
from probes.kernel.netlink import changes, route
from probes.kernel.netlink import socket as nlsocket
from probes.units import printable

_UPDATE_IF_NOEXIST, _REPLACE = 1 << 0, 1 << 4
_MODES = {"generic": 1 << 1, "native": 1 << 2}  # XDP_FLAGS_SKB_MODE, XDP_FLAGS_DRV_MODE


def xdp_attach(ifindex: int, prog_fd: int, mode: str) -> int:
    """Attach a program in "native" or "generic" mode; return its id.

    Raises Busy (a program is there already, in any mode), Unsupported, Denied or Gone.
    """
    errno, kernel = changes.set_xdp(ifindex, prog_fd, _MODES[mode] | _UPDATE_IF_NOEXIST)
    if errno in (EBUSY, EEXIST):
        raise Busy(f"{holder(ifindex)} is already attached", errno=errno)
    if errno:
        raise nlsocket.refusal(errno, f"{mode} XDP through netlink", kernel)
    return bpf.prog_info(prog_fd).id


def xdp_detach(ifindex: int, mode: str, program_id: int) -> bool:
    """Remove this program and no other; return False where it is not attached there any more.

    Raises Denied, or Busy where a bpf_link holds it.
    """
    interface = route.link(ifindex)
    if interface is None or (mode, program_id) not in interface.xdp_programs:
        return False
    try:
        expected = bpf.prog_fd_by_id(program_id)
    except OSError as e:
        raise nlsocket.refusal(e.errno or 0, f"XDP program #{program_id}") from None
    try:
        errno, kernel = changes.set_xdp(ifindex, -1, _MODES[mode] | _REPLACE, expected)
    finally:
        os.close(expected)
    if errno in (EEXIST, ENODEV):  # since it was looked up, another took its place, or all went
        return False
    if errno:
        raise nlsocket.refusal(errno, f"removing {mode} XDP", kernel)
    return True


def holder(ifindex: int) -> str:
    """Name what holds an interface's XDP hook: program, id and mode."""
    interface = route.link(ifindex)
    for mode, id in interface.xdp_programs if interface else ():
        return f"the XDP program {printable(bpf.prog_name(id) or 'unknown')}#{id} ({mode})"
    return "another XDP program"
