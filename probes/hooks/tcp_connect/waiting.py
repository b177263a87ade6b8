"""Attempts under way: how many, since when, and those that began before the programs were there."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from contextlib import suppress
from typing import NamedTuple

from probes.errors import ProbeError
from probes.kernel.net_namespaces import inside, of_process
from probes.kernel.netlink import route
from probes.kernel.netlink.routes import leaving
from probes.kernel.netlink.sock_diag import Connecting, TcpSocket, connecting
from probes.kernel.procfs import SocketOwners, netns
from probes.model import Value
from probes.toolkit.links import scoped_here
from probes.units import DASH

LATE_NS = 1_000_000_000
"""Nanoseconds after which an attempt is late: its SYN has been sent again."""
_ALIKE_NS = 100_000_000
"""Times that are no farther apart may be those of one attempt."""
_ROUTES_STAY, _MOST_ROUTES, _MOST_PLACES = 5.0, 64, 8
"""Seconds after which routes are looked up again; routes of a network namespace, and namespaces,
that are looked up in a reading."""

UNDER_WAY = ("pending", "late", "oldest_ns", "via")
"""The columns that tell of what is under way."""
Who = tuple[Value, ...]
"""pid, comm, remote address and port."""


class UnderWay(NamedTuple):
    """Attempts of a row that nobody has answered yet. late: of these, those from `LATE_NS` on.

    oldest: nanoseconds. via: the interface that SYNs leave by; "": not looked for.
    """

    pending: int = 0
    late: int = 0
    oldest: int = 0
    via: str = ""

    def and_one(self, age: int) -> UnderWay:
        """Return them and one more of this age."""
        oldest = max(self.oldest, age)
        return UnderWay(self.pending + 1, self.late + (age >= LATE_NS), oldest, self.via)

    def told(self) -> tuple[int, int, int | None, str | None]:
        """Return the values of the columns `UNDER_WAY`."""
        return self.pending, self.late, self.oldest if self.pending else None, self.via or None


NOBODY = UnderWay()
Waiting = dict[Who, UnderWay]
"""Attempts under way, by the row's key."""


class BegunBefore:
    """Attempts in this network namespace that began before a program counted them.

    They have no row in any map. known: address, port and beginning of those that have one.
    Beginnings are monotonic nanoseconds. Where sock_diag tells nothing, there are none.
    """

    def __init__(self, known: Iterable[tuple[Value, Value, int]]) -> None:
        self._owners = SocketOwners()
        counted = Counter((raddr, rport, begun // _ALIKE_NS) for raddr, rport, begun in known)
        self._begun: dict[int, int] = {}
        now = time.monotonic_ns()
        for socket, age in _connecting():
            begun = now - age
            about = range((begun - _ALIKE_NS) // _ALIKE_NS, (begun + _ALIKE_NS) // _ALIKE_NS + 1)
            same = [(_raddr(socket), socket.rport, slot) for slot in about]
            one = next((key for key in same if counted[key] > 0), None)
            if one is None:
                self._begun[socket.cookie] = begun
            else:
                counted[one] -= 1

    def find(self) -> list[tuple[Who, int]]:
        """Return who began those that go on, and when."""
        if not self._begun:
            return []
        going = {one.socket.cookie: one.socket for one in _connecting()}
        self._begun = {cookie: at for cookie, at in self._begun.items() if cookie in going}
        whose = self._owners.find({going[cookie].inode for cookie in self._begun})
        found: list[tuple[Who, int]] = []
        for cookie, at in self._begun.items():
            socket = going[cookie]
            owner = whose.get(socket.inode)
            pid, comm = (None, DASH) if owner is None else (owner.pid, owner.comm)
            found.append(((pid, comm, _raddr(socket), socket.rport), at))
        return found


class MissedEnds:
    """Attempts under way whose end no program saw: this network namespace has no such socket.

    An attempt is asked for once it is late, and whenever its age has doubled since.
    """

    def __init__(self) -> None:
        self._next: dict[int, int] = {}

    def find(self, ages: Mapping[int, int]) -> Set[int]:
        """Return those that have ended. ages: of attempts here, by their sockets' inodes."""
        due = {n for n, age in ages.items() if age >= self._next.get(n, LATE_NS)}
        known = {n: at for n, at in self._next.items() if n in ages}
        self._next = {**known, **{n: 2 * ages[n] for n in due}}
        if not due:
            return due
        try:
            return due - {one.socket.inode for one in connecting()}
        except ProbeError:
            return set()


class WaysOut:
    """Interfaces by which unanswered SYNs leave, by the present routes of their namespace."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, str], str] = {}
        self._until = 0.0

    def tell(self, waiting: Waiting, elsewhere: Mapping[Who, int] | None = None) -> None:
        """Add the interface to those that are late.

        elsewhere: the network namespaces of those that are in another one; 0: not known which, it
        is the process's.
        """
        if time.monotonic() >= self._until:
            self._known, self._until = {}, time.monotonic() + _ROUTES_STAY
        own, others = netns(), elsewhere or {}
        wanted: dict[int, dict[str, Value]] = {}
        late: dict[Who, tuple[int, str]] = {}
        for who in [who for who, one in waiting.items() if one.late]:
            pid, _, raddr, _ = who
            place = others.get(who, own) or (of_process(pid) if isinstance(pid, int) else 0)
            late[who] = place, str(raddr)
            if late[who] not in self._known:
                wanted.setdefault(place, {})[str(raddr)] = pid
        for place, addresses in list(wanted.items())[:_MOST_PLACES]:
            self._look(place, addresses, here=place == own)
        for who, at in late.items():
            waiting[who] = waiting[who]._replace(via=self._known.get(at, ""))

    def _look(self, place: int, addresses: Mapping[str, Value], *, here: bool) -> None:
        """Ask for routes. addresses: with a process of that namespace each."""
        asked = [address for address in addresses if "%" not in address][:_MOST_ROUTES]
        if not asked or not place:
            return
        pid = addresses[asked[0]]
        self._known.update({(place, address): "" for address in asked})
        with suppress(ProbeError, OSError):
            if here:
                found, names = _routes(asked)
            elif isinstance(pid, int) and pid:
                found, names = inside(pid, place, lambda: _routes(asked))
            else:
                return
            where = "" if here else f" (netns {place})"
            for address, ifindex in zip(asked, found, strict=True):
                name = names.get(ifindex, "") if ifindex else ""
                self._known[place, address] = f"{name}{where}" if name else ""


def _routes(addresses: Sequence[str]) -> tuple[Sequence[int | None], Mapping[int, str]]:
    return leaving(addresses), route.names()


def _connecting() -> Sequence[Connecting]:
    try:
        return connecting()
    except ProbeError:
        return ()


def _raddr(socket: TcpSocket) -> str:
    return scoped_here(socket.raddr, socket.ifindex)
