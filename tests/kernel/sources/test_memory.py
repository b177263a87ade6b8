"""The bound on memory: what is beyond it is left out, and how much is said."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from probes.compile import cache, headers
from probes.errors import ProbeError
from probes.kernel import bpf
from probes.kernel.maps import HASH
from probes.ladder import retry
from probes.model import HookId, State
from probes.sources.live import memory, room, usage
from probes.sources.live.source import Live
from tests.support.commands import ROOT, ebpftop
from tests.support.namespaces import namespace, run

pytestmark = [pytest.mark.kernel, pytest.mark.anywhere]
PAIRS = 600


@pytest.fixture
def _connections() -> Iterator[None]:
    with namespace(), ExitStack() as stack:
        run("ip", "link", "set", "lo", "up")
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=PAIRS))
        for _ in range(PAIRS):
            stack.enter_context(socket.create_connection(listener.getsockname()))
            stack.enter_context(listener.accept()[0])
        yield


@pytest.mark.usefixtures("_connections")
def test_connections_beyond_it_are_counted_as_left_out() -> None:
    """The least bound keeps fewer rows than these are."""
    asked = ("once", "--for", "0.5", "--hook", "tcp-rtt", "--memory", "100")
    (hook,) = json.loads(ebpftop(*asked, "--json").stdout)["hooks"]
    assert len(hook["rows"]) <= memory.rows_for(100_000_000)
    assert len(hook["rows"]) + hook["forgotten"] >= 2 * PAIRS
    assert "more rows were left out, the least active (--memory)" in ebpftop(*asked).stdout


@pytest.mark.usefixtures("_connections")
def test_within_it_nothing_is_left_out() -> None:
    done = ebpftop("once", "--for", "0.5", "--hook", "tcp-rtt", "--json")
    (hook,) = json.loads(done.stdout)["hooks"]
    assert hook["forgotten"] == 0
    assert len(hook["rows"]) >= 2 * PAIRS


@pytest.mark.parametrize("wrong", ["50", "much", "-1", "1e3", "", "200 GB"])
def test_a_bound_that_is_none_is_a_usage_error(wrong: str) -> None:
    done = ebpftop("once", "--memory", wrong)
    assert done.returncode == 2
    assert "is not a memory limit: write megabytes, from 100 on, such as 200" in done.stderr


HOOKS = ("drops", "tcp-connect")
CGROUPS = (
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
    (
        Path("/sys/fs/cgroup"),
        "memory.max",
    ),
)


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """A memory cgroup (version 1 or 2) of the bound's size."""
    for root, limit in CGROUPS:
        place = root / f"ebpftop-bounds-{os.getpid()}"
        try:
            place.mkdir()
        except OSError:
            continue
        try:
            if (place / limit).exists():
                (place / limit).write_text(str(memory.DEFAULT))
                yield place
                return
        finally:
            place.rmdir()
    pytest.skip("there is no memory controller here")


def test_in_a_cgroup_of_that_size_the_first_start_attaches_all(
    cgroup: Path, tmp_path: Path
) -> None:
    """Nothing was compiled before: the compiler is in there, too."""
    wanted = (word for hook in HOOKS for word in ("--hook", hook))
    inside = (
        f"echo $$ >{cgroup}/cgroup.procs && mount --bind {tmp_path} /var/cache && "
        f'exec {sys.executable} -m tui.cli once --for 0.1 --json "$@"'
    )
    command = ["unshare", "-m", "sh", "-c", inside, "sh", *wanted]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    states = {hook["hook"]: hook["state"] for hook in json.loads(done.stdout)["hooks"]}
    assert states == dict.fromkeys(HOOKS, "attached")
    assert any(tmp_path.iterdir())


@pytest.fixture
def nothing_compiled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setattr(headers, "cache_base", lambda: tmp_path / "ebpftop")
    cache._cache.cache_clear()
    yield
    cache._cache.cache_clear()


def test_what_maps_are_charged_is_known_whenever_one_comes_or_goes() -> None:
    asked_often = usage.Maps()
    before = usage.maps()
    assert asked_often() == before
    fd = bpf.map_create(HASH, 4, 1024, 10_000, flags=0, name="large")
    try:
        assert asked_often() == usage.maps() >= before + 10_240_000
    finally:
        os.close(fd)
    assert asked_often() == usage.maps() == before


@pytest.mark.usefixtures("nothing_compiled")
async def test_where_maps_would_take_the_compilers_room_all_is_compiled_before() -> None:
    """As on a host with many CPUs: all stand in the end, and the compiler never had too little."""
    asked: list[int] = []
    gc.collect()
    before = usage.maps()  # what tests before this one keep
    own = memory.DEFAULT - room.COMPILER - 9_000_000 - before

    def used() -> int:
        """With this compiler's children: those before it have one, too."""
        return own + sum(map(usage.resident, live._compiler.pids()))

    live = Live(interval=0.1, used=used, limit=memory.DEFAULT)
    fits = live._bound.room.make
    live._compiler._room = lambda: bool(asked.append(usage.maps())) or fits()
    try:
        await live.attach_all()
        attached = {
            a.hook.name for a in live._attachments.all() if a.status.state is State.ATTACHED
        }
        no_room = [s for s in live.statuses() if any(r.error == "ENOMEM" for r in s.refused)]
        assert no_room == []
        assert {"drops", "tcp-connect", "tcp-rtt", "syscalls"} <= attached
        assert asked
        assert max(asked) - before < 9_000_000 < usage.maps() - before
    finally:
        await live.close()


@pytest.mark.usefixtures("nothing_compiled")
async def test_without_room_for_the_compiler_hooks_stand_on_their_counters_until_there_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Meanwhile the compiler is never started."""
    monkeypatch.setattr(retry, "FIRST_PAUSE", 0.1)
    monkeypatch.setattr(room, "ROOM_WAIT", 0.2)
    used, ids = [memory.DEFAULT - room.COMPILER + 1], [HookId(hook) for hook in HOOKS]
    before = usage.maps()  # what tests before this one keep
    live = Live(interval=0.1, wanted=ids, used=lambda: used[0] - before, limit=memory.DEFAULT)
    try:
        await live.attach_all()
        for status in [status for status in live.statuses() if status.id in ids]:
            refusal = next(r for r in status.refused if r.error == "ENOMEM")
            assert status.state is State.PASSIVE
            assert refusal.why.startswith("there is no room for the compiler: 110 MB are in use")
            assert refusal.remedy == "Allow more: --memory 300."
        with pytest.raises(ProbeError, match="there is no room for the compiler"):
            await live.attach(HookId("opens"))  # which has no counters
        assert not live._compiler.there
        used[0] = 0
        async with asyncio.timeout(60):
            while {s.state for s in live.statuses() if s.id in ids} != {State.ATTACHED}:
                await asyncio.sleep(0.05)
    finally:
        await live.close()
