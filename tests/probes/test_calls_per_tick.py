"""From the map to tape and history, a tick makes as many Python calls for 4,000 rows as for 1,000.

For the hooks that are columns so far (docs/design/columns.md). A third of the rows counts in each
tick. Not counted: a key frame of the tape has every row's texts, and any frame those that changed.
"""

from __future__ import annotations

import os
import random
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from itertools import count

import pytest

from bench.path import Tables, rung_of, with_sockets
from probes.analysis.by_row import ByRow
from probes.analysis.heat import SLOT_SECONDS
from probes.analysis.history import History
from probes.analysis.snapshot import Snapshot, Trail
from probes.hooks import catalogue
from probes.hooks.drops import readers as drop_readers
from probes.hooks.tcp_rtt import open_sockets
from probes.kernel import procfs
from probes.owners import lookups, owner_columns
from probes.owners.processes import ProcessOwners
from probes.recording.encoder import Tick
from probes.recording.tape import Tape
from tests.support.calls_made import calls_of
from tests.support.namespaces import namespace
from tests.support.odd_values import attached
from tui.panes import panes

TICKS = 4


def _per_tick(name: str, rows: int) -> Counter[str]:
    hook, tables = catalogue()[name], Tables(rows)
    rung = rung_of(hook)
    rung = replace(rung, open=with_sockets(rung.open, rows))
    attachment = attached(hook, rung, random.Random(0), tables.one)
    trail, tape, found = Trail(hook), Tape(catalogue()), Counter[str]()
    times = count(time.monotonic(), SLOT_SECONDS)  # each tick ends a slot of heat
    figures = [f for pane in panes(catalogue()) for f in (*pane.figures, *pane.kept)]
    history = History(figures)

    def tick() -> None:
        sample = replace(attachment.read(), time=next(times))
        snapshot = trail.snapshot(sample)
        for column in hook.places.counters:
            snapshot.per_s(column[1])
        history.add(name, (snapshot,))
        for figure in figures:
            if figure.hook == name and isinstance(figure.values, ByRow):
                history.verdicts(figure, snapshot)
                history.verdicts(figure, snapshot, {name: 2})
        tape.add(Tick(sample.wall, 1.0, {name: (sample,)}, (sample.status,)))

    try:
        for _ in range(TICKS):
            tables.read()
            found = calls_of(tick)
        assert _of_maps(trail.snapshot(attachment.read())) == rows
    finally:
        attachment.detach()
    return found


def _of_maps(snapshot: Snapshot) -> int:
    """How many rows are of maps, in which all count: others tell what stands on this host now.

    Of drops, these have names where maps have addresses.
    """
    places = snapshot.hook.places
    counted = [row for row in snapshot.rows if any(row[name] for _, name in places.counters)]
    if "location" not in places.names:
        return len(counted)
    return sum(str(row["location"]).startswith("0x") for row in counted)


DONE = (
    "tcp-rtt", "sent", "syscall-processes", "tcp-connect", "drops", "tcp-life", "sources",
    "sock-addr", "cgroup-bytes", "lsm", "profile", "tls",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    """In a network namespace of its own, where that is allowed: there nothing waits."""
    with namespace() if os.geteuid() == 0 else nullcontext():
        yield


@pytest.fixture(autouse=True)
def _owners(monkeypatch: pytest.MonkeyPatch) -> None:
    """Owners are looked up in the first tick, which may take longer here than on a screen."""
    monkeypatch.setattr(lookups, "NEW_SECONDS", 10.0)
    monkeypatch.setattr(procfs, "pid_set", lambda: {os.getpid()})  # others come and go
    # A map of ports that is nearly full makes room: a call for each entry, once.
    monkeypatch.setattr(drop_readers, "MAP_ENTRIES", 1 << 16)
    monkeypatch.setattr(owner_columns, "shared", ProcessOwners())


@pytest.mark.skipif(os.geteuid() != 0, reason="waits in a network namespace: needs root")
@pytest.mark.parametrize("name", ["tcp-connect", "drops"])
def test_it_does_while_connects_hang_and_an_accept_queue_is_full(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands is told with the columns, in the incident above all."""
    with ExitStack() as open_now:
        listener = open_now.enter_context(socket.create_server(("127.0.0.1", 0), backlog=1))
        for _ in range(5):
            one = open_now.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        test_a_tick_makes_as_many_calls_for_more_rows(name, monkeypatch)


@pytest.mark.parametrize("name", DONE)
def test_a_tick_makes_as_many_calls_for_more_rows(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_sockets, "MANY", 0)
    few, many = _per_tick(name, 1000), _per_tick(name, 4000)
    more = {function: n for function, n in many.items() if n - few[function] > 20}
    assert not more
