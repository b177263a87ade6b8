"""What a killed process was making is not kept for ever."""

from __future__ import annotations

import os
import time
from pathlib import Path

from probes.compile.tree_cache import ABANDONED, TreeCache


def test_a_tree_that_a_killed_process_was_making_goes_and_a_living_one_s_stays(
    tmp_path: Path,
) -> None:
    cache = TreeCache(tmp_path / "cache")
    dead, living = cache.base / ".new-dead", cache.base / ".new-living"
    for place in (dead, living):
        place.mkdir()
        (place / "types.h").touch()
    long_ago = time.time() - ABANDONED - 1
    os.utime(dead, (long_ago, long_ago))
    made = cache.get(("kernel", "types"), lambda: {"types.h": "struct a;"})
    assert set(cache.base.iterdir()) == {made, living}
