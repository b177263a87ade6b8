"""The budget under a real load: what takes too much is slowed, then detached, and says so."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest

from probes.hooks import catalogue
from probes.ladder.attachment import KEPT_BY_USER, Attachment, Modules
from probes.model import HookId, State, Status
from probes.sources.live import budget, spending
from probes.sources.live.source import Live
from tests.support.commands import ebpftop
from tests.support.events import getpgid
from tests.support.namespaces import send, veth
from tests.support.scenarios import find, values

pytestmark = [pytest.mark.kernel, pytest.mark.anywhere, pytest.mark.usefixtures("inside")]
TINY = 1e-4
"""Percent of a CPU: any load is more."""


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "WINDOW", 0.3)


@contextmanager
def getpid_loop() -> Iterator[None]:
    code = "import os\nwhile True: os.getppid()"
    with subprocess.Popen(["nice", sys.executable, "-c", code]) as load:
        try:
            yield
        finally:
            load.kill()


@contextmanager
def flood(interface: str) -> Iterator[None]:
    enough = threading.Event()

    def sending() -> None:
        while not enough.is_set():
            send(interface, 100)

    # In the namespace that this thread is in, as the thread is made by it.
    thread = threading.Thread(target=sending)
    thread.start()
    try:
        yield
    finally:
        enough.set()
        thread.join()


@asynccontextmanager
async def watching(*ids: HookId, percent: float | None) -> AsyncIterator[Live]:
    live = Live(interval=0.1, wanted=ids, percent=percent)
    try:
        await live.start()
        yield live
    finally:
        await live.close()


async def until(live: Live, id: HookId, true: Callable[[Status], bool]) -> Status:
    async with asyncio.timeout(60):
        while not true(status := next(s for s in live.statuses() if s.id == id)):
            await asyncio.sleep(0.02)
    return status


async def test_a_getpid_loop_slows_the_system_calls_then_detaches_them_until_somebody_insists() -> (
    None
):
    id = HookId("syscalls")
    with getpid_loop():
        async with watching(id, percent=TINY) as live:
            slowed = await until(live, id, lambda s: s.one_in == budget.ONE_IN_STEP)
            assert slowed.state is State.ATTACHED
            assert f"one event in {budget.ONE_IN_STEP}" in slowed.note
            gone = await until(live, id, lambda s: s.state is State.DETACHED)
            assert gone.note.startswith("detached to stay within the budget: its programs took ")
            assert f"the budget is {TINY:g}%" in gone.note
            assert len(live.notices) == 3
            kept = await live.attach(id)
            assert (kept.state, kept.one_in) == (State.ATTACHED, 1)
            assert KEPT_BY_USER in kept.note
            await asyncio.sleep(3 * budget.WINDOW)
            assert await until(live, id, lambda _: True) == kept


async def test_a_packet_flood_detaches_what_counts_it_and_nothing_else() -> None:
    veth()
    id, other = HookId("tc-ingress", "v0"), HookId("interfaces")
    async with watching(id, other, percent=TINY) as live:
        stood = await until(live, id, lambda s: s.state is not State.ATTACHING)
        if stood.state is not State.ATTACHED:
            pytest.skip(f"{stood.refused[0].error}: {stood.refused[0].why}")
        with flood("v1"):
            gone = await until(live, id, lambda s: s.state is State.DETACHED)
        assert "of a CPU" in gone.note
        assert (await until(live, other, lambda _: True)).state is State.PASSIVE


async def test_what_was_detached_counts_again_once_it_is_quiet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody presses a key: as in `export` and `record`."""
    monkeypatch.setattr(budget, "PAUSE", 0.5)
    veth()
    id = HookId("tc-ingress", "v0")
    async with watching(id, percent=TINY) as live:
        stood = await until(live, id, lambda s: s.state is not State.ATTACHING)
        if stood.state is not State.ATTACHED:
            pytest.skip(f"{stood.refused[0].error}: {stood.refused[0].why}")
        with flood("v1"):
            await until(live, id, lambda s: s.state is State.DETACHED)
        again = await until(live, id, lambda s: s.state is State.ATTACHED)
        assert (again.rung, again.one_in, again.note) == (stood.rung, 1, stood.note)


async def test_what_was_cut_is_not_forgotten_where_measuring_fails_for_a_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(budget, "PAUSE", 0.5)
    veth()
    id, real, short = HookId("tc-ingress", "v0"), spending.costs, list[Exception]()

    def costs(attachments: Iterable[Attachment]) -> spending.Costs:
        if short:
            raise short.pop()
        return real(attachments)

    monkeypatch.setattr(spending, "costs", costs)
    async with watching(id, percent=TINY) as live:
        stood = await until(live, id, lambda s: s.state is not State.ATTACHING)
        if stood.state is not State.ATTACHED:
            pytest.skip(f"{stood.refused[0].error}: {stood.refused[0].why}")
        with flood("v1"):
            await until(live, id, lambda s: s.state is State.DETACHED)
        short.append(MemoryError())
        await until(live, id, lambda s: s.state is State.ATTACHED)
        assert not short


async def test_without_a_budget_nothing_is_cut() -> None:
    id = HookId("syscalls")
    with getpid_loop():
        async with watching(id, percent=None) as live:
            await until(live, id, lambda s: s.state is State.ATTACHED)
            await asyncio.sleep(3 * budget.WINDOW)
            status = await until(live, id, lambda _: True)
            assert (status.state, status.one_in, status.note) == (State.ATTACHED, 1, "")
            assert live.notices == []


@pytest.mark.parametrize("hook", ["syscalls", "drops"])
def test_what_is_sampled_is_scaled_and_says_so(modules: Modules, hook: str) -> None:
    """8000 events, of which 1000 are counted: within six standard deviations, and by eights."""
    index, _ = veth()
    attachment = Attachment(catalogue()[hook], modules, None, 0)
    try:
        if attachment.climb().state is not State.ATTACHED:
            pytest.skip("it stands on its counters here")
        status = attachment.slow(8, "to save time")
        assert (status.one_in, status.note) == (8, "to save time")
        if hook == "syscalls":
            getpgid(0, 8000)
            row = find(values(attachment), syscall="getpgid")
            counted = row["calls"]
            assert sum(row["latency"]) == counted
        else:
            send("v1", 8000)
            counted = sum(r["packets"] for r in values(attachment) if r["interface"] == "v0")
        assert counted % 8 == 0
        assert abs(counted - 8000) < 6 * 8 * 30
        assert index
    finally:
        attachment.detach()


@pytest.mark.parametrize("wrong", ["0", "fast", "2 %%"])
def test_a_budget_that_is_none_is_a_usage_error(wrong: str) -> None:
    done = ebpftop("once", "--budget", wrong)
    assert done.returncode == 2
    assert "is not a budget: write a share of one CPU, such as 2%, or off" in done.stderr


@pytest.mark.parametrize("hook", ["syscalls", "drops"])
def test_slowing_needs_no_compiler(
    modules: Modules, hook: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a host where the bound on memory leaves no room for it, slowing is what is wanted."""
    attachment = Attachment(catalogue()[hook], modules, None, 0)
    try:
        stood = attachment.climb()
        if stood.state is not State.ATTACHED:
            pytest.skip("it stands on its counters here")
        monkeypatch.setattr(modules._compiler, "ask", lambda _: pytest.fail("it was compiled"))
        for one_in in (8, 64, 1):
            status = attachment.slow(one_in, "to save time")
            assert (status.state, status.rung) == (State.ATTACHED, stood.rung)
            assert status.one_in == one_in
    finally:
        attachment.detach()
