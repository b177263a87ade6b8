"""Rows of what no tracepoint sees: counters that nstat shows, and the sockets behind them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import NamedTuple

from probes.hooks.drops.counters import (
    ALL,
    TIME_WAIT,
    CounterUnit,
    Freeing,
    Growth,
    Namespaces,
    Rest,
    shown,
)
from probes.hooks.drops.levels import level_of
from probes.hooks.drops.listeners import POOLS, REQUESTS, Share, Shares, StandingQueue
from probes.hooks.drops.seen import SeenByPlace
from probes.kernel.procfs import Owner
from probes.model import OTHERS, Row
from probes.units import DASH

QUEUE, LISTENER = "accept queue", "listener"
"""Reason and location of rows that tell of a queue, and of no packets."""


class _Told(NamedTuple):
    """The beginning of a row, without its number. why: "" for the counter's own."""

    netns: int
    counter: str
    why: str = ""
    port: int = 0


class Untraced:
    """Counters beside a rung.

    reasons: those that the kernel gives there, None: it gives none. traced: whether the rung has
    kfree_skb; then counting begins now, as it does there. forget: called with a namespace that is
    gone and released.
    """

    MAX_NAMESPACES = 1024
    """Namespaces that have rows; those that are gone beyond this number share one row a counter."""

    def __init__(
        self,
        own: int,
        reasons: Collection[str] | None,
        *,
        traced: bool,
        forget: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._own = own
        self._shown = shown(reasons, traced=traced)
        self._alone = self._shown.keys() - POOLS.keys()
        self._pools = [pool for pool in POOLS if pool in self._shown]
        self._subtract = traced and reasons is not None
        self._namespaces = Namespaces(from_now=traced)
        self._counted: dict[_Told, int] = defaultdict(int)
        self._shares, self._rest = Shares(), Rest[_Told]()
        self._forget = forget
        self._gone: Counter[str] = Counter()
        if traced:
            self.read()

    def read(self) -> None:
        """Read the counters. Call before reading what the tracepoint has.

        Otherwise a packet that comes in between would be taken for untraced.
        """
        for netns, pid, grown in self._namespaces.read(self._own):
            # Nothing was ever dropped in most namespaces: nobody has to enter those.
            pools = [p for p in self._pools if pid is None or self._namespaces.ever(netns, p)]
            self._shares.add(netns, pid, grown, pools)
            if any(grown.values()):
                ports = self._asked(grown) if pid is None else {}
                for name in self._alone & grown.keys():
                    if grown[name]:
                        told = _Told(netns, name, port=ports.get(name, 0))
                        self._counted[told] += grown[name]
        self._shares.name()

    def _asked(self, grown: Growth) -> Mapping[str, int]:
        """Return the ports that most of it is of, by counter."""
        ports = dict.fromkeys(REQUESTS, self._shares.asked)
        if grown.get(TIME_WAIT):
            ports[TIME_WAIT] = self._shares.closed()
        return ports

    def rows(self, seen: SeenByPlace) -> list[Row]:
        """Return what was read, less what the tracepoint has of it."""
        found = [
            self._row(told, packets)
            for told, counted in self._counted.items()
            if (packets := self._less(told, counted, self._seen(told, seen)))
        ]
        found += self._of_ports(seen)
        found += map(self._standing, self._shares.queues.standing)
        if self._namespaces.left_out:
            found.append(self._left_out())
        found += [self._row(_Told(0, name, OTHERS), n) for name, n in self._gone.items() if n]
        self._let_go()
        return found

    def _let_go(self) -> None:
        """Merge the counts of namespaces that are gone, so that they are not kept for ever."""
        known = {one.netns: None for of in (self._counted, self._shares.counted) for one in of}
        there = self._namespaces.there
        for netns in [n for n in known if n not in there][
            : max(0, len(known) - self.MAX_NAMESPACES)
        ]:
            for one in [one for one in self._counted if one.netns == netns]:
                del self._counted[one]
            self._shares.forget(netns)
            self._forget(netns)
            self._gone.update(self._rest.forget(netns))

    def _left_out(self) -> Row:
        """Return a row with the number of namespaces that are not read.

        There were more at a time than can be followed.
        """
        why, number = "namespaces not followed", self._namespaces.left_out
        counts = str(CounterUnit.EVENTS)
        return (
            DASH,
            why,
            "procfs",
            number,
            DASH,
            None,
            DASH,
            "",
            None,
            counts,
            None,
            0,
            0,
            DASH,
            None,
            None,
        )

    def _standing(self, queue: StandingQueue) -> Row:
        """Return a row of connections that wait to be accepted: nothing of it is lost."""
        owner, counts = self._shares.listener(queue), str(CounterUnit.EVENTS)
        several = f" of {queue.stuck} in {queue.of} listeners" if queue.of > 1 else ""
        return (
            *(DASH, f"{QUEUE}{several}", LISTENER, 0, "tcp", queue.port, DASH),
            *(*_named(owner), counts, None, 0, 0, DASH, queue.waiting, queue.room),
        )

    def _of_ports(self, seen: SeenByPlace) -> Iterable[Row]:
        left: dict[tuple[int, str], Counter[int]] = {}
        for share, counted in sorted(self._shares.counted.items(), key=lambda s: -s[0].port):
            told = _Told(*share)
            ports = left.setdefault(told[:2], self._ports(told, seen))
            known = ports[share.port] if share.port else ports.total()
            part = min(known, counted)
            ports[share.port] -= part
            if packets := self._less(told, counted, part):
                yield self._row(told, packets, share)

    def _less(self, told: _Told, counted: int, seen: int) -> int:
        return self._rest.of(told, counted, seen)

    def _ports(self, told: _Told, seen: SeenByPlace) -> Counter[int]:
        """Return what the tracepoint has of a counter, by port."""
        if self._subtract and ALL[told.counter].freed is Freeing.SOME:
            return seen.ports(told.netns, ALL[told.counter])
        return Counter()

    def _seen(self, told: _Told, seen: SeenByPlace) -> int:
        return self._ports(told, seen).total()

    def _row(self, told: _Told, packets: int, share: Share | None = None) -> Row:
        owner = self._shares.owner(share) if share is not None else None
        protocol = POOLS.get(told.counter, DASH)
        if told.counter in (*REQUESTS, TIME_WAIT) and told.port:
            owner, protocol = self._shares.asker(told.port), "tcp"
        counts = self._shown[told.counter]
        level = level_of(told.counter) if told.netns == self._own else (None, None)
        return (
            DASH,
            told.why or ALL[told.counter].why,
            told.counter,
            packets,
            protocol,
            told.port or None,
            DASH,
            *_named(owner),
            str(counts),
            None if told.netns == self._own else told.netns,
            0,
            0,
            DASH,
            *level,
        )


def packets_row(row: Row, of: Row, owner: Owner | None = None, way: str = DASH) -> Row:
    """Return the same columns for packets that were seen one by one.

    of: the network namespace, the interface's number, the device. owner: of the socket that it
    reached, or was for. way: as in the column.
    """
    return (*row, *_named(owner), str(CounterUnit.PACKETS), *of, way, None, None)


def _named(owner: Owner | None) -> tuple[str, int | None]:
    return (owner.comm, owner.pid) if owner is not None else ("", None)
