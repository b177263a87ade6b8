"""The rung that also has the samples of connections that were open before. Linux 6.12.

An iterator over sockets gives them the callback flags, in each network namespace, and takes back on
leaving what it gave. See design/tcp-rtt.md.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from enum import IntEnum
from functools import partial
from math import inf
from pathlib import Path
from time import monotonic

from probes.attach import iterator
from probes.errors import Denied, ProbeError, Unsupported
from probes.hooks.tcp_rtt.sock_ops_programs import SockOpsPrograms, held_here
from probes.kernel import btf, capabilities, cgroups, net_namespaces
from probes.kernel.net_namespaces import NetNamespaces
from probes.model import Opening, Program

FLAG = "TCP_BPF_SOCK_OPS_CB_FLAGS"
"""Option of bpf_setsockopt(): the callback flags of any socket."""
STATE = 4  # BPF_SOCK_OPS_STATE_CB_FLAG
PROGRAM = Program("visit", iterator.Iterator("tcp"))
COOKIE = 8
"""Bytes that it writes for each connection that has no row."""
_TOP = 1
"""Id of the host's root cgroup."""


class FlagStage(IntEnum):
    """The iterator's step for a connection that was open before; numbers are those of the C."""

    ALONE = 0
    """The mode that gives sockets the flags."""
    ALONGSIDE = 1
    """The mode that takes them back: another sock_ops program would get the callbacks as well."""
    LEAVING = 2
    """The mode that takes back all flags, also those of connections established since."""


# -- whether it is possible here --------------------------------------------------------------


def refused() -> ProbeError | None:
    """Return why flags cannot, or must not, be given to sockets here."""
    if not btf.available():
        return btf.missing()
    if not btf.mentions(FLAG):
        why = "this kernel's bpf_setsockopt() sets no callback flags of open sockets (Linux 6.12)"
        return Unsupported(why)
    if lacking := capabilities.missing(capabilities.SYS_ADMIN):
        why = f"this process lacks {lacking[0]}, which is needed for other namespaces and programs"
        return Denied(why, remedy=capabilities.ROOT)
    return _part_of_the_tree() or _foreign_program()


def _part_of_the_tree() -> ProbeError | None:
    top = cgroups.root()
    if top is None:
        return cgroups.not_mounted()
    if cgroups.id_of(top) == _TOP:
        return None
    return Unsupported(
        "only a part of the cgroup tree is mounted here, and sockets outside it would get flags, "
        "too",
        remedy="Run it outside the container.",
    )


def _foreign_program() -> ProbeError | None:
    try:
        foreign = SockOpsPrograms().foreign()
    except OSError as failed:
        why, remedy = capabilities.why_not(capabilities.SYS_ADMIN)
        return Denied(
            f"ebpftop cannot tell whether there are other sock_ops programs: {why}",
            errno=failed.errno or 0,
            remedy=remedy,
        )
    if not foreign:
        return None
    return Denied(
        f"callbacks of connections that were open before would reach {_listed(foreign)} as well",
        remedy="Unload the other sock_ops program, if it is not needed.",
    )


def _listed(foreign: list[str]) -> str:
    more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
    return f"the sock_ops program {foreign[0]}{more}"


# -- giving and taking back ---------------------------------------------------------------------


