"""Connections through which this program is used, so that no drop rule cuts them off.

Two walks over processes and what joins them, the first from this one, the second from all that show
a terminal to somebody (sshd and the like by name, others by the terminals they hold):

- from a process to the one that started it,
- from a terminal to the process that shows it: from a shell to tmux, and from tmux, which has its
  clients' terminals open, to the sshd of each,
- from a process that shows a terminal over UNIX sockets to its clients (dtach, an X server),
- from a connection that comes from this host itself to the process at its other end, a proxy
  before sshd or `ssh -R`, in a container as well, what that has started (ProxyCommand), and what it
  is joined to by a UNIX socket; and so on to the connection that comes from outside.

All connections of these processes are spared: rather too many than one too few.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from ipaddress import ip_address
from typing import NamedTuple

from probes.droprules import tunnels
from probes.droprules.processes import Process, Processes
from probes.droprules.tunnels import End
from probes.errors import ProbeError, passing
from probes.kernel import capabilities, procfs
from probes.kernel.netlink import conntrack, sock_diag
from probes.kernel.netlink.sock_diag import TcpSocket, TcpState
from probes.kernel.proc_net import TcpEnds

DAEMONS = (
    "sshd", "dropbear", "tinysshd", "lshd", "mosh-server", "etserver", "etterminal",
    "telnetd", "in.telnetd", "utelnetd", "rlogind", "in.rlogind", "rshd", "in.rshd",
    "ttyd", "gotty", "shellinaboxd", "wetty", "cockpit-ws", "cockpit-session", "tmate", "teleport",
    "xrdp", "Xvnc", "Xtigervnc", "Xtightvnc", "x11vnc", "x0vncserver", "x0tigervncserv", "wayvnc",
)  # fmt: skip
"""Prefixes of the names of programs that let users log in; any other that shows a terminal
is found by that. Since OpenSSH 9.8 a session's process is called sshd-session."""


_MOST_STRANGERS = 64
"""Connections to one port that are spared although their holders are hidden."""


_EPHEMERAL = 32768
"""First port that Linux chooses for outgoing connections."""

_Socket = TcpSocket | TcpEnds


class Connection(NamedTuple):
    """A TCP connection; addresses as text, IPv4-mapped ones as IPv4."""

    raddr: str
    rport: int
    laddr: str
    lport: int


class Leading(NamedTuple):
    """Paths from outside of this host to this process.

    connections: as their packets come in. entries: of them, the port that the next login would come
    to; 0: any, as this host made the connection. ports: of sessions by UDP. hidden: why some of it
    may not be seen, or "".
    """

    connections: frozenset[Connection]
    entries: Mapping[Connection, int]
    ports: frozenset[int]
    hidden: str

    @property
    def found(self) -> bool:
        return bool(self.connections or self.ports)


def connections(environment: Mapping[str, str] | None = None) -> frozenset[Connection]:
    """Return that of SSH_CONNECTION, and those of every process that may show this one.

    Sockets of other users' processes are found as root only. Raises ProbeError where sockets cannot
    be listed.
    """
    look = _Look()
    known = look.connections(look.ours | look.everybody_s)
    return frozenset(_named(environment) | known | look.strangers())


def ends(connections: Iterable[Connection]) -> frozenset[End]:
    """Return further packets of sessions: by UDP (mosh), and the outer packets of tunnels.

    A mosh server hears any sender at its port, since its users roam. Raises ProbeError.
    """
    ports = _Look().ports()
    # The path of a roaming user is unknown: all tunnels are spared then.
    through = None if ports else [c.raddr for c in connections]
    return frozenset(End("", tunnels.UDP, port) for port in ports) | tunnels.ends(through)


def leading(environment: Mapping[str, str] | None = None) -> Leading:
    """Return how the user of this process reaches it. Raises ProbeError."""
    look = _Look()
    found = look.leading()
    # Named by ssh: an address that one comes from, though this session may have ended.
    named = {c: c.lport for c in _named(environment) if not ip_address(c.raddr).is_loopback}
    return Leading(frozenset(found), named | found, frozenset(look.leading_ports()), look.hidden)


