"""How the rungs of tcp-connect read: from the programs' maps, or by polling sock_diag."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from probes.decode import address, comm, errno_name
from probes.model import Opening, Reading, Row, Value
from probes.procfs import SocketOwners
from probes.readers import row_from, row_of
from probes.sockdiag import TcpSocket, TcpState, mask, tcp_sockets
from probes.units import DASH

FAILURES = ("refused", "unreachable", "timed_out", "gave_up", "other")
NEVER_SENT_NS = 1_000_000_000
"""An attempt whose SYN has not been sent for so long failed within the call."""
_RESULTS = {
    0: "established",
    111: "refused",
    101: "unreachable",
    113: "unreachable",
    110: "timed out",
    -1: "gave up",
}

Who = tuple[Value, ...]


def open_connects(opening: Opening) -> Callable[[], Reading]:
    """Rows from `rows`, those under way from `pending`, the log from `events`."""
    rows, pending = opening.tables["rows"], opening.tables["pending"]
    columns = opening.hook.stored
    row = row_of(columns, rows)
    at = {c.name: i for i, c in enumerate(columns)}
    never_sent: Counter[Who] = Counter()

    def read() -> Reading:
        log = _log(opening)
        waiting: Counter[Who] = Counter()
        now = time.monotonic_ns()
        for entry in pending.rows():
            attempt = {name: entry[place] for name, place in pending.fields.items()}  # type: ignore[index]
            who = (
                attempt["pid"],
                comm(attempt["comm"]),
                address(attempt["raddr"]),
                attempt["rport"],
            )
            if attempt["sent"] or now - int(attempt["at"]) < NEVER_SENT_NS:
                waiting[who] += 1
            elif pending.delete((attempt["key"],)):
                never_sent[who] += 1
        made = []
        for entry in rows.rows():
            values = list(row(entry))
            who = tuple(values[:4])
            values[at["other"]] += never_sent[who]  # type: ignore[operator]
            values[at["failed"]] = sum(int(values[at[f]]) for f in FAILURES)  # type: ignore[arg-type]
            values[at["pending"]] = waiting[who]
            made.append(tuple(values))
        lost = opening.tables["lost"].row((0,))
        return Reading(made, int(lost[1]) if lost else 0, log)

    return read


def _log(opening: Opening) -> list[Row]:
    queue = opening.tables["events"]
    places = queue.fields
    entries = []
    for raw in queue.drain():
        event = {name: raw[place] for name, place in places.items()}  # type: ignore[index]
        error = int(event["error"])
        known: dict[str, Value] = {
            "pid": int(event["pid"]),
            "comm": comm(event["comm"]),
            "raddr": address(event["raddr"]),
            "rport": int(event["rport"]),
            "result": _RESULTS.get(error) or errno_name(error),
            "ns": int(event["ns"]),
        }
        entries.append(row_from(opening.hook.log, known))
    return entries


# -- polling ---------------------------------------------------------------------------------


@dataclass(slots=True)
class _Tally:
    connects: int = 0
    established: int = 0
    other: int = 0
    pending: int = 0


@dataclass(slots=True)
class _Poll:
    """What polls of sock_diag have shown so far.

    What begins and ends between two polls leaves at most a TIME_WAIT socket, which has no owner.
    Why an attempt failed is not to be seen, nor how long one took.
    """

    owners: SocketOwners = field(default_factory=SocketOwners)
    known: dict[tuple[Value, ...], tuple[bool, Who]] | None = None
    tallies: dict[Who, _Tally] = field(default_factory=dict)

    def look(self) -> None:
        everything = tcp_sockets(mask(*TcpState) & ~mask(TcpState.CLOSE))
        listening = {s.lport for s in everything if s.state == TcpState.LISTEN}
        outgoing = {
            (s.laddr, s.lport, s.raddr, s.rport): s
            for s in everything
            if s.state != TcpState.LISTEN and s.lport not in listening
        }
        before, self.known = self.known, {}
        whose = self._owners(
            outgoing.values()
            if before is None
            else (s for flow, s in outgoing.items() if flow not in before)
        )
        for tally in self.tallies.values():
            tally.pending = 0
        for flow, socket in outgoing.items():
            waiting = socket.state == TcpState.SYN_SENT
            was_waiting, who = (before or {}).get(
                flow, (False, whose.get(socket.inode, (None, DASH)) + (socket.raddr, socket.rport))
            )
            self.known[flow] = waiting, who
            self._count(
                who,
                new=before is not None and flow not in before,
                waiting=waiting,
                was_waiting=was_waiting,
            )
        for flow in (before or {}).keys() - outgoing.keys():
            was_waiting, who = (before or {})[flow]
            if was_waiting:
                self.tallies.setdefault(who, _Tally()).other += 1

    def _owners(self, sockets: Iterable[TcpSocket]) -> dict[int, Who]:
        found = self.owners.find({s.inode for s in sockets})
        return {inode: (owner.pid, owner.comm) for inode, owner in found.items()}

    def _count(self, who: Who, *, new: bool, waiting: bool, was_waiting: bool) -> None:
        if not (new or waiting or was_waiting):
            return
        tally = self.tallies.setdefault(who, _Tally())
        tally.connects += new
        tally.pending += waiting
        tally.established += not waiting and (new or was_waiting)


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
