"""Stalled connections: TCP connections of which one end does not read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from time import monotonic

from probes.kernel import capabilities
from probes.kernel.net_counters import NetCounters
from probes.kernel.netlink import sock_diag
from probes.kernel.netlink.stalled import Stalled, stalled
from probes.kernel.procfs import Owner, SocketOwners
from probes.toolkit import (
    Hook,
    Opening,
    ProbeError,
    Reading,
    Row,
    Rung,
    Unit,
    ends,
    given,
    holder,
    key,
    level,
    owner,
    row_from,
)
from probes.toolkit.links import scoped_here

WINDOWS = (
    "TcpExtTCPToZeroWindowAdv",
    "TcpExtTCPWantZeroWindowAdv",
    "TcpExtTCPWinProbe",
    "TcpExtTCPZeroWindowDrop",
)
"""Counters that grow when a receive window is closed: without them, no socket is listed."""
_AGAIN = 10.0
"""Seconds after which sockets are listed all the same, as probes become rare."""


class StalledConnections:
    """Stalled connections of this network namespace, with the time since each was seen first."""

    def __init__(self) -> None:
        self._files, self._owners = NetCounters(WINDOWS), SocketOwners()
        self._counted: tuple[bytes, ...] | None = None
        self._looked = 0.0
        self._since: dict[int, float] = {}
        self.found: list[Stalled] = []
        self.held: Mapping[int, Owner] = {}

    def look(self) -> None:
        """List them, if a receive window was closed since the last look or is closed."""
        counted = self._files.read().texts
        news = counted != self._counted
        self._counted = counted
        now = monotonic()
        if not (news or self.found or now - self._looked >= _AGAIN):
            return
        self._looked = now
        with suppress(ProbeError):
            self.found = stalled({one.port for one in sock_diag.listeners()})
        self._since = {one.cookie: self._since.get(one.cookie, now) for one in self.found}
        self.held = self._owners.find({one.inode for one in self.found if one.inode})

    def age_ns(self, one: Stalled) -> int:
        """Return for how long it has been stalled: since it was seen so, or nothing moved."""
        seen = monotonic() - self._since[one.cookie]
        return max(int(seen * 1e9), one.idle_ms * 1_000_000)


def _open(opening: Opening) -> Callable[[], Reading]:
    columns, connections = opening.hook.stored, StalledConnections()

    def row(one: Stalled) -> Row:
        known = one._asdict()
        known |= {end: scoped_here(known[end], one.ifindex) for end in ("laddr", "raddr")}
        known |= {"reader": str(one.reader), "age_ns": connections.age_ns(one)}
        held = connections.held.get(one.inode)
        if held is not None:
            known |= {"comm": held.comm, "pid": held.pid}
        return row_from(columns, known)

    def read() -> Reading:
        connections.look()
        return Reading(list(map(row, connections.found)))

    return read


HOOK = Hook(
    name="tcp-stalled",
    title="Stalled connections",
    question="Which TCP connections stall because one end does not read.",
    columns=given(
        key("cookie", "Cookie", "number of the socket", Unit.NUMBER, hidden=True, label=False),
        *ends(),
        level("reader", "Reader", "who does not read: the process here, or its peer", width=7),
        level("queued", "Queued", "bytes that wait here, to be read or to be sent", Unit.BYTES),
        level("age_ns", "Age", "time since data moved, or since it was seen stalled", Unit.NS),
        level("probes", "Probes", "probes of the peer's closed window, in a row", Unit.NUMBER,
              label=False),
        level("alike", "Of", "open connections of the same service, this one among them",
              Unit.NUMBER, label=False),
        *holder("process that holds the socket", label=True),
        *owner("that process", label=False),
    ),
    ladder=(Rung("sock_diag", "nothing; other users' processes need root", _open,
                 from_zero=False),),
    order=77,
    rows_go=True,
    reads_with=capabilities.PROCESSES,
)  # fmt: skip
