"""Connects as polls of sock_diag show them: all sockets as an array, new ones by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from probes.arrays import np
from probes.columns.groups import hashed, words_of
from probes.hooks.tcp_connect.waiting import NOBODY, UNDER_WAY, Waiting, WaysOut, Who
from probes.kernel.netlink.sock_diag import TcpSocket, TcpState, connecting, mask
from probes.kernel.netlink.sock_table import tcp_flows
from probes.kernel.procfs import Owner, SocketOwners
from probes.model import Opening, Reading, Row, Value
from probes.toolkit.decode import address
from probes.toolkit.links import scoped_here
from probes.toolkit.readers import row_from
from probes.toolkit.tallies import Tallies
from probes.units import DASH

if TYPE_CHECKING:
    from numpy.typing import NDArray

Flow = tuple[str, int, str, int]
"""Local and remote address and port."""
_NOBODY = Owner(0, DASH)


class ConnectPoll:
    """Connects that polls of sock_diag have shown so far.

    An attempt that begins and ends between two polls leaves at most a TIME_WAIT socket, which has
    no owner. Neither the reason of a failure nor how long an attempt took is visible.
    """

    def __init__(self) -> None:
        self.tallies: Tallies[Who] = Tallies()
        self.under_way: Waiting = {}
        self._owners, self._ways_out = SocketOwners(), WaysOut()
        self._known: NDArray[np.uint64] | None = None
        self._waiting: dict[int, tuple[Flow, Who]] = {}

    def look(self) -> None:
        """Look once more. Raises ProbeError, OSError."""
        flows = _outgoing()
        ids, waits = _ids(flows), flows["state"] == TcpState.SYN_SENT
        new = np.zeros(len(ids), bool) if self._known is None else ~np.isin(ids, self._known)
        still = {id: self._waiting[id] for id in ids[waits].tolist() if id in self._waiting}
        self._settle(self._waiting.keys() - still.keys(), ids)
        begun = np.flatnonzero(new | (waits & ~np.isin(ids, np.array(list(still), "u8"))))
        whose = self._owners.find(set(flows["inode"][begun].tolist()))
        for place in begun.tolist():
            flow, owner = _flow_at(flows, place), whose.get(int(flows["inode"][place]), _NOBODY)
            who = owner.pid or None, owner.comm, *flow[2:]
            if new[place]:
                self._count(who, connects=1, established=not waits[place])
            if waits[place]:
                still[int(ids[place])] = flow, who
        self._known, self._waiting = ids, still
        self.under_way = _ages(still.values())
        self._ways_out.tell(self.under_way)
        for caller in self.under_way:
            self.tallies.add(caller, {})

    def _settle(self, ended: Iterable[int], ids: NDArray[np.uint64]) -> None:
        """Count attempts that wait no more: those whose socket is still there have succeeded."""
        gone = list(ended)
        there = np.isin(np.array(gone, "u8"), ids).tolist()
        for id, established in zip(gone, there, strict=True):
            self._count(self._waiting[id][1], established=established, other=not established)

    def _count(self, who: Who, **counts: int) -> None:
        self.tallies.add(who, counts)


def _outgoing() -> NDArray[np.void]:
    """Return the sockets whose local port has no listener: those that connected from here."""
    everything = tcp_flows(mask(*TcpState) & ~mask(TcpState.CLOSE))
    listening = everything["lport"][everything["state"] == TcpState.LISTEN]
    return everything[~np.isin(everything["lport"], listening)]


def _ids(flows: NDArray[np.void]) -> NDArray[np.uint64]:
    """Return a number for each flow: two in 2**64 are alike."""
    ends = [np.ascontiguousarray(flows[name]).view("=u8") for name in ("laddr", "raddr")]
    numbers = words_of(*[flows[name] for name in ("lport", "rport", "ifindex")])
    return hashed(np.concatenate([*ends, numbers], axis=1))


def _flow_at(flows: NDArray[np.void], place: int) -> Flow:
    one: Any = flows[place]
    ends, link = [address(one[end]) for end in ("laddr", "raddr")], int(one["ifindex"])
    laddr, raddr = (scoped_here(end, link) for end in ends)
    return laddr, int(one["lport"]), raddr, int(one["rport"])


def _ages(waiting: Iterable[tuple[Flow, Who]]) -> Waiting:
    found: Waiting = {}
    begun: dict[Flow, int] | None = None
    for flow, who in waiting:
        if begun is None:
            begun = {_flow(one.socket): one.age_ns for one in connecting()}
        found[who] = found.get(who, NOBODY).and_one(begun.get(flow, 0))
    return found


def _flow(s: TcpSocket) -> Flow:
    return scoped_here(s.laddr, s.ifindex), s.lport, scoped_here(s.raddr, s.ifindex), s.rport


def from_sock_diag(opening: Opening) -> Callable[[], Reading]:
    """Return a reader of connects by polling sock_diag: this network namespace only, no reasons."""
    poll, columns = ConnectPoll(), opening.hook.stored

    def row(caller: Who, tally: Counter[str]) -> Row:
        known = dict(zip(("pid", "comm", "raddr", "rport"), caller, strict=True))
        under_way = poll.under_way.get(caller, NOBODY).told()
        waits = dict(zip(UNDER_WAY, under_way, strict=True))
        return row_from(columns, {**known, **_told(tally), **waits})

    def read() -> Reading:
        poll.look()
        return Reading(poll.tallies.made(columns, row, _told))

    return read


def _told(tally: Counter[str]) -> dict[str, Value]:
    known: dict[str, Value] = {c: tally[c] for c in ("connects", "established", "other")}
    return {**known, "failed": tally["other"]}
