"""The live screen, under unrest and at somebody's hands who types anything: it never ends."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.namespaces import namespace
from tests.support.unrest import unrest
from tests.support.walk import LONG, SHORT, walking

pytestmark = [pytest.mark.kernel, pytest.mark.anywhere]
SEED = int(os.environ.get("WALK_SEED", "1"))


@pytest.mark.parametrize("tape", [LONG, SHORT], ids=["long tape", "short tape"])
def test_it_never_ends_by_itself(tmp_path: Path, tape: tuple[int, float]) -> None:
    """WALK_SEED: another walk, another unrest."""
    with (
        namespace(),
        unrest(SEED),
        walking(SEED, tmp_path, "--interval", "0.2", tape=tape) as walk,
    ):
        for _ in range(4):
            walk.steps(60, 0.05)
            walk.check()
