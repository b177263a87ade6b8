"""While memory is short, less of the past is kept, and one hook attached unasked; then more."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from probes.analysis.history import History
from probes.hooks import catalogue
from probes.model import HookId
from probes.recording.tape import Tape
from probes.sources.demo.source import Demo
from tests.support.stage import playing, settle, step
from tui.screen.leases import MOST_WANTED, Leases
from tui.session.thrift import Thrift


class Short(Demo):
    """A host where memory is short as long as somebody says so."""

    is_tight = True


def test_the_tape_and_rows_that_have_gone_shrink_to_a_tenth_and_grow_again() -> None:
    tape, history = Tape(catalogue(), most=1_000_000), History(())
    thrift = Thrift(tape.most)
    for _ in range(100):
        thrift.take(tape, history, tight=True)
    assert tape.most == 100_000
    for _ in range(200):
        thrift.take(tape, history, tight=False)
    assert tape.most == 1_000_000


async def test_one_hook_is_attached_unasked() -> None:
    wanted = [HookId(name) for name in list(catalogue())[:6]]
    async with playing(size=(120, 40), source=Short, pane="overview", ticks=3) as (app, pilot):
        source: Any = app.session.source
        app.place.pane = replace(app.place.pane, wants=lambda _: wanted)
        for tight, most in ((True, 1), (False, MOST_WANTED), (True, 1)):
            source.is_tight = tight
            Leases.tend(app.leases)
            await settle(pilot)
            await step(pilot, 1)
            assert len(app.leases._wanted) == most
