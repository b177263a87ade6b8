"""Totals that go on while hooks are slowed, attached again or step down; independent: the calls
that were made."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from probes.attach import handle
from probes.ladder.attachment import Attachment, Modules
from probes.model import State, same_totals
from tests.support.commands import ROOT, held
from tests.support.events import connect, getpgid, server
from tests.support.namespaces import namespace, send, veth
from tests.support.rungs import standing
from tests.support.scenarios import find, rows_of, sample_of, values

pytestmark = pytest.mark.kernel


@pytest.fixture(autouse=True)
def _inside() -> Iterator[None]:
    with namespace():
        yield


@pytest.fixture
def stand(modules: Modules) -> Iterator[Callable[..., Attachment]]:
    with ExitStack() as stack:
        yield lambda spec, index=0: stack.enter_context(
            standing(modules, spec, index=index, passive=False)
        )


def _getpgid(attachment: Attachment) -> int:
    return sum(row["calls"] for row in values(attachment) if row["syscall"] == "getpgid")


@contextmanager
def _doing(a_hundred: Callable[[], None]) -> Iterator[list[int]]:
    """Does it without a pause; how many there were by the end."""
    made, enough = [0], threading.Event()

    def call() -> None:
        while not enough.is_set():
            a_hundred()
            made[0] += 100

    thread = threading.Thread(target=call)
    thread.start()
    try:
        yield made
    finally:
        enough.set()
        thread.join()


@pytest.mark.anywhere
def test_calls_before_and_after_a_cut_are_all_counted(stand: Callable[..., Attachment]) -> None:
    """Those that one in so many stands for: within six standard deviations; the others exactly."""
    attachment = stand("syscalls")
    getpgid(0, 3000)
    first = sample_of(attachment)
    attachment.slow(8, "to save time")
    getpgid(0, 8000)
    slowed = _getpgid(attachment)
    assert abs(slowed - 11_000) < 6 * 8 * 30
    attachment.slow(1, "")
    getpgid(0, 500)
    last = sample_of(attachment)
    row = find(rows_of(attachment, last), syscall="getpgid")
    assert row["calls"] == sum(row["latency"]) == slowed + 500
    assert first.epoch != last.epoch
    assert same_totals(first.epoch, last.epoch)


def test_what_two_rungs_see_side_by_side_is_counted_once(
    stand: Callable[..., Attachment],
) -> None:
    """Under load: as exact as two readings can be made at one moment."""
    attachment = stand("syscalls")
    totals = [0]
    with _doing(lambda: getpgid(0, 100)) as made:
        for rung in ("raw-tracepoint", "tracepoint", "raw-tracepoint"):
            totals.append(_getpgid(attachment))
            attachment.climb(pinned=rung)
            totals.append(_getpgid(attachment))
    totals.append(_getpgid(attachment))
    assert totals == sorted(totals)
    assert totals[-1] == pytest.approx(made[0], rel=0.05)


def test_a_step_down_goes_on_from_what_was_counted(
    stand: Callable[..., Attachment], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody detaches our programs at the cgroup: polling goes on with the row."""
    monkeypatch.setattr(handle, "ASK_SECONDS", 0.0)
    before = held()[1]
    attachment = stand("sock-addr")
    with server("127.0.0.1") as port:
        for _ in range(7):
            connect("127.0.0.1", port)
        assert find(values(attachment), port=port, operation="connect")["calls"] == 7
        links = held()[1] - before
        if attachment.status.rung != "cgroup-link" or not links:
            pytest.skip(f"it stands on {attachment.status.rung}")
        for id in sorted(links):
            subprocess.run(["bpftool", "link", "detach", "id", str(id)], check=False)
        sample = sample_of(attachment)
        assert (sample.status.state, sample.status.rung) == (State.PASSIVE, "sock_diag")
        assert find(rows_of(attachment, sample), port=port, operation="connect")["calls"] == 7


def test_a_budget_that_detaches_keeps_what_was_counted_for_when_it_is_tried_again(
    stand: Callable[..., Attachment],
) -> None:
    index, _ = veth()
    attachment = stand("tc-ingress@v0", index)
    send("v1", 40)
    attachment.cut_off("too dear")
    assert attachment.read().rows == {}
    attachment.slow(1, "")
    send("v1", 2)
    assert [row["packets"] for row in values(attachment)] == [42]


_ONCE = """
import sys
from probes.sources.live import budget
budget.WINDOW = 0.2
from tui.cli import main
raise SystemExit(main(["once", "--json", "--hook", "tc-ingress@v0", *sys.argv[1:]]))
"""


def test_once_fails_where_the_budget_detached_what_was_asked_for(
    stand: Callable[..., Attachment],
) -> None:
    stand("tc-ingress@v0", veth()[0]).detach()
    with _doing(lambda: send("v1", 100)):
        done = subprocess.run(
            [sys.executable, "-c", _ONCE, "--for", "1", "--budget", "0.0001"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    assert (done.returncode, json.loads(done.stdout)["hooks"][0]["state"]) == (1, "detached")
    assert "tc-ingress@v0 is detached: detached to stay within the budget" in done.stderr
