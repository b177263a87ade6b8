"""Name servers: which processes wait for an answer of which, as their sockets show."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
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
"""Seconds from a look to the next, which finds the queries that are late: answers take less."""
_PAUSE, _APART = 0.5, 0.4
"""Least seconds between two pairs of looks: each reading finds the result of one. And how much they
are moved: resolvers that ask again each second would end their wait between the two each time."""

_GOLDEN = 0.618
"""Multiples of it are spread evenly between whole numbers."""
_NOBODY: tuple[Value, Value] = (None, DASH)
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
        self._looks = 0

    def look(self, wait: Callable[[float], object]) -> None:
        """Look twice if there are any. wait: waits for so many seconds."""
        wait(_APART * (self._looks * _GOLDEN % 1))
        self._looks += 1
        first, now = _queries(), time.monotonic_ns()
        begun = {cookie: self._begun.get(cookie, now) for cookie in first}
        late = {c: now - at for c, at in begun.items() if now - at >= AGAIN * 1e9}
        self._find_owners(first, late)  # while they are there: they may be over soon
        if first:
            wait(AGAIN)
        then = _queries() if first else {}
        now = time.monotonic_ns()
        still = {cookie: now - begun[cookie] for cookie in then if cookie in first}
        late |= still
        owners = self._find_owners(first, late)
        for cookie in first:
            asker = *owners.get(cookie, _NOBODY), _server(first[cookie])
            self.tallies.add(asker, {"seen": 1, "late": int(cookie in late)})
        self.late = [
            _LateQuery((*owners[cookie], _server(first[cookie])), age)
            for cookie, age in still.items()
        ]
        self._begun = {cookie: begun.get(cookie, now) for cookie in then}

    def _find_owners(
        self, queries: Mapping[int, TcpSocket], wanted: Collection[int]
    ) -> dict[int, tuple[Value, Value]]:
        """Return pid and comm of those who ask, by the socket's cookie."""
        if not wanted:
            return {}
        owners = self._owners.find({queries[cookie].inode for cookie in wanted})
        found: dict[int, tuple[Value, Value]] = {}
        for cookie in wanted:
            owner = owners.get(queries[cookie].inode)
            found[cookie] = _NOBODY if owner is None else (owner.pid, owner.comm)
        return found


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
        *owner("the process"),
    ),
    ladder=(Rung("sock_diag", "nothing; other users' processes need root", _open),),
    order=73,
    reads_with=capabilities.PROCESSES,
)