class CallbackFlags:
    """The flags that connections of all network namespaces are given, until they are taken back.

    complete: whether each connection of this network namespace has a row. note: what is missing.
    """

    LEAVING = 1.5
    """Seconds that taking back may last."""

    def __init__(self, opening: Opening) -> None:
        self._iterate = opening.iterators[PROGRAM.function]
        self._plan, self._rows = opening.tables["plan"], opening.tables["rows"]
        self._programs = SockOpsPrograms()
        self._ours = set(opening.program_ids)
        self._others = OtherNamespaces(self._iterate)
        self._stage = FlagStage.LEAVING  # where these maps were used before
        self._next = 0.0
        self.complete = True
        self.note = ""

    def look(self) -> None:
        """Look for new connections and programs, as far as it is time. Raises OSError, ProbeError.

        New are those that were established where no callback tells of it, or moved here.
        """
        foreign = self._programs.foreign()
        self._enter(FlagStage.ALONGSIDE if foreign else FlagStage.ALONE)
        if monotonic() >= self._next:
            self.visit()
        self._others.visit()
        self.note = "; ".join(filter(None, (_stepped_back(foreign), self._others.note)))

    def visit(self) -> None:
        """Bring the rows of this network namespace up to date."""
        begin = monotonic()
        self.complete = not self._iterate()
        now = monotonic()
        self._next = now + max(NetNamespaces.AGAIN, OtherNamespaces.REST * (now - begin))

    def _enter(self, stage: FlagStage) -> None:
        if stage is not self._stage:
            self._plan.update((0,), (stage, 0, 0))
            self._stage, self._next = stage, 0.0
            self._others.begin_again()

    def leave(self) -> None:
        """Take back all flags that were given, as far as nothing else of ebpftop needs them."""
        until = monotonic() + self.LEAVING
        with suppress(OSError, ProbeError):
            self._plan.update((0,), (FlagStage.LEAVING, *self._staying()))
            self._iterate()
            if self._rows.rows():  # of other namespaces
                self._others.begin_again()
                self._others.visit(until - monotonic())

    def _staying(self) -> tuple[int, int]:
        """Return the flags that stay, of new connections and of those that were open before.

        Other hooks, and somebody's ebpftop, are told of closed connections by one.
        """
        try:
            others = self._programs.read().keys() - self._ours
            beyond = others - held_here() if others else others
        except OSError:
            return STATE, STATE
        return STATE if others else 0, STATE if beyond else 0


def _stepped_back(foreign: list[str]) -> str:
    if not foreign:
        return ""
    return (
        f"connections that were open before have no samples while there is {_listed(foreign)}, "
        "which would get their callbacks"
    )


class OtherNamespaces:
    """Network namespaces of other processes, each visited when it is found and now and then again.

    They are looked for at once until all are known. Later they can wait: what is connected in one
    that is new is seen by its callbacks. note: what is missing.
    """

    SLICE, REST = 0.015, 100.0
    """Seconds of one call; rest, as a multiple of the time that a round takes."""

    def __init__(self, iterate: Callable[[], bytes]) -> None:
        self._iterate = iterate
        self._namespaces = NetNamespaces()
        self._found: dict[int, int] = {}
        self._next = 0.0
        self._due: dict[int, float] = {}
        self._roomless: dict[int, int] = {}
        self._denied: dict[int, str] = {}

    def begin_again(self) -> None:
        """Forget which were visited: the next visits do something else."""
        self._due.clear()
        self._next = 0.0

    @property
    def note(self) -> str:
        number = sum(self._roomless.values())
        without = f"{number} connections of other network namespaces have no row" if number else ""
        why = next(iter(self._denied.values()), "")
        denied = f"other network namespaces: new connections only ({why})" if why else ""
        return "; ".join(filter(None, (without, denied)))

    def visit(self, seconds: float = SLICE) -> None:
        """Visit those that are due, for so long; the others have to wait."""
        until = monotonic() + seconds
        self._find()
        first = min((self._due.get(n, 0.0) for n in self._found), default=inf)
        if first <= monotonic():
            with suppress(ProbeError):  # no thread to be had: there is another round
                net_namespaces.roaming(partial(self._round, until))

    def _round(self, until: float, enter: net_namespaces.Enter) -> None:
        for namespace in sorted(self._found, key=lambda n: self._due.get(n, 0.0)):
            begin = monotonic()
            if begin >= until or begin < self._due.get(namespace, 0.0):
                break
            self._look(enter, namespace)
            end = monotonic()
            rest = self.REST * (end - begin) * len(self._found)
            self._due[namespace] = end + max(NetNamespaces.AGAIN, rest)

    def _find(self) -> None:
        now = monotonic()
        if self._namespaces.complete and now < self._next:
            return
        self._found, self._next = self._namespaces.find(), now + NetNamespaces.AGAIN
        self._found.pop(_own(), None)
        self._due = {n: due for n, due in self._due.items() if n in self._found}
        self._roomless = {n: count for n, count in self._roomless.items() if n in self._found}
        self._denied = {n: why for n, why in self._denied.items() if n in self._found}

    def _look(self, enter: net_namespaces.Enter, namespace: int) -> None:
        try:
            enter(self._found[namespace], namespace)
            told = self._iterate()
        except Denied as refusal:
            self._denied[namespace] = refusal.why
        except (OSError, ProbeError):
            pass  # it has gone; or the host is short of something, and there is another round
        else:
            self._roomless[namespace] = len(told) // COOKIE
            self._denied.pop(namespace, None)


def _own() -> int:
    with suppress(OSError):
        return Path("/proc/thread-self/ns/net").stat().st_ino
    return 0
