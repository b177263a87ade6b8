"""Metric families for Prometheus, with names and units made from the columns.

    hook "drops", counter "packets"          ebpftop_drops_packets_total
    hook "tcp-connect", histogram in ns      ebpftop_tcp_connect_latency_seconds
    hook "qdiscs", level "backlog" in bytes  ebpftop_qdiscs_backlog_bytes
    a row's words (state, mode, mtu)         ebpftop_interfaces_info

Base units, as Prometheus requires: seconds, bytes, ratios. Derived columns (mean, p99) are not
exported: Prometheus computes them from the histograms.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from probes.analysis.cases.finding import Finding
from probes.model import Column, Enforced, Hook, HookId, Kind, Sample, Status
from probes.source import Host
from probes.units import Unit, printable
from tui.prometheus.crowd import Labels
from tui.prometheus.findings import finding_families
from tui.prometheus.totals import ExportedRow, Shape, Totals

LABELLED_ROWS = 25
"""The default number of rows of a hook and target that get labels of their own."""
SHORTEST, LONGEST = 2.5e-7, 70.0
"""Bounds of histograms' buckets, in seconds: all below and above goes to the outermost."""

_SUFFIX = {
    Unit.BYTES: "bytes",
    Unit.PACKETS: "packets",
    Unit.NS: "seconds",
    Unit.US: "seconds",
    Unit.PERCENT: "ratio",
}
_FACTOR = {Unit.NS: 1e-9, Unit.US: 1e-6, Unit.PERCENT: 0.01}
_OUR_WORDS = {Unit.NS: "_ns", Unit.US: "_us", Unit.PERCENT: "_percent"}


def name_of(hook: str, column: Column) -> str:
    """Return the family's name (without _total for a counter)."""
    base = column.name.removesuffix(_OUR_WORDS.get(column.unit, "\0"))
    suffix = _SUFFIX.get(column.unit, "")
    if hook.endswith(f"-{base}"):
        base = suffix  # the round trip of tcp-rtt is ebpftop_tcp_rtt_seconds
    if suffix and base != suffix and not base.endswith(f"_{suffix}"):
        base = f"{base}_{suffix}"
    return _prefixed(hook, base)


def _prefixed(hook: str, name: str) -> str:
    return f"ebpftop_{hook}_{name}".replace("-", "_")


