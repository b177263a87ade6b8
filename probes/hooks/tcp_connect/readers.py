"""How the rungs of tcp-connect read: from the programs' maps, or by polling sock_diag."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from probes.kernel.netlink.sock_diag import TcpSocket, TcpState, mask, tcp_sockets
from probes.kernel.procfs import SocketOwners
from probes.model import Opening, Reading, Row, Value
from probes.toolkit.decode import address, comm, errno_name
from probes.toolkit.links import scoped_here
from probes.toolkit.others import Others
from probes.toolkit.readers import Uncounted, record, row_from, row_of, thread_of
from probes.units import DASH

FAILURES = ("refused", "unreachable", "timed_out", "gave_up", "other")
NEVER_SENT_NS = 1_000_000_000
"""An attempt whose SYN has not been sent for so long failed within the call."""
NEVER_WRITTEN_NS = 60 * NEVER_SENT_NS
"""The same where the SYN may wait for the first write (TCP_FASTOPEN_CONNECT)."""
_LATER = 2
"""In `sent`, as in C: not counted yet."""
_RESULTS = {
    0: "established",
    111: "refused",
    101: "unreachable",
    113: "unreachable",
    110: "timed out",
    -1: "gave up",
}

Who = tuple[Value, ...]
"""pid, comm, remote address and port."""
Flow = tuple[str, int, str, int]
"""Local and remote address and port."""


def open_connects(opening: Opening) -> Callable[[], Reading]:
    """Rows from `rows`, those under way from `pending`, the log from `events`."""
    rows, pending = opening.tables["rows"], opening.tables["pending"]
    columns = opening.hook.stored
    row, others = row_of(columns, rows), Others(opening)
    full = Uncounted(opening, {"calls": thread_of, "calling": thread_of})
    at = {c.name: i for i, c in enumerate(columns)}
    never_sent: Counter[Who] = Counter()
    uncounted: Counter[Who] = Counter()

    def read() -> Reading:
        log = _log(opening)
        waiting: Counter[Who] = Counter()
        now = time.monotonic_ns()
        for entry in pending.rows():
            attempt = record(pending, entry)
            caller: Who = (
                attempt["pid"],
                comm(attempt["comm"]),
                address(attempt["raddr"]),
                attempt["rport"],
            )
            late = attempt["sent"] == _LATER
            patience = NEVER_WRITTEN_NS if attempt["deferred"] else NEVER_SENT_NS
            if (attempt["sent"] and not late) or now - int(attempt["at"]) < patience:
                waiting[caller] += 1
            elif pending.delete((attempt["key"],)):
                never_sent[caller] += 1
                uncounted[caller] += late
        made = []
        others.before()
        entries = rows.rows()
        for found in others.rows(entries, row):
            values = list(found)
            key = tuple(values[:4])
            values[at["connects"]] = _whole(values[at["connects"]]) + uncounted[key]
            if not values[at["connects"]] and not waiting[key]:
                continue  # of an address whose link was not known at first
            values[at["other"]] = _whole(values[at["other"]]) + never_sent[key]
            values[at["failed"]] = sum(_whole(values[at[f]]) for f in FAILURES)
            values[at["pending"]] = waiting[key]
            made.append(tuple(values))
        missed = map(opening.tables["lost"].row, [(0,), (1,)])
        undecided, unlogged = (int(found[1]) if found else 0 for found in missed)
        return Reading(made, undecided + full.read(), log, unlogged)

    return read


def _whole(value: Value) -> int:
    return value if isinstance(value, int) else 0


def _log(opening: Opening) -> list[Row]:
    """What was decided since the reading before, laid out as the hook's log."""
    queue = opening.tables["events"]
    places: Mapping[str, Any] = queue.fields
    names = ("pid", "comm", "raddr", "rport", "error", "ns")
    pid, name, raddr, rport, error, ns = (places[n] for n in names)
    return [
        (
            e[pid],
            comm(e[name]),
            address(e[raddr]),
            e[rport],
            _result(int(e[error])),
            e[ns] or None,
        )
        for e in queue.drain()
    ]


def _result(error: int) -> str:
    return _RESULTS.get(error) or errno_name(error)


# -- polling ---------------------------------------------------------------------------------


@dataclass(slots=True)
class _Tally:
    connects: int = 0
    established: int = 0
    other: int = 0
    pending: int = 0


class _Poll:
    """What polls of sock_diag have shown so far.

    What begins and ends between two polls leaves at most a TIME_WAIT socket, which has no owner.
    Why an attempt failed is not to be seen, nor how long one took.
    """

    def __init__(self) -> None:
        self.tallies: dict[Who, _Tally] = defaultdict(_Tally)
        self._owners = SocketOwners()
        self._known: dict[Flow, Who] = {}
        self._waiting: set[Flow] = set()
        self._first = True

    def look(self) -> None:
        flows = _outgoing()
        new = flows.keys() - self._known.keys()
        waiting = {flow for flow, s in flows.items() if s.state == TcpState.SYN_SENT}
        whose = self._owners.find({flows[flow].inode for flow in new})
        for flow in new:
            owner = whose.get(flows[flow].inode)
            pid, name = (owner.pid, owner.comm) if owner is not None else (None, DASH)
            self._known[flow] = (pid, name, *flow[2:])
        if not self._first:
            for flow in new:
                self._of(flow).connects += 1
                self._of(flow).established += flow not in waiting
        for flow in self._waiting - waiting:
            self._of(flow).established += flow in flows
            self._of(flow).other += flow not in flows
        for tally in self.tallies.values():
            tally.pending = 0
        for flow in waiting:
            self._of(flow).pending += 1
        self._known = {flow: self._known[flow] for flow in flows}
        self._waiting, self._first = waiting, False

    def _of(self, flow: Flow) -> _Tally:
        return self.tallies[self._known[flow]]


def _outgoing() -> dict[Flow, TcpSocket]:
    """The sockets whose local port nobody listens on: those that connected from here."""
    everything = tcp_sockets(mask(*TcpState) & ~mask(TcpState.CLOSE))
    listening = {s.lport for s in everything if s.state == TcpState.LISTEN}
    return {
        (scoped_here(s.laddr, s.ifindex), s.lport, scoped_here(s.raddr, s.ifindex), s.rport): s
        for s in everything
        if s.lport not in listening
    }


def from_sock_diag(opening: Opening) -> Callable[[], Reading]:
    """Connects as polls of sock_diag show them: this network namespace only, no reasons."""
    poll = _Poll()

    def read() -> Reading:
        poll.look()
        return Reading(
            [
                row_from(
                    opening.hook.stored,
                    {
                        "pid": pid,
                        "comm": name,
                        "raddr": raddr,
                        "rport": rport,
                        "connects": tally.connects,
                        "established": tally.established,
                        "failed": tally.other,
                        "other": tally.other,
                        "pending": tally.pending,
                    },
                )
                for (pid, name, raddr, rport), tally in poll.tallies.items()
            ]
        )

    return read
