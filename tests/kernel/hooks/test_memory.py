"""A cgroup whose processes wait for memory has a row, as long as it is there."""

from __future__ import annotations

import time

import pytest

from probes.hooks import catalogue
from probes.ladder.attachment import Attachment, Modules
from probes.model import State
from tests.incidents import memory_pressure
from tests.support.incidents import cgroup
from tests.support.incidents.stage import CannotBePlayed, Stage
from tests.support.scenarios import Values, values

pytestmark = [pytest.mark.kernel, pytest.mark.anywhere]


def _row(attachment: Attachment) -> Values | None:
    return next((r for r in values(attachment) if r["where"] == f"/{cgroup.name()}"), None)


def test_a_cgroup_that_waits_is_told_with_its_largest_process(modules: Modules) -> None:
    attachment = Attachment(catalogue()["memory"], modules)
    assert attachment.climb().state in (State.ATTACHED, State.PASSIVE)
    try:
        assert _row(attachment) is None
        with Stage() as stage:
            try:
                memory_pressure.play(stage)
            except CannotBePlayed as lack:
                pytest.skip(str(lack))
            until = time.monotonic() + 60
            while (row := _row(attachment)) is None or not row["comm"]:
                assert time.monotonic() < until
                time.sleep(0.2)
            waited = cgroup.waited_ms()
            again = _row(attachment)
        assert row["comm"] == "indexer"
        assert again is not None
        assert waited * 1e6 <= again["some_ns"] <= row["some_ns"] + 60e9
        assert _row(attachment) is None
    finally:
        attachment.detach()
        cgroup.sweep()