class Exported(Collector):
    """The readings so far, as metric families.

    `take` and `collect` may be called from different threads. version: ebpftop's. most: rows of a
    hook and target that get labels of their own.
    """

    def __init__(
        self, host: Host, catalogue: Mapping[str, Hook], version: str, most: int = LABELLED_ROWS
    ) -> None:
        self._host, self._catalogue, self._version, self._most = host, catalogue, version, most
        self._shapes = {name: Shape(hook) for name, hook in catalogue.items()}
        self._totals: dict[HookId, Totals] = {}
        self._latest: dict[HookId, Sample] = {}
        self._rules: tuple[Enforced, ...] = ()
        self._wrong: tuple[Sequence[Finding], Sequence[Status]] = (), ()
        self._lock = threading.Lock()

    def take(self, samples: Iterable[Sample], rules: Iterable[Enforced] = ()) -> None:
        """Add one reading of everything; what it does not contain is no longer exported."""
        with self._lock:
            self._rules = tuple(rules)
            self._latest = {sample.status.id: sample for sample in samples}
            for id in self._totals.keys() - self._latest.keys():
                del self._totals[id]
            for id, sample in self._latest.items():
                if id not in self._totals:
                    self._totals[id] = Totals(self._shapes[id.hook], self._most)
                self._totals[id].take(sample)

    def judge(self, findings: Sequence[Finding], blind: Sequence[Status] = ()) -> None:
        """Take what is wrong at the last reading, and which hooks are needed and not read."""
        with self._lock:
            self._wrong = findings, blind

    def collect(self) -> Iterator[Metric]:
        with self._lock:
            families = [*self._about(), *self._hooks(), *self._dropping()]
            families += [*finding_families(*self._wrong), *self._rows()]
        yield from families

    # -- about ourselves -----------------------------------------------------------------------

    def _about(self) -> Iterator[Metric]:
        yield InfoMetricFamily("ebpftop_build", "Version of ebpftop.", {"version": self._version})
        host = {"host": printable(self._host.title), "kernel": printable(self._host.kernel)}
        yield InfoMetricFamily("ebpftop_host", "Host that the metrics are from.", host)

    def _hooks(self) -> Iterator[Metric]:
        labels = ("hook", "target")
        info = InfoMetricFamily("ebpftop_hook", "State and rung of each hook.", labels=labels)
        degraded = GaugeMetricFamily(
            "ebpftop_hook_degraded",
            "1 if better rungs of the ladder, or all, were refused.",
            labels=labels,
        )
        refusals = InfoMetricFamily(
            "ebpftop_hook_refusal", "Why a rung was refused.", labels=labels
        )
        read = GaugeMetricFamily(
            "ebpftop_hook_read_timestamp",
            "Time of the hook's last reading, in seconds since the epoch.",
            labels=labels,
            unit="seconds",
        )
        there = GaugeMetricFamily(
            "ebpftop_hook_rows", "Rows of the hook, exported by name or not.", labels=labels
        )
        for id, sample in self._latest.items():
            status, own = sample.status, _own(id)
            info.add_metric(own, _standing(status))
            degraded.add_metric(own, float(bool(status.refused)))
            for refusal in status.refused:
                said = {"rung": refusal.rung, "error": refusal.error, "why": refusal.why}
                refusals.add_metric(own, {n: printable(v) for n, v in said.items()})
            if status.rung is not None:
                read.add_metric(own, sample.wall)
                there.add_metric(own, len(sample.rows))
        yield from (info, degraded, refusals, read, there, *self._costs(labels))

    def _costs(self, labels: Sequence[str]) -> Iterator[Metric]:
        """Yield what our programs cost and the events they lost."""
        runs = CounterMetricFamily(
            "ebpftop_hook_runs", "Runs of the hook's programs (BPF_ENABLE_STATS).", labels=labels
        )
        cpu = CounterMetricFamily(
            "ebpftop_hook_cpu",
            "CPU time of the hook's programs (BPF_ENABLE_STATS).",
            labels=labels,
            unit="seconds",
        )
        lost = CounterMetricFamily(
            "ebpftop_hook_lost_events", "Events lost: a map was full.", labels=labels
        )
        unlogged = CounterMetricFamily(
            "ebpftop_hook_unlogged_events",
            "Events counted but not logged: the log was full.",
            labels=labels,
        )
        for id, totals in self._totals.items():
            lost.add_metric(_own(id), totals.lost)
            unlogged.add_metric(_own(id), totals.unlogged)
            if self._latest[id].cost is not None:
                runs.add_metric(_own(id), totals.runs)
                cpu.add_metric(_own(id), totals.run_ns / 1e9)
        yield from (runs, cpu, lost, unlogged)

    def _dropping(self) -> Iterator[Metric]:
        labels = ("interface", "rule")
        info = InfoMetricFamily("ebpftop_drop_rule", "Drop rules in force.", labels=labels)
        left = GaugeMetricFamily(
            "ebpftop_drop_rule_remaining",
            "Time until the rule expires.",
            labels=labels,
            unit="seconds",
        )
        packets = CounterMetricFamily(
            "ebpftop_drop_rule_packets",
            "Packets that the rule dropped.",
            labels=labels,
            unit="packets",
        )
        octets = CounterMetricFamily(
            "ebpftop_drop_rule_bytes", "Bytes that the rule dropped.", labels=labels, unit="bytes"
        )
        for rule in self._rules:
            own = (printable(rule.interface), printable(rule.rule.what))
            info.add_metric(own, {"rung": rule.rung or ""})
            left.add_metric(own, rule.expires_in)
            packets.add_metric(own, rule.packets)
            octets.add_metric(own, rule.bytes)
        yield from (info, left, packets, octets)

    # -- what the hooks say --------------------------------------------------------------------

    def _rows(self) -> Iterator[Metric]:
        for hook in self._catalogue.values():
            of_hook = [t for id, t in self._totals.items() if id.hook == hook.name]
            yield from families(hook, self._shapes[hook.name], of_hook)


