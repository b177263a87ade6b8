"""Files of earlier versions, kept in `snapshots/upgrades`, mean today what they meant then.

Recordings are in `snapshots/recordings`: tests/probes/recording/test_replayed_numbers.py.
"""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from probes.attach import journal
from probes.compile import bundle
from probes.compile.tree_cache import TreeCache, intact
from probes.custom import hook_files
from probes.errors import Unsupported
from probes.hooks import catalogue
from tui.config import settings

KEPT = sorted((Path(__file__).parents[1] / "snapshots/upgrades").iterdir())


def _copy(kept: Path, place: Path) -> Path:
    """Copy a file or folder, for its owner only, as it was made: git keeps no modes."""
    (shutil.copytree if kept.is_dir() else shutil.copy)(kept, place)
    for path in (place, *place.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
    return place


@pytest.fixture(params=KEPT, ids=lambda folder: folder.name)
def kept(request: pytest.FixtureRequest) -> Path:
    folder: Path = request.param
    return folder


def test_settings_are_read_whole(kept: Path, tmp_path: Path) -> None:
    found = settings.load(_copy(kept / "settings.toml", tmp_path / "settings.toml"))
    assert found.problems == ()
    assert (found.theme, found.interval, found.units) == ("light", 2.5, "bits")
    assert (found.ascii, found.mouse, found.slow_link) == (True, False, True)
    assert (found.pane, found.panes) == ("rtt", ("rtt", "hooks"))
    assert found.hooks == ("kprobe:vfs_read,by=comm",)
    assert found.sort == {"rtt": "-p99_us"}
    assert found.keys == {"sort.menu": ("o", "F7"), "filter": ("f",)}
    assert (found.presets["night"].filter, found.presets["night"].zoom) == ("rtt>50ms", True)
    (ordinary,) = found.ordinary
    assert (ordinary.what, ordinary.who) == ("dns/webapp", ("webapp",))
    assert ordinary.until is not None
    assert datetime.fromtimestamp(ordinary.until, UTC).year == 2030


def test_hook_files_are_loaded(kept: Path, tmp_path: Path) -> None:
    place = _copy(kept / "hooks", tmp_path / "hooks")
    tmp_path.chmod(0o700)
    loaded = hook_files.load(place, frozenset(catalogue()))
    assert loaded.complaints == ()
    assert [hook.name for hook in loaded.hooks] == ["softirqs"]


def test_what_a_killed_process_left_is_known(kept: Path, tmp_path: Path) -> None:
    """So that the version after it can detach it."""
    file = _copy(kept / "journal.json", tmp_path / "1.2.json")
    with journal.orphaned(file) as records:
        assert {record.kind for record in records} == set(journal.KINDS)


def test_a_cache_is_whole_and_left_to_those_who_made_it(kept: Path, tmp_path: Path) -> None:
    """Both versions may run on one host: neither removes what is another's, but for room."""
    before = _copy(kept / "cache", tmp_path / ("0" * 24))
    tmp_path.chmod(0o700)
    cache = TreeCache(tmp_path)
    ours = cache.get(("of this version",), lambda: {"answer.json": "{}"})
    assert intact(before)
    assert intact(ours)


def test_a_bundle_is_understood_and_refused_for_its_kernel_alone(
    kept: Path, tmp_path: Path
) -> None:
    file = _copy(kept / "linux-5.4.bundle", tmp_path / "linux-5.4.bundle")
    with pytest.raises(Unsupported, match=r"it was made for Linux 5\.4\.0-1 \(x86_64\), and this"):
        bundle.read(file)
    about, _ = bundle.checked(file)
    assert (about.kernel.release, about.ebpftop) == ("5.4.0-1", "0.1.0")


def test_a_newer_journal_and_a_newer_bundle_are_refused_in_words(tmp_path: Path) -> None:
    file = tmp_path / "x.bundle"
    file.write_bytes(b"ebpftop-bundle/2 0\n")
    file.chmod(0o600)
    with pytest.raises(Unsupported, match="is a bundle of format 2; this ebpftop reads 1"):
        bundle.read(file)
    with pytest.raises(ValueError, match="another format"):
        journal.parse(b'{"format": "ebpftop-lasting/2", "records": []}')
    assert os.access(file, os.R_OK), "and left alone"
