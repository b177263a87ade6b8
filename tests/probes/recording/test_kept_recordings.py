"""Recordings of earlier versions stay readable: each format has a kept file and what is in it.

A new format gets files of its own (`python -m tests.probes.recording.test_kept_recordings`); those
that are there are never made anew.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from probes.hooks import catalogue
from probes.model import Cost, Hook, Row, Sample, Value
from probes.owners.owner_columns import NAMES
from probes.recording.encoder import Tick
from probes.recording.reader import Recording
from probes.recording.writer import VERSION
from tests.support.recordings import demo_ticks, record, within

KEPT = Path(__file__).parents[3] / "snapshots" / "recordings"
HOOKS = ("interfaces", "drops", "tcp-connect", "tc-ingress", "xdp-programs")


def _logged(hook: Hook, entry: Row) -> list[Value]:
    """An entry without whose it is, which logs had not at first."""
    pairs = zip(hook.log, entry, strict=True)
    return [value for column, value in pairs if column.name not in NAMES]


def _told(path: Path) -> dict[str, Any]:
    """A recording in plain words, columns by name: more of them may be added, none may change."""
    played = Recording(path, catalogue())
    moments = []
    for n in range(played.end):
        tick, moment = played.at(n), played.moment(n)
        moments.append(
            {
                "wall": tick.wall,
                "drops": moment.drops,
                "failures": moment.failures,
                "events": list(moment.events),
                "rules": [[e.interface, str(e.rule), e.rung, e.packets] for e in tick.rules],
                "statuses": [[str(s.id), str(s.state), s.rung] for s in tick.statuses],
                "slowed": [s.one_in for s in tick.statuses],
                "samples": [
                    {
                        "id": str(s.status.id),
                        "time": s.time,
                        "epoch": s.epoch,
                        "cost": [s.cost.runs, s.cost.run_ns] if s.cost else None,
                        "map_memory": s.cost.map_memory if s.cost else None,
                        "rows": [
                            dict(zip(played.hooks[h].places.names, row, strict=True))
                            for row in s.rows.values()
                        ],
                        "log": [_logged(played.hooks[h], entry) for entry in s.log],
                    }
                    for h, samples in tick.samples.items()
                    for s in samples
                ],
            }
        )
    host = played.host
    played.close()
    plain = {"host": [host.name, host.kernel, host.demo], "moments": moments}
    told: dict[str, Any] = json.loads(json.dumps(plain))
    return told


@pytest.mark.parametrize("format", range(1, VERSION + 1))
def test_what_was_recorded_is_there_still(format: int) -> None:
    kept = json.loads((KEPT / f"format-{format}.json").read_text())
    assert within(kept, _told(KEPT / f"format-{format}.rec"))


def test_what_changed_would_be_found() -> None:
    kept = json.loads((KEPT / "format-1.json").read_text())
    rows = kept["moments"][2]["samples"][1]["rows"]
    rows[0][next(n for n, v in rows[0].items() if isinstance(v, int))] += 1
    assert not within(kept, _told(KEPT / "format-1.rec"))


def _with_cost(tick: Tick) -> Tick:
    """Slowed, and with memory that their maps take, which the demo's hooks have not."""

    def of(sample: Sample) -> Sample:
        status = replace(sample.status, one_in=16)
        return replace(sample, status=status, cost=Cost(*_costs(sample), 1 << 20))

    samples = {hook: tuple(map(of, all)) for hook, all in tick.samples.items()}
    return replace(
        tick, samples=samples, statuses=tuple([replace(s, one_in=16) for s in tick.statuses])
    )


def _costs(sample: Sample) -> tuple[int, int]:
    return (sample.cost.runs, sample.cost.run_ns) if sample.cost else (0, 0)


if __name__ == "__main__":
    made = KEPT / f"format-{VERSION}.rec"
    record(made, map(_with_cost, asyncio.run(demo_ticks(4, 40 - 2, hooks=HOOKS))))
    made.chmod(0o644)
    made.with_suffix(".json").write_text(json.dumps(_told(made), separators=(",", ":")))