class _Look:
    """Processes and sockets of this host at one moment.

    Here and below, whatever is not seen for want of files or memory is an error (ProbeError,
    OSError): connections that are only not seen would not be spared.
    """

    def __init__(self) -> None:
        every = sock_diag.tcp_sockets(sock_diag.OPEN | sock_diag.mask(TcpState.LISTEN))
        self._tcp = {s.inode: s for s in every if s.inode and s.state != TcpState.LISTEN}
        self._listening = {s.lport for s in every if s.state == TcpState.LISTEN}
        self._inodes = {_ends_of(s): s.inode for s in self._tcp.values()}
        self._translated: dict[int, set[Connection]] = {}
        self._udp = procfs.udp_ports()
        self._processes = Processes()
        self._containers = tunnels.Containers()
        self._proxies: set[int] = set()
        """Processes reached by a connection within this host, or started by such a process."""
        self._in_containers: set[int] = set()
        """Proxies in other network namespaces; their parents lead nowhere."""

    @cached_property
    def ours(self) -> frozenset[int]:
        """Processes that this one is used through, itself included."""
        return self._walk([self._processes.myself])

    @cached_property
    def everybody_s(self) -> frozenset[int]:
        """Processes that anybody is logged in through."""
        by_pid = self._processes.by_pid.values()
        return self._walk(p.pid for p in by_pid if p.masters or _daemon(p))

    @property
    def hidden(self) -> str:
        """Why not all processes can be looked at, or ""."""
        if not self._processes.all_seen:
            return "processes outside this PID namespace cannot be seen"
        if not capabilities.effective() >> capabilities.SYS_PTRACE & 1:
            return "other users' processes cannot be inspected without CAP_SYS_PTRACE"
        return ""

    def connections(self, pids: Iterable[int]) -> set[Connection]:
        """Return the connections of these processes, also as they come in."""
        held = {s for pid in pids for s in self._held(self._processes.by_pid[pid])}
        return {c for s in held for c in (_connection(s), *self._arriving(s))}

    def strangers(self) -> set[Connection]:
        """Return incoming connections that no visible process holds, where some are hidden.

        The user may come by one of these, unless there are very many: then they are a server's.
        """
        if not self.hidden:
            return set()
        by_port: dict[int, list[TcpSocket]] = {}
        for inode, s in self._tcp.items():
            if s.lport in self._listening and not self._processes.holders(inode):
                by_port.setdefault(s.lport, []).append(s)
        few = [s for some in by_port.values() if len(some) <= _MOST_STRANGERS for s in some]
        return {c for s in few for c in (_connection(s), *self._arriving(s))}

    def leading(self) -> dict[Connection, int]:
        """Return connections from outside that lead to this process, and the port they came to.

        A connection of an ancestor counts where somebody came in by it: one that a program has
        made for itself (to a database) leads nowhere.
        """
        found = {}
        for pid in self.ours:
            p = self._processes.by_pid[pid]
            for s in self._held(p):
                came = s.lport in self._listening
                if (came or s.inode in p.stdio or self._shows(p)) and not self._within(s):
                    came = came or (p.pid in self._in_containers and s.lport < _EPHEMERAL)
                    for connection in self._arriving(s) or {_connection(s)}:
                        found[connection] = connection.lport if came else 0
        return found

    def ports(self) -> set[int]:
        """Return UDP ports that sessions may come by.

        They are those of ancestors, except for the first process, which may hold any service's, and
        those of processes that let people in.
        """
        by_pid = self._processes.by_pid
        theirs = (p for p in self.everybody_s if _daemon(by_pid[p]))
        ancestors = (p for p in self._processes.ancestors() if p > 1)
        return self._udp_ports([*ancestors, *theirs]) | self.leading_ports()

    def leading_ports(self) -> set[int]:
        shows = [p for p in self.ours | self._proxies if self._shows(self._processes.by_pid[p])]
        named = self._udp_ports(p for p in shows if p not in self._proxies)
        # Below 1024 a proxy serves others as well, whom a rule may be about.
        return named | {port for port in self._udp_ports(self._proxies) if port >= 1024}

    def _udp_ports(self, pids: Iterable[int]) -> set[int]:
        held = {i for pid in pids for i in self._processes.by_pid[pid].sockets}
        return {self._udp[inode] for inode in held & self._udp.keys()}

    def _shows(self, p: Process) -> bool:
        return bool(p.masters) or _daemon(p) or p.pid in self._proxies

    def _held(self, p: Process) -> Iterator[_Socket]:
        """Yield its sockets; of this process only inherited ones: what it opens leads nowhere."""
        inodes = p.stdio if p.pid == self._processes.myself else p.sockets
        yield from (self._tcp[inode] for inode in inodes & self._tcp.keys())
        if p.pid in self._in_containers:
            there = self._elsewhere_by_inode
            yield from (there[inode] for inode in inodes & there.keys())

    def _within(self, s: _Socket) -> bool:
        """Return whether its other end is in this network namespace as well."""
        return self._other_end(s) is not None or ip_address(s.raddr).is_loopback

    def _other_end(self, s: _Socket) -> int | None:
        there = (s.raddr, s.rport, s.laddr, s.lport)
        ways = (there, *(tuple(c) for c in self._arriving(s)))
        return next((self._inodes[way] for way in ways if way in self._inodes), None)

    def _arriving(self, s: _Socket) -> set[Connection]:
        """Return it as its packets come in, where addresses are translated (a redirected port)."""
        if s.inode not in self._translated:
            flow = conntrack.arriving(conntrack.TrackedFlow(*_ends_of(s)))
            self._translated[s.inode] = set() if flow is None else {Connection(*flow)}
        return self._translated[s.inode]

    # -- walking -------------------------------------------------------------------------------

    def _walk(self, begin: Iterable[int]) -> frozenset[int]:
        todo, seen = list(begin), set[int]()
        while todo:
            p = self._processes.by_pid.get(todo.pop())
            if p is not None and p.pid not in seen:
                seen.add(p.pid)
                if p.pid not in self._in_containers:
                    todo += (p.parent, *self._who_shows(p), *self._clients(p))
                known = set(self._proxies)
                todo += self._through(p)
                seen -= self._proxies - known  # as such they lead further
        return frozenset(seen)

    def _who_shows(self, p: Process) -> Iterable[int]:
        return self._processes.showing(p.terminals)

    def _clients(self, p: Process) -> Iterable[int]:
        """Return the clients of a process that shows a terminal to them over UNIX sockets."""
        return self._at_unix_ends(p) if p.masters else ()

    def _at_unix_ends(self, p: Process) -> Iterable[int]:
        peers = (self._unix[inode] for inode in p.sockets if inode in self._unix)
        return (pid for peer in peers for pid in self._processes.holders(peer))

    @cached_property
    def _unix(self) -> Mapping[int, int]:
        try:
            return sock_diag.unix_peers()
        except ProbeError as refused:  # a kernel without CONFIG_UNIX_DIAG
            if passing(refused):
                raise
            return {}

    def _through(self, p: Process) -> set[int]:
        """Return the proxies through which a process is reached."""
        found = {pid for s in self._held(p) if self._leads_on(p, s) for pid in self._at_end(s)}
        if p.pid in self._proxies:
            began = set(self._processes.children(p.pid))
            self._in_containers |= began if p.pid in self._in_containers else set()
            found |= began
            if all(self._within(s) for s in self._held(p)):  # reached otherwise: two socats
                found.update(self._at_unix_ends(p))
        self._proxies |= {pid for pid in found if not _daemon(self._processes.by_pid[pid])}
        return found

    def _leads_on(self, p: Process, s: _Socket) -> bool:
        """Return whether somebody may come by it.

        Nobody comes by a connection to a server of this host, unless a proxy made it, which may
        pass it on.
        """
        made = s.rport in self._listening and s.lport not in self._listening
        return p.pid in self._proxies or s.inode in p.stdio or not made

    def _at_end(self, s: _Socket) -> list[int]:
        inode = self._other_end(s)
        if inode is not None:
            return self._processes.holders(inode)
        if not self._containers.may_have(s.raddr):
            return []
        inode = self._elsewhere.get((s.raddr, s.rport, s.laddr, s.lport))
        found = [] if inode is None else self._processes.holders(inode)
        self._in_containers.update(found)
        return found

    @cached_property
    def _elsewhere_by_inode(self) -> Mapping[int, TcpEnds]:
        """Connections of containers that do not stay within them."""
        every = self._processes.elsewhere()
        return {s.inode: s for s in every if not ip_address(s.raddr).is_loopback}

    @cached_property
    def _elsewhere(self) -> Mapping[tuple[str, int, str, int], int]:
        return {_ends_of(s): inode for inode, s in self._elsewhere_by_inode.items()}


def _daemon(p: Process) -> bool:
    return p.name.startswith(DAEMONS)


def _ends_of(s: _Socket) -> tuple[str, int, str, int]:
    return s.laddr, s.lport, s.raddr, s.rport


def _connection(s: _Socket) -> Connection:
    return Connection(s.raddr, s.rport, s.laddr, s.lport)


def _named(environment: Mapping[str, str] | None) -> set[Connection]:
    """Parse SSH_CONNECTION: the client's address and port, the server's address and port."""
    text = (os.environ if environment is None else environment).get("SSH_CONNECTION", "")
    words = text.split()
    if len(words) != 4:
        return set()
    try:
        remote, local = (_plain(words[i]) for i in (0, 2))
        return {Connection(remote, int(words[1]), local, int(words[3]))}
    except ValueError:
        return set()


def _plain(text: str) -> str:
    """Return an address without the zone of a link-local one (fe80::1%eth0)."""
    address = ip_address(text.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)
