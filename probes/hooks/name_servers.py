"""Name servers: which processes wait for an answer of which, as their sockets show."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from probes.attach.background import Background
from probes.kernel import capabilities
from probes.kernel.netlink.sock_diag import TcpSocket, TcpState, mask, udp_sockets
from probes.kernel.procfs import SocketOwners
from probes.toolkit import (
    Hook,
    Opening,
    Reading,
    Row,
    Rung,
    Unit,
    Value,
    counter,
    given,
    key,
    level,
    process,
    row_from,
)
from probes.toolkit.links import scoped_here
from probes.toolkit.tallies import Tallies
from probes.units import DASH

PORT = 53
AGAIN = 0.4
"""Seconds from a look to the next, which finds the queries that are late: answers take less."""
_PAUSE = 0.5
"""Least seconds between two pairs of looks: each reading finds the result of one."""

_Asker = tuple[Value, Value, Value]
"""pid, comm, server. None and a dash: not looked for."""


class _LateQuery(NamedTuple):
    """A late query, and its age in nanoseconds, as far as it was watched."""

    asker: _Asker
    age: int


class Queries:
    """Queries under way in this network namespace: UDP sockets connected to port 53.

    Resolvers connect a socket for each query, and close it with the answer. Most answers come
    between two looks, so only those that are late tell anything of a server; who asks is looked for
    then. A server that is asked through a socket that is not connected is not seen.
    """

    def __init__(self) -> None:
        self.tallies: Tallies[_Asker] = Tallies()
        self.late: list[_LateQuery] = []
        self._owners = SocketOwners()
        self._begun: dict[int, int] = {}

    def look(self, wait: Callable[[float], object]) -> None:
        """Look twice if there are any. wait: waits for so many seconds."""
        first, now = _queries(), time.monotonic_ns()
        self._begun = {cookie: self._begun.get(cookie, now) for cookie in first}
        if first:
            wait(AGAIN)
        then = _queries() if first else {}
        late = {cookie: query for cookie, query in then.items() if cookie in first}
        owners = self._owners.find({query.inode for query in late.values()}) if late else {}
        now = time.monotonic_ns()
        found = []
        for cookie, query in late.items():
            owner = owners.get(query.inode)
            pid, comm = (None, DASH) if owner is None else (owner.pid, owner.comm)
            found.append(_LateQuery((pid, comm, _server(query)), now - self._begun[cookie]))
        for one in found:
            self.tallies.add(one.asker, {"seen": 1, "late": 1})
        for cookie in first.keys() - late.keys():
            self.tallies.add((None, DASH, _server(first[cookie])), {"seen": 1})
        self.late = found


def _queries() -> dict[int, TcpSocket]:
    connected = udp_sockets(mask(TcpState.ESTABLISHED))
    return {s.cookie: s for s in connected if s.rport == PORT}


def _server(query: TcpSocket) -> str:
    return scoped_here(query.raddr, query.ifindex)


def _open(opening: Opening) -> Callable[[], Reading]:
    queries, columns = Queries(), opening.hook.stored
    background = Background[int](lambda: queries.look(background.left.wait), opening.stack)
    background.pause = _PAUSE

    def row(asker: _Asker, tally: Counter[str]) -> Row:
        ages = [one.age for one in queries.late if one.asker == asker]
        known = dict(zip(("pid", "comm", "server"), asker, strict=True))
        counted = {name: tally[name] for name in ("seen", "late")}
        return row_from(
            columns,
            {**known, **counted, "waiting": len(ages), "oldest_ns": max(ages, default=None)},
        )

    def read() -> Reading:
        background.keep_up()
        return Reading(queries.tallies.made(columns, row))

    return read


HOOK = Hook(
    name="name-servers",
    title="Name servers",
    question="Which processes wait for an answer of which name server.",
    columns=given(
        *process("process that asked; none: not looked for, as the answer came"),
        key("server", "Server", "address of the name server", width=22),
        counter("seen", "Seen", "queries under way when looked for, once a second"),
        counter("late", "Late", f"of these, those without an answer {AGAIN} s later"),
        level("waiting", "Waiting", "late queries at the latest look", Unit.COUNT),
        level("oldest_ns", "Oldest", "how long the first of these was seen waiting", Unit.NS),
    ),
    ladder=(Rung("sock_diag", "nothing; other users' processes need root", _open),),
    order=73,
    reads_with=capabilities.PROCESSES,
)
