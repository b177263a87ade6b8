"""The connections through which this program is used, so that no drop rule takes them away."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from typing import NamedTuple

from probes.droprules import tunnels
from probes.droprules.tunnels import End
from probes.kernel import procfs
from probes.kernel.netlink import sock_diag


class Connection(NamedTuple):
    """A TCP connection; addresses as text, IPv4-mapped ones as IPv4."""

    raddr: str
    rport: int
    laddr: str
    lport: int


def connections(environment: Mapping[str, str] | None = None) -> frozenset[Connection]:
    """That of SSH_CONNECTION and those of every process that this one descends from.

    In tmux or screen (or on the console) no sshd is among them, and the variable may be of a
    session that has ended: then those of every sshd of this host. Sockets of other users'
    processes are found as root only. Raises ProbeError where sockets cannot be listed.
    """
    named = _named((os.environ if environment is None else environment).get("SSH_CONNECTION", ""))
    known = {s.inode: s for s in sock_diag.tcp_sockets(sock_diag.OPEN) if s.inode}
    held = _held(procfs.ancestors(os.getpid()), known)
    if not held:
        held = _held(_daemons(), known)
    return frozenset(named | held)


def ends(connections: Iterable[Connection]) -> frozenset[End]:
    """Besides the connections: sessions by UDP (mosh) and, of all that come through a tunnel, the
    tunnel's outer packets.

    A mosh server hears whoever sends to its port, since its users roam. It is looked for as
    `connections` looks for sshd. Raises ProbeError.
    """
    ports = _ports(procfs.ancestors(os.getpid())) or _ports(_daemons())
    # Which way a roaming user comes is not known: then all tunnels are spared.
    through = None if ports else [c.raddr for c in connections]
    return frozenset(End("", tunnels.UDP, port) for port in ports) | tunnels.ends(through)


def _ports(pids: list[int]) -> set[int]:
    known = procfs.udp_ports()
    return {known[i] for pid in pids for i in procfs.sockets(pid) & known.keys()}


def _held(pids: list[int], known: Mapping[int, sock_diag.TcpSocket]) -> set[Connection]:
    inodes = {inode for pid in pids for inode in procfs.sockets(pid)}
    sockets = [known[inode] for inode in inodes & known.keys()]
    return {Connection(s.raddr, s.rport, s.laddr, s.lport) for s in sockets}


def _daemons() -> list[int]:
    """sshd; since OpenSSH 9.8 a session's process is called sshd-session. And mosh-server."""
    names = ("sshd", "mosh-server")
    return [pid for pid in procfs.pids() if (procfs.comm(pid) or "").startswith(names)]


def _named(text: str) -> set[Connection]:
    """SSH_CONNECTION: the client's address and port, the server's address and port."""
    words = text.split()
    if len(words) != 4:
        return set()
    try:
        remote, local = (_plain(words[i]) for i in (0, 2))
        return {Connection(remote, int(words[1]), local, int(words[3]))}
    except ValueError:
        return set()


def _plain(text: str) -> str:
    """Without the zone of a link-local address (fe80::1%eth0)."""
    address = ip_address(text.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)
