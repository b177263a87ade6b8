"""Every hook's reader on every rung, reading maps that hold whatever bytes there can be.

Nothing is attached: a rung's programs are left out and its maps are made of what its C declares
(`layouts`). What it asks the kernel beside them, it asks.

    python -m tests.support.odd_values FIRST LAST        seeds
"""

from __future__ import annotations

import random
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest

from probes.custom import builder
from probes.errors import ProbeError
from probes.hooks import catalogue
from probes.kernel.map_entries import Row
from probes.kernel.maps import BpfTable
from probes.ladder.attachment import Attachment
from probes.model import Hook, HookId, Opening, Reading, Rung, Sample, TargetKind
from probes.recording.encoder import Tick
from probes.recording.tape import Tape
from tests.support import hostile
from tests.support.layouts import Declared, declared
from tests.support.recordings import HOST
from tui.output.formats import FORMATS, PrintedMoment, printer
from tui.prometheus.metrics import Exported

TARGETS = {TargetKind.INTERFACE: "lo", TargetKind.SYSCALL: "getpgid"}
OWN = (
    "rawtracepoint:sched_switch,by=comm,by=cgroup",
    "kprobe:vfs_read,by=stack",
    "kretprobe:vfs_read,ret,latency",
)
ENTRIES = 12
Fill = Callable[[int], bytes]
"""Gives so many bytes."""


def fills(dice: random.Random) -> tuple[Fill, ...]:
    """What memory holds: anything, nothing, all ones, small numbers, bytes that are no text."""
    return (
        dice.randbytes,
        bytes,
        lambda size: b"\xff" * size,
        lambda size: bytes(dice.choice((0, 0, 0, 1, 2, 255)) for _ in range(size)),
        lambda size: b"\x1b]0;\xf0\x9f\n\x80"[:size].ljust(size, b"\x7f"),
    )


class OddTable(BpfTable):
    """A map whose every entry is one that no program wrote. entries: how many it has."""

    def __init__(self, about: Declared, dice: random.Random, entries: int | None = None) -> None:
        super().__init__(
            -1,
            {
                "name": about.name, "max_entries": about.most, "type": about.type,
                "key_desc": about.key, "key_size": about.key_size,
                "leaf_desc": about.value, "leaf_size": about.value_size,
            },
        )  # fmt: skip
        self._dice, self._fills, self._entries = dice, fills(dice), entries

    def _some(self, size: int) -> bytes:
        return self._dice.choice(self._fills)(size)

    def _number(self) -> int:
        return self._dice.randrange(ENTRIES) if self._entries is None else self._entries

    def _all(self) -> tuple[bytes, bytes]:
        n = self._number()
        keys = b"".join(self._of_lo(self._some(self._key.size)) for _ in range(n))
        return keys, b"".join(self._some(self._stride) for _ in range(n))

    def _of_lo(self, key: bytes) -> bytes:
        """Half of the entries are of the interface that is looked at."""
        place = self._key.fields.get("ifindex")
        if not isinstance(place, int) or self._dice.randrange(2):
            return key
        values = list(self._key.codec.unpack(key))
        values[place] = 1
        return self._key.codec.pack(*values)

    def _lookup(self, _: bytes) -> bytes | None:
        return None if self._dice.randrange(4) == 0 else self._some(self._stride)

    def update(self, key: Row, value: Row) -> None:
        self._value.codec.pack(*value)
        self._key.codec.pack(*key)

    def delete(self, _: Row) -> bool:
        return bool(self._dice.randrange(2))

    def drain(self) -> list[Row]:
        return self.rows()


class _Modules:
    """Modules whose maps are odd."""

    def __init__(self, table: Callable[[Declared], BpfTable]) -> None:
        self._table = table

    def take(self, source: str, _: ExitStack) -> Any:
        tables = {about.name: self._table(about) for about in declared(source)}
        return SimpleNamespace(tables=tables, functions=defaultdict(bytes), fds={})


def rungs() -> Iterator[tuple[Hook, Rung]]:
    """Every rung of every hook, and of some of a user's own that this kernel has."""
    for hook in (*catalogue().values(), *_own()):
        for rung in hook.ladder:
            yield hook, rung


def _own() -> Iterator[Hook]:
    for text in OWN:
        try:
            yield builder.hook(text)
        except ProbeError:
            continue


def attached(
    hook: Hook, rung: Rung, dice: random.Random, table: Callable[[Declared], BpfTable] | None = None
) -> Attachment:
    """An attachment that has climbed this one rung, without its programs."""

    def open(opening: Opening) -> Callable[[], Reading]:
        ids = tuple(range(1, 1 + len(rung.programs)))
        written = dice.randbytes(88 * 3)  # whole records of each
        iterators = {p.function: lambda: written for p in rung.programs if p.point.iterates}
        return rung.open(replace(opening, program_ids=ids, iterators=iterators))

    bare = replace(rung, open=open, programs=(), precheck=None, lasting=False, reach=None)
    modules: Any = _Modules(table or (lambda about: OddTable(about, dice)))
    target = TARGETS.get(hook.target)
    index = 1 if hook.target is TargetKind.INTERFACE else 0
    attachment = Attachment(replace(hook, ladder=(bare,)), modules, target, index)
    attachment.climb(asked=True)
    return attachment


def readings(dice: random.Random, number: int) -> list[dict[str, tuple[Sample, ...]]]:
    """So many readings of one rung of each hook, chosen by chance. Raises what a reading raises."""
    by_hook: dict[str, list[tuple[Hook, Rung]]] = {}
    for hook, rung in rungs():
        by_hook.setdefault(hook.name, []).append((hook, rung))
    standing = {
        name: attached(*dice.choice(choice), dice)
        for name, choice in by_hook.items()
        if name in catalogue()
    }
    try:
        return [{n: (a.read(),) for n, a in standing.items()} for _ in range(number)]
    finally:
        for attachment in standing.values():
            attachment.detach()


def use(moments: Iterable[Mapping[str, tuple[Sample, ...]]]) -> None:
    """Everything that is made of readings: rates, tables, JSON, CSV, metrics, a tape, panes."""
    hooks, tape = catalogue(), Tape(catalogue())
    exported = Exported(HOST, hooks, "0", 25)
    printers = [printer(name, hooks.values(), several=True) for name in FORMATS]
    for n, samples in enumerate(moments):
        wall = 1e9 + n
        statuses = tuple(s.status for of in samples.values() for s in of)
        tape.add(Tick(wall, 1.0, dict(samples), statuses))
        exported.take([s for of in samples.values() for s in of])
        snapshots = list(tape.snapshots(tape.end - 1).values())
        since: dict[HookId, Sample] = {s.status.id: s for of in samples.values() for s in of}
        for show in printers:
            show(PrintedMoment(HOST, wall, 1.0, snapshots, (), since)).encode()
        registry = CollectorRegistry()
        registry.register(exported)
        generate_latest(registry)
        hostile.look(tape, tape.end - 1)


def main(first: int, last: int) -> None:
    begin = time.monotonic()
    for seed in range(first, last):
        use(readings(random.Random(seed), 3))
    print(last - first, "seeds in", round(time.monotonic() - begin, 1), "s")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
