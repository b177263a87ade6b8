"""A claim: one thing that is wrong, as the numbers of one hook show it."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple, Self

from probes.analysis.history import Figure
from probes.model import Value
from probes.units import Unit


class Gravity(IntEnum):
    """The gravity of a claim."""

    NOTICE = 1
    """Unusual, or not known to be usual; nobody is known to be harmed."""
    ALARM = 2
    """Somebody is harmed."""


class Who(NamedTuple):
    """Somebody who takes part: a process, a program, a rule. rate: their part, a second; 0: none.

    comm, pid: of a process. program: name#id. rule: what it matches. container, unit: the owner of
    the process, where that is known (`cases.owners`).
    """

    comm: str | None = None
    pid: int | None = None
    program: str | None = None
    rule: str | None = None
    rate: float = 0.0
    container: str | None = None
    unit: str | None = None

    @classmethod
    def process(cls, comm: Value, pid: Value, rate: float) -> Self:
        """Make one of what rows tell of a process; what is no text and no number is unknown."""
        named = None if comm is None else str(comm)
        return cls(named, pid if isinstance(pid, int) else None, rate=rate)


class Where(NamedTuple):
    """A place. netns: "" this host's own; else its inode number. None: it is no part of it.

    netns_name: what people call that namespace; "" if it has no name.
    """

    interface: str | None = None
    netns: str = ""
    stage: str | None = None
    port: int | None = None
    address: str | None = None
    call: str | None = None
    netns_name: str = ""


_ANYWHERE = Where()


class Evidence(NamedTuple):
    """A number that was counted, with its hook and its sentence."""

    hook: str
    text: str
    value: float | None = None


class ClaimedRow(NamedTuple):
    """A row that a claim is made of: the hook's name, and the row's key."""

    hook: str
    key: Hashable


@dataclass(frozen=True, slots=True)
class Claim:
    """One thing that is wrong.

    id: names the cause, the same at each tick: hook/place/what. what: a clause with its subject,
    "eth1 drops packets". does: the verb of it, as in "fails". share: of `of`, 0 to 1; None where
    that is not counted. now, usual: in `unit`, rates where that counts things; usual None: unknown.
    since_boot: the usual is an average since boot, as the watch is too short to know better;
    usual_together: of other ports or destinations as well, so this one's is no more.
    since: Unix seconds, None: since before it was watched. struck: events a second that somebody
    waits for. own: ebpftop's own doing. pane, rows: where it is shown, the most telling row first;
    figure, key: its history. ties: what it has in common with other claims of the same cause; a
    claim with the greatest `depth` is the cause, others are what follows from it. next: commands.
    knobs: kernel parameters whose values now tell more, such as "net.core.rmem_max".
    """

    id: str
    severity: Gravity
    what: str
    now: float
    unit: Unit
    pane: str
    share: float | None = None
    of: str = ""
    usual: float | None = None
    since_boot: bool = False
    usual_together: bool = False
    since: float | None = None
    struck: float = 0.0
    who: tuple[Who, ...] = ()
    where: Where = _ANYWHERE
    evidence: tuple[Evidence, ...] = ()
    next: tuple[str, ...] = ()
    rows: tuple[ClaimedRow, ...] = ()
    figure: Figure | None = None
    key: Hashable = None
    ties: frozenset[Hashable] = field(default_factory=frozenset)
    depth: int = 0
    own: bool = False
    knobs: tuple[str, ...] = ()
