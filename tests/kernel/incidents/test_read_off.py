"""Each quick story is read off a small screen: who, what, where, which share, and since when."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.incident_play import COLD
from tests.support.incidents import apart
from tests.support.incidents.story import stories

pytestmark = [pytest.mark.kernel]
QUICK = [name for name, story in stories().items() if story.quick and not story.calm]


@pytest.mark.parametrize("name", QUICK)
def test_one_row_at_80x24_says_all_of_it(name: str, tmp_path: Path) -> None:
    """By its text, and the arrow keys if others' rows are above it; `make bench` has the times."""
    folder = tmp_path / "seen"
    folder.mkdir()
    done = apart.call(
        "bench.incident_play", COLD, str(folder), name, "--bare", "--small", timeout=120
    )
    outcomes = folder / "outcomes.jsonl"
    if not outcomes.exists():
        pytest.skip(done.stdout.strip())
    outcome = json.loads(outcomes.read_text())
    screen = (folder / f"{name}-{COLD}.txt").read_text()
    assert outcome["read"] is not None, f"{outcome['lacks']} is not there:\n{screen}"
