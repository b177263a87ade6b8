"""A busy host as moments, without a kernel: what a recording of one costs is measured with it.

1,000 connections, of which a third sends in each second and five come and go, 50 interfaces with
their queues and TC programs, 80 system calls, 60 destinations, 12 reasons to drop.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping

from probes.arrays import FEW
from probes.columns.row_table import RowTable
from probes.hooks import catalogue
from probes.model import Cost, HookId, Key, Kind, Row, Sample, State, Status, TargetKind, Value
from probes.owners.owner_columns import NAMES
from probes.recording.encoder import Tick

START, UP = 1_790_000_000.25, 400_000.125
"""Unix seconds and monotonic seconds of the first moment."""
BUSY = {"interfaces": 50, "qdiscs": 50, "drops": 12, "syscalls": 80, "tcp-connect": 60,
        "xdp-programs": 4, "tc-programs": 12}  # fmt: skip


class Host:
    """connections, interfaces: how many. hurry: the share of connections that sends in a tick."""

    def __init__(
        self, connections: int = 1000, interfaces: int = 50, *, hurry: float = 0.35, seed: int = 0
    ) -> None:
        self._dice = random.Random(seed)
        self._hurry = hurry
        self._interfaces = interfaces
        self._born = 0
        self.hooks = {n: h for n, h in catalogue().items() if not h.on_demand and n != "xdp"}
        self._statuses: dict[HookId, Status] = {}
        self._rows: dict[HookId, dict[Key, list[Value]]] = {}
        self._cost: dict[HookId, tuple[int, int]] = {}
        for name, hook in self.hooks.items():
            targets = (
                [f"veth{n:04x}" for n in range(interfaces)]
                if hook.target is TargetKind.INTERFACE
                else [None]
            )
            for target in targets:
                id = HookId(name, target)
                rung = hook.ladder[0]
                state = State.PASSIVE if rung.passive else State.ATTACHED
                self._statuses[id] = Status(id, state, rung.name)
                self._rows[id] = {}
                self._cost[id] = 0, 0
                rows = {"tcp-rtt": connections, "interfaces": interfaces, "qdiscs": interfaces}
                for _ in range(1 if target else rows.get(name, BUSY.get(name, 10))):
                    self._bear(id)

    def _bear(self, id: HookId) -> None:
        self._born += 1
        n, dice = self._born, self._dice
        row: list[Value] = []
        for column in self.hooks[id.hook].stored:
            if column.kind is Kind.HISTOGRAM:
                row.append((0,) * (26 if id.hook == "tcp-rtt" else 40))
            elif column.name in ("laddr", "raddr", "saddr"):
                row.append(f"10.{dice.randrange(4)}.{dice.randrange(256)}.{dice.randrange(256)}")
            elif column.name in ("comm", "program"):
                row.append(f"worker-{dice.randrange(30)}")
            elif column.name in NAMES:  # each process in a container
                row.append(None if column.name == "unit" else f"app-{n % 30}")
            elif column.name in ("ifindex", "cookie", "pid", "program_id"):
                row.append(n)
            elif column.unit == "number":
                row.append(dice.randrange(1024, 65536))
            elif column.kind is Kind.COUNTER:
                row.append(dice.randrange(10**9))
            elif column.unit == "text":
                row.append(f"{column.name}{n % 97}")
            else:
                row.append(dice.randrange(20_000))
        stored = self.hooks[id.hook].places.keys
        self._rows[id][tuple(row[i] for i in stored)] = row

    def _work(self, id: HookId) -> None:
        dice, rows = self._dice, self._rows[id]
        if id.hook == "tcp-rtt":
            for _ in range(5):
                del rows[dice.choice(list(rows))]
                self._bear(id)
        hurry = self._hurry if id.hook == "tcp-rtt" else 0.8
        columns = self.hooks[id.hook].stored
        for row in rows.values():
            if dice.random() > hurry:
                continue
            many = dice.randrange(1, 400)
            for i, c in enumerate(columns):
                was = row[i]
                if c.kind is Kind.COUNTER and isinstance(was, int):
                    if c.name not in ("dropped", "errors") or dice.random() < 0.1:
                        by = {"bytes": 900, "ns": 4000}.get(c.unit, 1)
                        row[i] = was + many * by + (dice.randrange(by) if by > 1 else 0)
                elif c.kind is Kind.HISTOGRAM and isinstance(was, tuple):
                    hits = list(was)
                    for _ in range(3):
                        hits[min(int(dice.gauss(10, 1.5)), len(hits) - 1)] += dice.randrange(1, 9)
                    row[i] = tuple(hits)
                elif c.kind is Kind.LEVEL and c.unit == "us" and c.name != "min_us":
                    row[i] = max(int(dice.gauss(9000, 900)), 1)
        runs, ns = self._cost[id]
        self._cost[id] = runs + dice.randrange(9000), ns + dice.randrange(1_000_000)

    def _sample(self, id: HookId, time: float) -> Sample:
        status = self._statuses[id]
        rows: Mapping[Key, Row] = {k: tuple(r) for k, r in self._rows[id].items()}
        if len(rows) > FEW:  # as readers give them
            rows = RowTable.of_rows(rows.values(), self.hooks[id.hook].places.keys)
        log: tuple[Row, ...] = ()
        if self.hooks[id.hook].log:
            seen = self._dice.randrange(8)
            log = tuple((900 + n, f"worker-{n}", f"10.0.1.{n}", 8080, "established",
                         self._dice.randrange(10**6), f"app-{n}", None, f"app-{n}")
                        for n in range(seen))  # fmt: skip
        cost = None if status.state is State.PASSIVE else Cost(*self._cost[id])
        return Sample(status, time, START + time - UP, 1, rows, 0, cost, log)

    def ticks(self, number: int, interval: float = 1.0) -> Iterator[Tick]:
        """So many moments, one after the other."""
        statuses = tuple(self._statuses.values())
        for n in range(number):
            now = UP + n * interval + self._dice.random() * 1e-3
            samples: dict[str, tuple[Sample, ...]] = {}
            for name in self.hooks:
                made = []
                for id in (i for i in self._statuses if i.hook == name):
                    self._work(id)
                    now += 20e-6 + self._dice.random() * 1e-5
                    made.append(self._sample(id, now))
                samples[name] = tuple(made)
            yield Tick(START + now - UP, interval, samples, statuses)
