"""One format, one calculation: live, recorded, remote and exported numbers are the same."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from probes.analysis.snapshot import Snapshot, Trail
from probes.hooks import catalogue
from probes.model import Hook, Kind, Sample
from probes.recording.encoder import Tick
from probes.recording.reader import Recording
from probes.recording.tape import Tape
from probes.recording.writer import RecordingFile
from probes.source import Host
from probes.sources.demo.source import Demo
from probes.sources.remote.source import Remote
from probes.sources.remote.ssh import SshCommand
from tui.prometheus.metrics import Exported, name_of

SERVE = (sys.executable, "-m", "tui.cli", "serve", "--demo")
STEP, TICKS, REMOTE_TICKS = 0.2, 60, 15
"""Longer than the window that mean and p99 look back; what is waited for is shorter."""
Shown = dict[str, list[tuple[object, ...]]]
Readings = dict[str, list[tuple[Sample, ...]]]
"""By hook, one tuple for each tick."""


def _shown(snapshots: dict[str, list[Snapshot]]) -> Shown:
    """All that a screen can show of them: values, rates, derived columns, cost."""
    return {
        hook: [
            (
                s.id, s.status, s.interval, s.runs_per_s, s.ns_per_run, s.cpu_percent,
                [(r.key, dict(r.values), dict(r.rates)) for r in s.rows],
            )
            for s in made
        ]
        for hook, made in snapshots.items()
    }  # fmt: skip


def _calculated(readings: Readings) -> dict[str, list[Snapshot]]:
    """The last snapshots of what was read, one reading after the other."""
    last: dict[str, list[Snapshot]] = {}
    for hook, read in readings.items():
        trail = Trail(catalogue()[hook])
        for samples in read:
            last[hook] = [trail.snapshot(s) for s in samples]
    return last


async def _live() -> Readings:
    """What the demo reads, tick by tick."""

    async def pace(_: float) -> None:
        await asyncio.sleep(0)

    demo = Demo(interval=STEP, pace=pace)
    await demo.start()
    sources = {hook: demo.samples(hook) for hook in catalogue()}
    read = {hook: [await anext(s) for _ in range(TICKS)] for hook, s in sources.items()}
    return {hook: samples for hook, samples in read.items() if samples[0]}


def _recorded(readings: Readings, path: Path) -> dict[str, list[Snapshot]]:
    tape, file = Tape(catalogue()), RecordingFile(path, Host("web1", "6.12"), catalogue())
    for n in range(TICKS):
        tick = {hook: read[n] for hook, read in readings.items()}
        wall = max(s.wall for read in tick.values() for s in read)
        file.write(tape.add(Tick(wall, STEP, tick)))
    file.close()
    recording = Recording(path, catalogue())
    found: dict[str, list[Snapshot]] = {}
    for id, snapshot in recording.snapshots(recording.end - 1).items():
        found.setdefault(id.hook, []).append(snapshot)
    recording.close()
    return found


async def _remote(hooks: Iterable[str]) -> Readings:
    """The same demo, in another process, at the other end of a pipe."""
    remote = Remote(SshCommand("web1", SERVE, SERVE), interval=STEP)
    readings: Readings = {}

    async def follow(hook: str) -> None:
        source = remote.samples(hook)
        readings[hook] = [await anext(source) for _ in range(REMOTE_TICKS)]

    try:
        async with asyncio.timeout(300):
            await remote.connect()
            await remote.start()
            await asyncio.gather(*(follow(hook) for hook in hooks))
    finally:
        await remote.close()
    return readings


async def test_live_recorded_and_remote_show_the_same(tmp_path: Path) -> None:
    """To the last digit: every hook's values, rates, means, percentiles and cost."""
    readings = await _live()
    live = _shown(_calculated(readings))
    assert sum(len(rows) for made in live.values() for *_, rows in made) > 100  # type: ignore[misc]
    assert _shown(_recorded(readings, tmp_path / "rec")) == live
    far = await _remote(readings)
    for hook, read in far.items():  # from where this side began to listen
        times = {samples[0].time for samples in read}
        near = [samples for samples in readings[hook] if samples[0].time in times]
        both = min(len(near), len(read))
        assert both > REMOTE_TICKS // 2
        one, other = ({hook: r[:both]} for r in (near, read))
        assert _shown(_calculated(one)) == _shown(_calculated(other))


async def test_what_is_exported_is_what_the_screen_has() -> None:
    """Each counter is the column's sum; the difference of two scrapes is the rate that is shown."""
    readings = await _live()
    exported, scraped = Exported(Host("web1", "6.12"), catalogue(), "1", most=1000), []
    for n in range(TICKS):
        exported.take(s for read in readings.values() for s in read[n])
        if n >= TICKS - 2:
            scraped.append(_scrape(exported))
    for hook, made in _calculated(readings).items():
        for column in catalogue()[hook].columns:
            if column.kind is Kind.COUNTER and not column.hidden:
                _compare(catalogue()[hook], column.name, made, scraped)


def _compare(
    hook: Hook, column: str, made: list[Snapshot], scraped: list[dict[str, float]]
) -> None:
    name = f"{name_of(hook.name, hook.column(column))}_total"
    rows = [row for snapshot in made for row in snapshot.rows if row[column] is not None]
    assert scraped[-1].get(name, 0.0) == sum(row.number(column) for row in rows)
    if rows and all(row.rates[column] is not None for row in rows):
        came = scraped[-1][name] - scraped[-2][name]
        assert abs(came - sum(row.rate(column) for row in rows) * STEP) < 0.001


def _scrape(exported: Exported) -> dict[str, float]:
    """Sums over all labels, by name."""
    registry = CollectorRegistry()
    registry.register(exported)
    sums: dict[str, float] = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
    return sums
