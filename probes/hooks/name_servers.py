"""Name servers: which processes wait for an answer of which, as their sockets show."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
    owner,
    process,
    row_from,
)
from probes.toolkit.links import scoped_here
from probes.toolkit.tallies import Tallies
from probes.units import DASH

PORT = 53
AGAIN = 0.4
"""Seconds from which on a query is late: answers take less."""
_STEP, _STEPS = 0.2, 4
"""Seconds between the looks of a watch, and looks after the first: with the pauses nearly a second,
so that resolvers that ask again each second are seen waiting, whenever in a second they do so."""
_PAUSE, _APART = 0.1, 0.8
"""Least seconds between two watches. How much those are moved that find nothing under way: what
waits for a part of each second is met by some."""
_LONGEST = 40.0
"""Seconds after which a connected socket is no query: resolvers give up after 30 s."""

_GOLDEN = 0.618
"""Multiples of it are spread evenly between whole numbers."""
_NOBODY: tuple[Value, Value] = (None, DASH)
_Asker = tuple[Value, Value, Value]
"""pid, comm, server. None and a dash: not looked for."""


class _LateQuery(NamedTuple):
    """A late query, and its age in nanoseconds, as far as it was watched."""

    asker: _Asker
    age: int


@dataclass(slots=True)
class _OpenQuery:
    """A socket that waits, from when it was seen first; monotonic seconds.

    asker: pid and comm; None: not found yet. told: whether this watch has counted it. late: whether
    any has counted it as late.
    """

    socket: TcpSocket
    begun: float
    asker: tuple[Value, Value] | None = None
    told: bool = False
    late: bool = False


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
        self._under_way: dict[int, _OpenQuery] = {}
        self._watches = 0

    def watch(self, wait: Callable[[float], object]) -> None:
        """Look several times while there are any. wait: waits for so many seconds.

        Each query counts once: when it has ended; or, if it is late, in each watch.
        """
        if not self._under_way:
            wait(_APART * (self._watches * _GOLDEN % 1))
        self._watches += 1
        for query in self._under_way.values():
            query.told = False
        self._look()
        for _ in range(_STEPS):
            if self._under_way:
                wait(_STEP)
                self._look()

    def _look(self) -> None:
        now, found = time.monotonic(), _queries()
        for cookie in self._under_way.keys() - found.keys():
            self._end(self._under_way.pop(cookie))
        for cookie, one in found.items():
            self._under_way.setdefault(cookie, _OpenQuery(one, now))
        late = [q for q in self._under_way.values() if AGAIN <= now - q.begun <= _LONGEST]
        waiting = [q for q in self._under_way.values() if now - q.begun >= _STEP / 2]
        self._find_askers([q for q in waiting if q.asker is None])
        for query in late:
            if not query.told:
                self._tell(query, late=1)
        self.late = [_LateQuery(_asker(q), int((now - q.begun) * 1e9)) for q in late]

    def _end(self, query: _OpenQuery) -> None:
        if not query.late:
            self._tell(query, late=0)

    def _tell(self, query: _OpenQuery, late: int) -> None:
        self.tallies.add(_asker(query), {"seen": 1, "late": late})
        query.told, query.late = True, bool(late)

    def _find_askers(self, queries: Sequence[_OpenQuery]) -> None:
        """Find pid and comm of those who ask, as far as they are found at once."""
        if not queries:
            return
        owners = self._owners.find({query.socket.inode for query in queries})
        for query in queries:
            if (owner := owners.get(query.socket.inode)) is not None:
                query.asker = owner.pid, owner.comm


def _asker(query: _OpenQuery) -> _Asker:
    return *(query.asker or _NOBODY), _server(query.socket)


def _queries() -> dict[int, TcpSocket]:
    connected = udp_sockets(mask(TcpState.ESTABLISHED))
    return {s.cookie: s for s in connected if s.rport == PORT}


def _server(query: TcpSocket) -> str:
    return scoped_here(query.raddr, query.ifindex)


def _open(opening: Opening) -> Callable[[], Reading]:
    queries, columns = Queries(), opening.hook.stored
    background = Background[int](lambda: queries.watch(background.left.wait), opening.stack)
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
    question="Which processes wait for an answer from which name server.",
    columns=given(
        *process("process that asked; none: the answer came before ebpftop looked"),
        key("server", "Server", "address of the name server", width=22),
        counter("seen", "Seen", "queries in progress, counted several times a second"),
        counter("late", "Late", f"of these, those without an answer {AGAIN} s later"),
        level("waiting", "Waiting", "late queries at the latest look", Unit.COUNT),
        level("oldest_ns", "Oldest", "how long the first of these was seen waiting", Unit.NS),
        *owner("the process"),
    ),
    ladder=(Rung("sock_diag", "nothing; other users' processes need root", _open),),
    order=73,
    reads_with=capabilities.PROCESSES,
)
