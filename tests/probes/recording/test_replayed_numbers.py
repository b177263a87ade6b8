"""Recordings replayed give the numbers that they gave when they were made: rates, means, quantiles.

`snapshots/recordings/*.replayed.jsonl` has what each kept file gave, a moment on each line; more
columns may be added, nothing may change. A new file: `python -m
tests.probes.recording.test_replayed_numbers NAME`; those that are there are never made anew.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.busy_host import Host as BusyHost
from probes.hooks import catalogue
from probes.model import OTHERS, Hook, Key, Row, Sample
from probes.recording.encoder import Tick
from probes.recording.reader import Recording
from tests.support.recordings import record, within
from tui.output.formats import PrintedMoment, printer

KEPT = Path(__file__).parents[3] / "snapshots" / "recordings"
FILES = sorted(file.name.removesuffix(".rec") for file in KEPT.glob("*.rec"))


def _told(path: Path) -> Iterator[dict[str, Any]]:
    """Each moment as it would be printed."""
    played = Recording(path, catalogue())
    show = printer("json", played.hooks.values(), several=True)
    for n in range(played.end):
        tick, found = played.at(n), list(played.snapshots(n).values())
        text = show(PrintedMoment(played.host, tick.wall, 1.0, found, tick.rules, played.since(n)))
        moment = json.loads(text)
        moment["hooks"] = {
            f"{h['hook']}@{h['target']}": [h["lost"], h["cost"], h["rows"]] for h in moment["hooks"]
        }
        yield moment
    played.close()


@pytest.mark.parametrize("name", FILES)
def test_what_is_replayed_gives_the_same_numbers(name: str) -> None:
    kept = (KEPT / f"{name}.replayed.jsonl").read_text().splitlines()
    for line, now in zip(kept, _told(KEPT / f"{name}.rec"), strict=True):
        assert within(json.loads(line), now)


def test_a_rate_that_changed_would_be_found() -> None:
    kept = [json.loads(line) for line in (KEPT / "busy.replayed.jsonl").read_text().splitlines()]
    rows = [row for _, _, rows in kept[3]["hooks"].values() for row in rows]
    rates = [(row, name) for row in rows for name in row if name.endswith("_per_s") and row[name]]
    row, name = rates[-1]
    row[name] += 1e-6
    assert not within(kept[3], list(_told(KEPT / "busy.rec"))[3])


def _troubled(ticks: Iterator[Tick], hooks: dict[str, Hook]) -> Iterator[Tick]:
    """The same with what is seldom: others' rows, counters that went back, rows left out."""
    for n, tick in enumerate(ticks):
        samples = {
            name: tuple([_with_trouble(s, hooks[name], n) for s in those])
            for name, those in tick.samples.items()
        }
        yield replace(tick, samples=samples)


def _with_trouble(sample: Sample, hook: Hook, n: int) -> Sample:
    rows = {key: row for key, row in sample.rows.items() if not (n == 8 and hash(key) % 3 == 0)}
    if n >= 4 and hook.name in ("tcp-connect", "syscall-processes", "sent"):
        rows |= _others(hook, sample.rows, n)
    if n == 6 and hook.name == "syscalls":
        rows = {key: _reset(hook, row) for key, row in rows.items()}
    gone = len(sample.rows) - len(rows) if n == 8 else 0
    epoch = 2 if n >= 10 and hook.name in ("drops", "tcp-rtt") else sample.epoch
    return replace(sample, rows=rows, forgotten=max(gone, 0), epoch=epoch)


def _others(hook: Hook, rows: dict[Key, Row], n: int) -> dict[Key, Row]:
    like = list(next(iter(rows.values())))
    for place in hook.places.keys:
        like[place] = OTHERS if isinstance(like[place], str) else None
    for place, _ in hook.places.counters:
        like[place] = 1000 * n
    return {tuple([like[i] for i in hook.places.keys]): tuple(like)}


def _reset(hook: Hook, row: Row) -> Row:
    made = list(row)
    for place, _ in hook.places.counters:
        made[place] = 3
    return tuple(made)


if __name__ == "__main__":
    name = sys.argv[1]
    path = KEPT / f"{name}.rec"
    if not path.exists():
        host = BusyHost(20, 2, seed=7)
        record(path, _troubled(host.ticks(12), host.hooks))
        path.chmod(0o644)
    lines = [json.dumps(told, separators=(",", ":")) for told in _told(path)]
    path.with_suffix(".replayed.jsonl").write_text("\n".join(lines) + "\n")