def families(hook: Hook, shape: Shape, of_targets: Sequence[Totals]) -> Iterator[Metric]:
    """Yield a family for each counter and level, and one for all text; none without rows."""
    rows = [row for totals in of_targets for row in _rows_of(totals)]
    at_of = {c.name: at for at, (_, c) in enumerate(shape.sums)}
    totals_of = {c.total for _, c in shape.sums}
    made: list[Metric] = []
    for at, (_, column) in enumerate(shape.sums):
        if column.kind is Kind.HISTOGRAM:
            made.append(_histogram(hook, column, shape, rows, at, at_of.get(column.total)))
        elif column.name not in totals_of:
            made.append(_counter(hook, column, shape, rows, at))
    made += [_gauge(hook, c, shape, rows, at) for at, (_, c) in enumerate(shape.levels)]
    made.append(_words(hook, shape, rows))
    return (family for family in made if family.samples)


Rows = Sequence[tuple[Labels, ExportedRow]]


def _rows_of(totals: Totals) -> Iterator[tuple[Labels, ExportedRow]]:
    yield from totals.rows.items()
    if totals.full:
        for told, rest in totals.rests.items():
            yield totals.rest_labels(told), rest


def _said(hook: Hook, column: Column) -> str:
    return f"{hook.title}: {column.help or column.title}."


def _counter(hook: Hook, column: Column, shape: Shape, rows: Rows, at: int) -> Metric:
    family = CounterMetricFamily(
        name_of(hook.name, column),
        _said(hook, column),
        labels=shape.labels,
        unit=_SUFFIX.get(column.unit, ""),
    )
    factor = _FACTOR.get(column.unit, 1)
    for labels, place in rows:
        grown = place.grown[at]
        if isinstance(grown, int | float):
            family.add_metric(labels, grown * factor)
    return family


def _gauge(hook: Hook, column: Column, shape: Shape, rows: Rows, at: int) -> Metric:
    family = GaugeMetricFamily(
        name_of(hook.name, column),
        _said(hook, column),
        labels=shape.labels,
        unit=_SUFFIX.get(column.unit, ""),
    )
    factor = _FACTOR.get(column.unit, 1)
    for labels, place in rows:
        value = place.levels[at] if place.levels else None
        if isinstance(value, int | float):
            family.add_metric(labels, value * factor)
    return family


def _histogram(
    hook: Hook, column: Column, shape: Shape, rows: Rows, at: int, total: int | None
) -> Metric:
    """Return a histogram. total: the index of the counter with its sum."""
    family = HistogramMetricFamily(
        name_of(hook.name, column),
        _said(hook, column),
        labels=shape.labels,
        unit=_SUFFIX.get(column.unit, ""),
    )
    factor = _FACTOR.get(column.unit, 1)
    for labels, place in rows:
        grown = place.grown[at]
        if isinstance(grown, tuple):
            summed = place.grown[total] if total is not None else None
            known = summed * factor if isinstance(summed, int | float) else None
            family.add_metric(labels, _buckets(grown, factor), known)
    return family


def _buckets(grown: Sequence[int], factor: float) -> list[tuple[str, float]]:
    """Return cumulative buckets by upper bound; bucket n ends at 2 ** (n + 1) units."""
    bounds = ((2 ** (n + 1) * factor, sum) for n, sum in enumerate(accumulate(grown)))
    kept = [(f"{bound:.9g}", float(sum)) for bound, sum in bounds if SHORTEST <= bound <= LONGEST]
    return [*kept, ("+Inf", float(sum(grown)))]


def _words(hook: Hook, shape: Shape, rows: Rows) -> Metric:
    titles = ", ".join(c.title for _, c in shape.words)
    name = _prefixed(hook.name, "info").removesuffix("_info")
    info = InfoMetricFamily(name, f"{hook.title}: {titles}.", labels=shape.labels)
    for labels, place in rows:
        if place.words:
            words = zip(shape.words, place.words, strict=True)
            info.add_metric(labels, {c.name: text for (_, c), text in words})
    return info


def _own(id: HookId) -> tuple[str, str]:
    return id.hook, printable(id.target or "")


def _standing(status: Status) -> dict[str, str]:
    return {"state": str(status.state), "rung": status.rung or "", "note": printable(status.note)}
