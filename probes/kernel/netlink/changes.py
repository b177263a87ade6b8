"""Netlink requests that change something, or are rare: the only place that uses pyroute2.

It writes the messages; ours is the socket they are sent by (`socket.change`). So a change takes one
file descriptor and no event loop, and can be undone wherever we are: at the end of a process, in
any thread, with hardly a file left. Each works on the network namespace of the calling thread, and
returns the errno (0: done) and the kernel's own words. Raises ProbeError where the kernel cannot
even be asked.
"""

from __future__ import annotations

from typing import Any

from probes.errors import as_refusal, short
from probes.kernel.netlink import socket as nlsocket

Answer = tuple[int, str]
_RTM_SETLINK, _RTM_NEWQDISC, _RTM_DELQDISC, _RTM_NEWTFILTER, _RTM_DELTFILTER = 19, 36, 37, 44, 45
_CREATE, _EXCL = 0x400, 0x200  # NLM_F_*
_CLSACT, _CLSACT_HANDLE = 0xFFFFFFF1, 0xFFFF0000  # TC_H_CLSACT, TC_H_MAKE(TC_H_CLSACT, 0)
_DIRECT_ACTION = 1  # TCA_BPF_FLAG_ACT_DIRECT
ALL_PROTOCOLS = 3
"""ETH_P_ALL."""


def prepare() -> None:
    """Import what changes need, which takes seconds on a busy host."""
    import pyroute2.netlink.rtnl.ifinfmsg
    import pyroute2.netlink.rtnl.tcmsg  # noqa: F401 - for later


def add_clsact(ifindex: int) -> Answer:
    """Make a clsact qdisc, unless there is one already, or an ingress qdisc (EEXIST). Linux 4.5."""
    return _change(_RTM_NEWQDISC, _clsact(ifindex), _CREATE | _EXCL)


def remove_clsact(ifindex: int) -> Answer:
    """Remove a clsact qdisc."""
    return _change(_RTM_DELQDISC, _clsact(ifindex))


def add_filter(ifindex: int, parent: int, priority: int, prog_fd: int, name: str) -> Answer:
    """Add a direct-action filter, unless that priority is taken (EEXIST). Linux 4.4."""
    options = [
        ("TCA_BPF_FD", prog_fd),
        ("TCA_BPF_NAME", name),
        ("TCA_BPF_FLAGS", _DIRECT_ACTION),
    ]
    message = _filter(ifindex, 1, parent, priority, ALL_PROTOCOLS)
    message["attrs"].append(("TCA_OPTIONS", {"attrs": options}))
    return _change(_RTM_NEWTFILTER, message, _CREATE | _EXCL)


def remove_filter(ifindex: int, handle: int, parent: int, priority: int, protocol: int) -> Answer:
    """Remove one bpf filter. protocol: an EtherType."""
    return _change(_RTM_DELTFILTER, _filter(ifindex, handle, parent, priority, protocol))


def set_xdp(ifindex: int, prog_fd: int, flags: int, expected_fd: int | None = None) -> Answer:
    """Set an interface's XDP program. prog_fd: -1 removes it. Linux 4.8; expected_fd: 5.7."""
    from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

    xdp = [("IFLA_XDP_FD", prog_fd), ("IFLA_XDP_FLAGS", flags)]
    if expected_fd is not None:
        xdp.append(("IFLA_XDP_EXPECTED_FD", expected_fd))
    message = ifinfmsg()
    message["index"] = ifindex
    message["attrs"] = [("IFLA_XDP", {"attrs": xdp})]
    return _change(_RTM_SETLINK, message)


def wireguard_port(interface: str) -> int | None:
    """Return the UDP port that a WireGuard interface listens on; None where it is unavailable.

    CAP_NET_ADMIN. Linux 5.6. Raises ProbeError where the kernel cannot be asked, for want of files
    or memory.
    """
    from pyroute2 import WireGuard
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        with WireGuard() as wireguard:
            (device,) = wireguard.info(interface)
            port: int | None = device.get_attr("WGDEVICE_A_LISTEN_PORT")
            return port
    except (NetlinkError, ValueError):
        return None
    except OSError as refused:
        if short(refused.errno):
            raise as_refusal(refused, "asking for WireGuard's port") from refused
        return None


def _clsact(ifindex: int) -> Any:
    return _tc(ifindex, _CLSACT_HANDLE, _CLSACT, 0, "clsact")


def _filter(ifindex: int, handle: int, parent: int, priority: int, protocol: int) -> Any:
    swapped = int.from_bytes(protocol.to_bytes(2, "big"), "little")
    info = priority << 16 | (swapped if nlsocket.LITTLE else protocol)
    return _tc(ifindex, handle, parent, info, "bpf")


def _tc(ifindex: int, handle: int, parent: int, info: int, kind: str) -> Any:
    from pyroute2.netlink.rtnl.tcmsg import tcmsg

    message = tcmsg()
    for field, value in (("index", ifindex), ("handle", handle), ("parent", parent)):
        message[field] = value
    message["info"] = info
    message["attrs"] = [("TCA_KIND", kind)]
    return message


def _change(kind: int, message: Any, flags: int = 0) -> Answer:
    message.encode()
    return nlsocket.change(nlsocket.ROUTE, kind, flags, bytes(message.data)[nlsocket.HEADER_SIZE :])
