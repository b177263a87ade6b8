"""Netlink requests that change something: one message, one answer.

Each takes one file descriptor and no event loop, so that it can be undone wherever we are: at the
end of a process, in any thread, with hardly a file left. Each works on the network namespace of the
calling thread, and returns the errno (0: done) and the kernel's own words. Raises ProbeError where
the kernel cannot even be asked. Numbers are those of include/uapi/linux/{rtnetlink,pkt_sched,
pkt_cls,if_link}.h.
"""

from __future__ import annotations

import os
from struct import Struct

from probes.kernel.netlink import socket as nlsocket
from probes.kernel.netlink.socket import attribute

Answer = tuple[int, str]
_IFINFO = Struct("=BxHiII")  # struct ifinfomsg: family, type, index, flags, change
_TCMSG = Struct("=BxxxiIII")  # struct tcmsg: family, ifindex, handle, parent, info
_U32, _S32 = Struct("=I"), Struct("=i")
_RTM_SETLINK, _RTM_NEWQDISC, _RTM_DELQDISC, _RTM_NEWTFILTER, _RTM_DELTFILTER = 19, 36, 37, 44, 45
_CREATE, _EXCL = 0x400, 0x200  # NLM_F_*
_KIND, _OPTIONS = 1, 2  # TCA_*
_FD, _NAME, _FLAGS, _DIRECT_ACTION = 6, 7, 8, 1  # TCA_BPF_*, TCA_BPF_FLAG_ACT_DIRECT
_CLSACT, _CLSACT_HANDLE = 0xFFFFFFF1, 0xFFFF0000  # TC_H_CLSACT, TC_H_MAKE(TC_H_CLSACT, 0)
_IFLA_XDP, _XDP_FD, _XDP_FLAGS, _XDP_EXPECTED_FD = 43, 1, 3, 8
ALL_PROTOCOLS = 3
"""ETH_P_ALL."""


def add_clsact(ifindex: int) -> Answer:
    """Make a clsact qdisc, unless there is one already, or an ingress qdisc (EEXIST). Linux 4.5."""
    return _change(_RTM_NEWQDISC, _clsact(ifindex), _CREATE | _EXCL)


def remove_clsact(ifindex: int) -> Answer:
    """Remove a clsact qdisc."""
    return _change(_RTM_DELQDISC, _clsact(ifindex))


def add_filter(ifindex: int, parent: int, priority: int, prog_fd: int, name: str) -> Answer:
    """Add a direct-action filter, unless that priority is taken (EEXIST). Linux 4.4."""
    options = (
        attribute(_FD, _U32.pack(prog_fd)),
        attribute(_NAME, os.fsencode(name) + b"\0"),
        attribute(_FLAGS, _U32.pack(_DIRECT_ACTION)),
    )
    body = _filter(ifindex, 1, parent, priority, ALL_PROTOCOLS)
    return _change(_RTM_NEWTFILTER, body + attribute(_OPTIONS, b"".join(options)), _CREATE | _EXCL)


def remove_filter(ifindex: int, handle: int, parent: int, priority: int, protocol: int) -> Answer:
    """Remove one bpf filter. protocol: an EtherType."""
    return _change(_RTM_DELTFILTER, _filter(ifindex, handle, parent, priority, protocol))


def set_xdp(ifindex: int, prog_fd: int, flags: int, expected_fd: int | None = None) -> Answer:
    """Set an interface's XDP program. prog_fd: -1 removes it. Linux 4.8; expected_fd: 5.7."""
    parts = attribute(_XDP_FD, _S32.pack(prog_fd)) + attribute(_XDP_FLAGS, _U32.pack(flags))
    if expected_fd is not None:
        parts += attribute(_XDP_EXPECTED_FD, _S32.pack(expected_fd))
    body = _IFINFO.pack(0, 0, ifindex, 0, 0)
    return _change(_RTM_SETLINK, body + attribute(_IFLA_XDP | nlsocket.NESTED, parts))


def _clsact(ifindex: int) -> bytes:
    return _TCMSG.pack(0, ifindex, _CLSACT_HANDLE, _CLSACT, 0) + attribute(_KIND, b"clsact\0")


def _filter(ifindex: int, handle: int, parent: int, priority: int, protocol: int) -> bytes:
    swapped = int.from_bytes(protocol.to_bytes(2, "big"), "little")
    info = priority << 16 | (swapped if nlsocket.LITTLE else protocol)
    return _TCMSG.pack(0, ifindex, handle, parent, info) + attribute(_KIND, b"bpf\0")


def _change(kind: int, body: bytes, flags: int = 0) -> Answer:
    return nlsocket.change(nlsocket.ROUTE, kind, flags, body)
