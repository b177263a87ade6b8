"""Whatever the kernel hands out, readings go on: any bytes in every map, on every rung."""

from __future__ import annotations

import random

import pytest

from probes.hooks import catalogue
from probes.model import Hook, Rung, State
from tests.support.odd_values import attached, readings, rungs, use

EVERY = [pytest.param(hook, rung, id=f"{hook.name}-{rung.name}") for hook, rung in rungs()]


def test_every_rung_of_every_hook_is_here() -> None:
    ours = {(h.name, r.name) for h in catalogue().values() for r in h.ladder}
    assert ours <= {(p.values[0].name, p.values[1].name) for p in EVERY}


@pytest.mark.parametrize(("hook", "rung"), EVERY)
def test_no_bytes_in_any_map_end_a_reading(hook: Hook, rung: Rung) -> None:
    """What stands gives rows; what this host refuses without privilege says so in a sentence."""
    dice = random.Random(f"{hook.name} {rung.name}")
    for _ in range(3):
        attachment = attached(hook, rung, dice)
        samples = [attachment.read() for _ in range(8)]
        attachment.detach()
        for sample in samples:
            said = [refusal.why for refusal in sample.status.refused]
            assert "Unexpected" not in [r.error for r in sample.status.refused], said
            assert (sample.status.state is State.FAILED) is bool(said)
            assert all(len(row) == len(hook.stored) for row in sample.rows.values())
            assert all(len(entry) == len(hook.log) for entry in sample.log)


@pytest.mark.parametrize("seed", range(12))
def test_whatever_is_read_is_shown_recorded_and_exported(seed: int) -> None:
    """Rates, tables, JSON, CSV, metrics, the tape, and every pane."""
    use(readings(random.Random(seed), 3))
