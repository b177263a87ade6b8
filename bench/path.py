"""What a row costs on its way from a map to the screen, stage by stage: us of CPU per row and tick.

    python -m bench.path [--rows N] [--ticks N] [--hook HOOK]...

The maps are in memory and hold N entries, of which a third counts in each tick; nothing is attached
and nothing is drawn. Stages: `read` (decoding, keys, the limit on rows), `between` (rates),
`history` (figures, what is unusual, heat), `tape` (the frame of the last minutes), `shown` (the
pane's rows sorted, and 50 of them as text), `export` (totals of Prometheus), `judged` (detectors
and their history, as commands have them).
"""

from __future__ import annotations

import argparse
import random
import resource
import statistics
import struct
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from bench.rows import Full
from probes.analysis.cases.judgement import Judgement
from probes.analysis.history import History
from probes.analysis.snapshot import Trail
from probes.arrays import np
from probes.hooks import catalogue
from probes.hooks.tcp_rtt import open_sockets
from probes.ladder.attachment import Attachment
from probes.model import Hook, Rung
from probes.recording.encoder import Tick
from probes.recording.tape import Tape
from tests.support.layouts import Declared
from tests.support.odd_values import attached
from tui.panes import panes
from tui.prometheus.totals import Shape, Totals
from tui.session.view import View
from tui.table.order import in_order

HOOKS = ("tcp-rtt", "drops", "tcp-connect", "syscalls", "opens", "sent")
STILL = ("versions",)
"""Maps whose values hardly change."""
STAGES = ("read", "between", "history", "tape", "shown", "export", "judged")
SHOWN = 50


class Counting(Full):
    """A map in which a third of the entries counts between two readings."""

    def __init__(self, about: Declared, rows: int) -> None:
        super().__init__(about, rows)
        self._turn, self._many = 0, self._number()

    def _all(self) -> tuple[bytes, bytes]:
        keys, values = super()._all()
        if self.name in STILL:
            return keys, values
        self._turn += 1
        stride = self._stride
        counted = bytearray(stride * self._many)
        for n in range(self._many):
            count = 1 + (self._turn + n) // 3
            one = count.to_bytes(8, sys.byteorder) * (self._value.size // 8 + 1)
            counted[n * stride : n * stride + self._value.size] = one[: self._value.size]
        if stride == self._value.size:
            self._without_names(counted)
        return keys, bytes(counted)

    def _without_names(self, counted: bytearray) -> None:
        """Names, addresses and errnos do not count."""
        made = np.frombuffer(counted, self._value.dtype)
        for name in made.dtype.names or ():
            if name == "error" or (made[name].ndim > 1 and made[name].itemsize == 1):
                made[name] = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rows", type=int, default=10_000, help="entries (default 10000)")
    parser.add_argument("--ticks", type=int, default=6, help="measured; three before (default 6)")
    parser.add_argument("--hook", action="append", help="this one only; repeatable")
    arguments = parser.parse_args()
    print(f"{'us per row':14} {'rows':>7}" + "".join(f"{stage:>9}" for stage in STAGES) + "    all")
    for name in arguments.hook or HOOKS:
        rows, spent = _measured(catalogue()[name], arguments.rows, arguments.ticks)
        each = [1e6 * spent[stage] / arguments.rows for stage in STAGES]
        cells = "".join(f"{us:9.2f}" for us in each)
        print(f"{name:14} {rows:7}{cells}{sum(each):7.2f}", flush=True)
    print(f"peak RSS {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


def rung_of(hook: Hook) -> Rung:
    """The best rung that reads maps; of connections, the best that asks an iterator as well."""
    wanted = "sock_ops-link" if hook.name == "tcp-rtt" else None
    return next(r for r in hook.ladder if r.source and wanted in (None, r.name))


class Clock:
    """CPU seconds of each stage, tick by tick."""

    def __init__(self) -> None:
        self.spent: dict[str, list[float]] = {stage: [] for stage in STAGES}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        begin = time.process_time()
        yield
        self.spent[name].append(time.process_time() - begin)


def _measured(hook: Hook, rows: int, ticks: int) -> tuple[int, dict[str, float]]:
    open_sockets.MANY = 0
    rung = rung_of(hook)
    rung = replace(rung, open=with_sockets(rung.open, rows))
    tables = Tables(rows)
    attachment = attached(hook, rung, random.Random(0), tables.one)
    clock, path = Clock(), _Path(hook)
    try:
        for _ in range(ticks + 3):
            tables.read()
            found = path.tick(attachment, clock)
    finally:
        attachment.detach()
    return found, {stage: statistics.median(all[3:]) for stage, all in clock.spent.items()}


class Tables:
    """The maps of a rung; what they answer is made before the clock runs."""

    def __init__(self, rows: int) -> None:
        self._rows, self._made = rows, list[Prepared]()

    def one(self, about: Declared) -> Prepared:
        self._made.append(Prepared(about, self._rows))
        return self._made[-1]

    def read(self) -> None:
        for table in self._made:
            table.prepare()


class Prepared(Counting):
    """The same, made before it is read."""

    _next: tuple[bytes, bytes] | None = None

    def prepare(self) -> None:
        self._next = super()._all()

    def _all(self) -> tuple[bytes, bytes]:
        return self._next or super()._all()


def with_sockets(open: Callable, rows: int) -> Callable:  # type: ignore[type-arg]
    """The open sockets that the iterator tells of: those of the map."""
    one = struct.Struct("=24s24sIIIII4xQQ")
    local = b"\0" * 10 + b"\xff\xff" + bytes([10, 0, 0, 1]) + bytes(8)

    def written() -> bytes:
        return b"".join(
            one.pack(
                local, local, n % 60000, 443, 1000 + n % 977, 500, 0,
                int.from_bytes(n.to_bytes(4, sys.byteorder) * 2, sys.byteorder), 0,
            )
            for n in range(1, rows + 1)
        )  # fmt: skip

    data = written()
    return lambda opening: open(replace(opening, iterators={"iterated": lambda: data}))


class _Path:
    """All consumers of one hook's samples."""

    def __init__(self, hook: Hook) -> None:
        self._hook, self._trail = hook, Trail(hook)
        self._pane = next((p for p in panes(catalogue()) if p.needs == (hook.name,)), None)
        self._history = History([f for p in panes(catalogue()) for f in p.figures])
        self._tape = Tape(catalogue())
        self._totals = Totals(Shape(hook), 1000)
        self._view = View(catalogue(), self._history)
        self._judgement = Judgement(catalogue())

    def tick(self, attachment: Attachment, clock: Clock) -> int:
        with clock.stage("read"):
            sample = attachment.read()
        with clock.stage("between"):
            snapshot = self._trail.snapshot(sample)
        with clock.stage("history"):
            self._history.add(self._hook.name, (snapshot,))
        with clock.stage("tape"):
            samples = {self._hook.name: (sample,)}
            self._tape.add(Tick(sample.wall, 1.0, samples, (sample.status,)))
        self._view.snapshots[snapshot.id] = snapshot
        self._view.version += 1
        with clock.stage("shown"):
            self._show()
        with clock.stage("export"):
            self._totals.take(sample)
        with clock.stage("judged"):
            self._judgement.take([snapshot], (sample.status,))
        return len(sample.rows)

    def _show(self) -> None:
        pane = self._pane
        if pane is None:
            return
        fields = pane.fields(catalogue())
        field = next(f for f in fields if f.name == pane.sort)
        rows = in_order(pane.records(self._view), field, reverse=True)
        for row in rows[:SHOWN]:
            for field in fields:
                field.cell(row, field.width, False)


if __name__ == "__main__":
    main()
