"""Drop rules at work: one attachment for each interface that has some, and their drops.

Nothing here outlives the process: the attachments are links, and each rule has its deadline in the
kernel as well. The connection through which this program is used is never matched.
"""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import ip_address

from probes.compile.compiler import Compiler
from probes.drop_rule import MAX_RULES, DropRule, Network
from probes.droprules import cautions, operator_sessions, tunnels
from probes.droprules import program as rule_program
from probes.droprules.cautions import Cautions
from probes.droprules.tunnels import End
from probes.errors import Denied, Gone, ProbeError, Unsupported, call_each
from probes.kernel.netlink import route
from probes.ladder.attachment import Attachment
from probes.ladder.modules import Modules
from probes.model import Enforced, Flat, Opening, Reading, State, Status, Table
from probes.units import printable

LOOK_SECONDS = 5.0
"""Seconds between looks for connections to spare: the user may have reconnected."""
LOOK_REST = 20.0
"""Rest, as a multiple of the last look's CPU time, where there are many processes."""
_WORDS = struct.Struct("=4I")
_ALL = 2**128 - 1
_MAPPED = 0xFFFF << 32
_NONE = (0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class _Slot:
    """A rule at work. deadline: monotonic nanoseconds, as bpf_ktime_get_ns() counts them.

    before: packets and bytes that it had dropped when its programs were last attached again.
    """

    place: int
    rule: DropRule
    deadline: int
    before: tuple[int, int] = (0, 0)

    @property
    def left(self) -> float:
        return max(0.0, (self.deadline - time.monotonic_ns()) / 1e9)


class Enforcement:
    """Rules of one interface. Thread-safe; `shown` never waits for an attach.

    ended: called with each rule that has ended, and how.
    """

    def __init__(
        self,
        compiler: Compiler,
        interface: str,
        ifindex: int,
        ended: Callable[[Enforced, str], None],
    ) -> None:
        # Modules of its own: the maps are this interface's alone.
        hook = rule_program.hook(self._open)
        self._attachment = Attachment(hook, Modules(compiler), interface, ifindex)
        self._ended = ended
        self._lock = threading.RLock()
        self._slots: tuple[_Slot, ...] = ()
        self._tables: Mapping[str, Table] = {}
        self._peers: frozenset[Flat] = frozenset()
        self._next_look = 0.0
        self._hits: dict[int, tuple[int, int]] = {}
        self._over = ""
        "How it was closed: then no rule is added any more."

    # -- changing ------------------------------------------------------------------------------

    def add(self, rule: DropRule) -> Enforced:
        """Add a rule. Raises ProbeError, with nothing changed, where no rung or place is left."""
        with self._lock:
            if self._over:
                raise Gone(f"no drop rules on {self._attachment.status.id.target}: {self._over}")
            self.tend()
            place = self._place(rule)
            self._look()
            if not self._stands():
                self._attach()
            # Its life begins now: to compile and attach may have taken longer than it lasts.
            slot = _Slot(place, rule, time.monotonic_ns() + int(rule.ttl * 1e9))
            same = next((s for s in self._slots if s.place == place), None)
            if same is None:
                self._write(slot, (*self._slots, slot))
            else:
                self._tables["rules"].update((place,), _entry(rule, slot.deadline))
                slot = replace(slot, before=same.before)
            self._slots = (*(s for s in self._slots if s is not same), slot)
            return self._shown(slot)

    def _place(self, rule: DropRule) -> int:
        """Return the place of a rule with the same match, or the first free one."""
        taken = {s.place: s.rule.what for s in self._slots}
        same = (place for place, what in taken.items() if what == rule.what)
        free = (place for place in range(MAX_RULES) if place not in taken)
        for place in (*same, *free):
            return place
        raise Unsupported(f"an interface takes {MAX_RULES} rules at most: remove one first")

    def remove(self, rule: DropRule, how: str = "removed") -> None:
        """Remove a rule; the interface is released with its last one."""
        with self._lock:
            self._end([s for s in self._slots if s.rule.what == rule.what], how)

    def tend(self) -> None:
        """End what has expired; look for connections to keep. Call it now and then."""
        with self._lock:
            now = time.monotonic_ns()
            self._end([s for s in self._slots if s.deadline <= now], "expired")
            if self._slots and self._stands() and time.monotonic() > self._next_look:
                try:
                    self._look()
                except (ProbeError, OSError):  # those that are known stay spared: again later
                    self._next_look = time.monotonic() + LOOK_SECONDS

    def close(self, how: str = "ebpftop ended") -> None:
        """End all rules for good. Where it raises, it may be called again."""
        with self._lock:
            self._over = how
            self._end(list(self._slots), how)

    def rename(self, interface: str) -> None:
        self._attachment.rename(interface)

    # -- showing -------------------------------------------------------------------------------

    def shown(self) -> tuple[Enforced, ...]:
        """Return the rules in force, oldest first."""
        self._attachment.read()
        return tuple(self._shown(slot) for slot in self._slots if slot.left > 0)

    def _shown(self, slot: _Slot) -> Enforced:
        status = self._attachment.status
        stands = status.state is State.ATTACHED
        return Enforced(
            status.id.target or "",
            slot.rule,
            status.rung if stands else None,
            slot.left,
            *self._dropped(slot),
            status.refused,
            status.note if stands else _why(status),
        )

    def _dropped(self, slot: _Slot) -> tuple[int, int]:
        packets, octets = self._hits.get(slot.place, (0, 0))
        return packets + slot.before[0], octets + slot.before[1]

    def _read(self) -> Reading:
        hits = self._tables["hits"]
        found = [hits.row((slot.place,)) or (slot.place, 0, 0) for slot in self._slots]
        self._hits = {place: (packets, octets) for place, packets, octets in found}
        return Reading(found)

    # -- the kernel's side ---------------------------------------------------------------------

    def _stands(self) -> bool:
        self._attachment.read()  # somebody may have taken it away
        return self._attachment.status.state is State.ATTACHED

    def _attach(self) -> None:
        status = self._attachment.climb(asked=True)
        if status.state is State.ATTACHED:
            return
        self._tables, self._peers = {}, frozenset()
        first = status.refused[0]
        why = "; ".join(f"{r.rung}: {r.why}" for r in status.refused)
        raise ProbeError(f"no drop rules on {status.id.target}: {why}", remedy=first.remedy)

    def _open(self, opening: Opening) -> Callable[[], Reading]:
        """Return the reader. What is attached again begins with no rule, then gets all of them."""
        self._tables = opening.tables
        peers, self._peers = self._peers, frozenset()
        self._keep(peers)
        self._slots = tuple(replace(s, before=self._dropped(s)) for s in self._slots)
        self._hits = {}
        for slot in self._slots:
            self._write(slot, self._slots)
        return self._read

    def _write(self, slot: _Slot, among: Iterable[_Slot]) -> None:
        key, tables = (slot.place,), self._tables
        tables["rules"].update(key, _entry(slot.rule, 0))
        tables["hits"].update(key, (0, 0))
        tables["used"].update((0,), (1 + max(s.place for s in among),))
        tables["rules"].update(key, _entry(slot.rule, slot.deadline))

    def _end(self, slots: Iterable[_Slot], how: str) -> None:
        try:
            call_each(partial(self._end_one, slot, how) for slot in slots)
        finally:
            if not self._slots or self._over:
                self._hits, self._tables, self._peers = {}, {}, frozenset()
                self._attachment.detach()

    def _end_one(self, slot: _Slot, how: str) -> None:
        if self._stands():
            self._tables["rules"].update((slot.place,), _entry(slot.rule, 0))
        self._attachment.read()  # the last time: now it drops no more
        self._ended(self._shown(slot), how)
        self._slots = tuple(s for s in self._slots if s is not slot)
        self._hits.pop(slot.place, None)

    # -- what is never dropped -----------------------------------------------------------------

    def _look(self) -> None:
        cpu = time.thread_time()
        connections = operator_sessions.connections()
        ends = frozenset(_end(end) for end in operator_sessions.ends(connections))
        peers = ends | {key for c in connections for key in _peers(c)}
        if len(peers) > rule_program.MOST_PEERS:
            raise Unsupported("too many connections to this process would have to be spared")
        rest = LOOK_REST * (time.thread_time() - cpu)
        self._next_look = time.monotonic() + max(LOOK_SECONDS, rest)
        if self._stands():
            self._keep(peers)
        self._peers = peers

    def _keep(self, peers: frozenset[Flat]) -> None:
        """Spare these peers. Old ones are removed first, so that there is room."""
        table = self._tables["peers"]
        for key in self._peers - peers:
            table.delete(key)
        for key in peers - self._peers:
            table.update(key, (1,))
        self._peers = peers
        roaming = any(not any(key[4:8]) for key in peers)  # those of no address of ours
        self._tables["used"].update((rule_program.ENDS,), (int(roaming),))


class Rules:
    """Drop rules of this host, by interface. Thread-safe.

    ended: called with a sentence for each rule that has ended: when, and what it has dropped.
    """

    def __init__(self, compiler: Compiler, *, observe_only: bool = False) -> None:
        self.ended: list[str] = []
        self._compiler = compiler
        self._observe_only = observe_only
        self._lock = threading.Lock()
        self._by_index: dict[int, Enforcement] = {}
        self._leaving: list[Enforcement] = []
        "On interfaces that have gone, and not closed yet."
        self._refused: dict[tuple[str, str], Enforced] = {}

    def add(self, interface: str, rule: DropRule) -> Enforced:
        """Add a rule. Raises ProbeError."""
        link = self._link(interface)
        with self._lock:
            made = Enforcement(self._compiler, link.name, link.ifindex, self._tell)
            enforcement = self._by_index.setdefault(link.ifindex, made)
        self._refused.pop((interface, rule.what), None)
        return enforcement.add(rule)

    def check(self, interface: str) -> int:
        """Return the index of an interface that may have rules. Raises ProbeError for any other."""
        return self._link(interface).ifindex

    def _link(self, interface: str) -> route.Interface:
        if self._observe_only:
            raise Denied("--observe-only: nothing is dropped, and nothing attached in a data path")
        link = route.named(interface)
        if link is None:
            raise Gone(f"there is no interface {printable(interface)}")
        if link.kind == "loopback":
            raise Unsupported(
                "the loopback takes no drop rules: this host uses it to talk to itself"
            )
        return link

    def cautions(self, interface: str, rule: DropRule) -> Cautions:
        """Return what to know before it is added. Raises ProbeError where it is not allowed."""
        return cautions.of(self.check(interface), rule)

    def refuse(self, interface: str, rule: DropRule, why: ProbeError) -> None:
        """Keep a rule that nothing enforces in the list, until the user removes it."""
        self._refused[interface, rule.what] = Enforced(interface, rule, None, 0.0, note=why.why)

    def remove(self, interface: str, rule: DropRule) -> None:
        self._refused.pop((interface, rule.what), None)
        names = {interface}
        with suppress(ProbeError):
            names |= {link.name} if (link := route.named(interface)) else set()
        there = [e for e in self._all() if any(s.interface in names for s in e.shown())]
        call_each(partial(enforcement.remove, rule) for enforcement in there)

    def shown(self) -> tuple[Enforced, ...]:
        lives = [shown for enforcement in self._all() for shown in enforcement.shown()]
        return (*lives, *self._refused.values())

    def tend(self) -> None:
        """Tend all of them. Raises what the first raised that could not be tended."""
        call_each(enforcement.tend for enforcement in self._all())
        self._close_leaving()

    def follow(self, interfaces: Mapping[int, str]) -> None:
        """Follow interfaces by number, as they are now: some have another name, some have gone.

        Raises what the first raised that could not be closed; it is tried again by `tend`.
        """
        with self._lock:
            gone = self._by_index.keys() - interfaces.keys()
            self._leaving += [self._by_index.pop(index) for index in sorted(gone)]
        for index, enforcement in list(self._by_index.items()):
            enforcement.rename(interfaces[index])
        self._close_leaving()

    def _close_leaving(self) -> None:
        call_each(partial(self._close_one, enforcement) for enforcement in self._leaving[:])

    def _close_one(self, enforcement: Enforcement) -> None:
        enforcement.close("its interface has gone")
        with self._lock, suppress(ValueError):  # another thread was faster
            self._leaving.remove(enforcement)

    def close(self) -> None:
        """Detach everything, the last first."""
        for enforcement in reversed([*self._leaving, *self._all()]):
            try:
                enforcement.close()
            except Exception as failed:  # the others still have to be released
                self.ended.append(
                    f"a rule could not be removed, and ends with this process: {failed}"
                )

    def _all(self) -> list[Enforcement]:
        return list(self._by_index.values())

    def _tell(self, last: Enforced, how: str) -> None:
        self.ended.append(
            f"no longer dropped on {last.interface} ({how}): {last.rule.what}: "
            f"{last.packets} packets, {last.bytes} bytes"
        )


def _entry(rule: DropRule, deadline: int) -> Flat:
    """Return a `struct rule`. An IPv4 network is one of ::ffff:0:0/96, and of its family alone."""
    source, mask = _bits(rule.source)
    protocol = rule_program.ANY_PROTOCOL if rule.protocol is None else rule.protocol
    family = rule.source.version if rule.source is not None else 0
    return (deadline, *_words(source), *_words(mask), family, protocol, rule.port or 0, 0)


def _bits(network: Network | None) -> tuple[int, int]:
    """Return (address, mask), 128 bits each."""
    if network is None:
        return 0, 0
    host = network.max_prefixlen - network.prefixlen
    mapped = _MAPPED if network.version == 4 else 0
    return int(network.network_address) | mapped, _ALL >> host << host


def _words(number: int) -> Flat:
    """Return the words in wire order, as the program sees them."""
    return _WORDS.unpack(number.to_bytes(16, "big"))


def _peers(connection: operator_sessions.Connection) -> tuple[Flat, Flat]:
    """Return the keys of what the other end sends: with the ports and, for fragments, without."""
    ends = (*_address(connection.raddr), *_address(connection.laddr))
    what = tunnels.TCP, _family(connection.raddr)
    return (*ends, connection.rport, connection.lport, *what), (*ends, 0, 0, *what)


def _end(end: End) -> Flat:
    """Return the key of what carries a session, to any address."""
    address = _address(end.address) if end.address else _NONE
    return (*address, *_NONE, 0, end.port, end.protocol, _family(end.address))


def _address(text: str) -> Flat:
    address = ip_address(text)
    return _words(int(address) | (_MAPPED if address.version == 4 else 0))


def _family(address: str) -> int:
    """Return the family of packets from there; 0: of any, from anyone."""
    return ip_address(address).version if address else 0


def _why(status: Status) -> str:
    """Return why nothing enforces the rules any more."""
    return status.refused[-1].why if status.refused else "nothing enforces it"
