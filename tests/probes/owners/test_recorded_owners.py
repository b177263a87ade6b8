"""A recording has the names of its moment; one made before there were any has none, and plays."""

from __future__ import annotations

from pathlib import Path

import pytest

from probes.hooks import catalogue
from probes.model import Value
from probes.owners.owner_columns import NAMES
from probes.recording.reader import Recording
from tests.support.recordings import demo_recording

KEPT = Path(__file__).parents[3] / "snapshots" / "recordings"


def _owners(recording: Recording, at: int) -> dict[Value, tuple[Value, ...]]:
    """The owner of each process that connects, by its name."""
    names = catalogue()["tcp-connect"].places.names
    rows = [r for s in recording.at(at).samples["tcp-connect"] for r in s.rows.values()]
    place = names.index("comm")
    return {row[place]: row[-len(NAMES) :] for row in rows}


def test_the_names_are_those_of_the_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is asked again: on this host other processes have those numbers."""
    (tmp_path / "a").write_bytes(demo_recording(5))
    monkeypatch.setattr("probes.owners.owner_columns.shared", None)
    owners = _owners(Recording(tmp_path / "a", catalogue()), 4)
    assert owners["checkout"] == ("shop-checkout", None, "host")
    assert owners["nginx"] == (None, "nginx.service", "host")


@pytest.mark.parametrize("name", ["format-1", "format-2"])
def test_a_recording_without_names_plays(name: str) -> None:
    owners = _owners(Recording(KEPT / f"{name}.rec", catalogue()), 2)
    assert owners
    assert set(owners.values()) == {(None, None, None)}
