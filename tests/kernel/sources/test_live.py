"""The live source: follows interfaces, obeys a person, and detaches everything at the end."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from probes.analysis.snapshot import Snapshot, Trail
from probes.errors import Gone, ProbeError
from probes.model import HookId, State, Status
from probes.sources.live.source import Live
from tests.support.namespaces import as_json, await_running, run, send, veth

pytestmark = [pytest.mark.kernel, pytest.mark.anywhere, pytest.mark.usefixtures("inside")]


@asynccontextmanager
async def _started(**how: Any) -> AsyncIterator[Live]:
    live = Live(interval=0.1, **how)
    try:
        await live.start()
        yield live
    finally:
        await live.close()


async def _until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():
            await asyncio.sleep(0.02)


def _statuses(live: Live, hook: str) -> dict[str | None, Status]:
    return {s.id.target: s for s in live.statuses() if s.id.hook == hook}


def _settled(live: Live) -> bool:
    return State.ATTACHING not in {s.state for s in live.statuses()}


async def test_passive_numbers_are_there_before_anything_is_compiled() -> None:
    async with _started() as live:
        standing = {s.id.hook: s for s in live.statuses()}
        assert standing["interfaces"].rung == "netlink"
        assert standing["drops"].rung is not None
        (sample,) = await anext(live.samples("interfaces"))
        assert sample.rows


async def test_the_safe_set_is_attached_and_xdp_waits_for_a_person() -> None:
    veth()
    async with _started() as live:
        await _until(lambda: _settled(live))
        assert set(_statuses(live, "tc-ingress")) >= {"lo", "v0", "v1"}
        assert {s.state for s in _statuses(live, "xdp").values()} == {State.DETACHED}
        assert not [link for link in as_json("ip", "-j", "link") if "xdp" in link]
        status = await live.attach(HookId("xdp", "v0"))
        assert status.state in (State.ATTACHED, State.PASSIVE)
        assert (await live.detach(HookId("xdp", "v0"))).state is State.DETACHED


@pytest.mark.parametrize("wanted", [None, [HookId("tc-ingress", "v0")]])
async def test_an_interface_that_is_made_again_between_two_looks_is_attached_to(
    wanted: list[HookId] | None,
) -> None:
    """Its number stayed: nothing but the kernel's message tells."""
    _numbered()
    async with _started(wanted=wanted) as live:
        await _until(lambda: _statuses(live, "tc-ingress")["v0"].state is State.ATTACHED)
        await _until(lambda: _settled(live))
        send("v1", 7)
        (old,) = [s for s in await live.read() if s.status.id == HookId("tc-ingress", "v0")]
        run("ip", "link", "del", "v0")
        _numbered()

        async def counted() -> int | None:
            samples = [s for s in await live.read() if s.status.id == HookId("tc-ingress", "v0")]
            standing = [s for s in samples if s.status.state is State.ATTACHED]
            if not standing or standing[0].epoch == old.epoch or not standing[0].rows:
                return None
            packets = live.catalogue["tc-ingress"].places.names.index("packets")
            return int(str(next(iter(samples[0].rows.values()))[packets] or 0))

        await _until(lambda: _statuses(live, "tc-ingress")["v0"].state is State.ATTACHED)
        async with asyncio.timeout(30):
            while await counted() is None:
                await asyncio.sleep(0.02)
        assert await counted() == 0
        send("v1", 3)
        assert await counted() == 3


def _numbered() -> None:
    run("ip", "link", "add", "name", "v0", "index", "77", "type", "veth", "peer", "v1")
    for name in ("v0", "v1"):
        Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("1")
        run("ip", "link", "set", name, "up")
    await_running("v1")


async def test_interfaces_that_come_go_and_are_renamed_are_followed() -> None:
    async with _started() as live:
        await _until(lambda: _settled(live))
        index, _ = veth()
        await _until(lambda: {"v0", "v1"} <= set(_statuses(live, "tc-ingress")))
        await _until(lambda: _settled(live))
        run("ip", "link", "set", "v0", "down")
        run("ip", "link", "set", "v0", "name", "renamed0")
        run("ip", "link", "set", "renamed0", "up")
        for name in ("renamed0", "v1"):
            await_running(name)
        await _until(lambda: "renamed0" in _statuses(live, "tc-ingress"))
        send("v1", 9)
        samples = await live.read()
        counted = {s.status.id.target: s for s in samples if s.status.id.hook == "tc-ingress"}
        rows = {target: list(s.rows.values()) for target, s in counted.items()}
        assert rows["renamed0"][0][:2] == (index, "renamed0")
        if counted["renamed0"].status.rung == "tcx":
            assert rows["renamed0"][0][2] == 9, "what was attached stayed"
        run("ip", "link", "del", "renamed0")
        await _until(lambda: not {"renamed0", "v1"} & set(_statuses(live, "tc-ingress")))


async def test_samples_come_each_tick_and_make_rates() -> None:
    index, _ = veth()
    async with _started(wanted=[HookId("interfaces")]) as live:
        trail, snapshots = Trail(live.catalogue["interfaces"]), list[Snapshot]()
        async for samples in live.samples("interfaces"):
            snapshots += [trail.snapshot(s) for s in samples]
            if len(snapshots) == 2:
                break
            send("v1", 20)
        (row,) = (r for r in snapshots[1].rows if r["ifindex"] == index)
        assert row.rates["rx_packets"] == pytest.approx(20 / (snapshots[1].interval or 0))


@pytest.mark.parametrize(
    ("id", "rung", "sentence"),
    [
        (HookId("nosuch"), None, "there is no hook nosuch"),
        (HookId("drops", "lo"), None, "has no target"),
        (HookId("xdp"), None, "needs a target"),
        (HookId("xdp", "nosuch"), None, "there is no interface nosuch"),
        (HookId("drops"), "nosuch", "has no rung nosuch; it has btf-tracepoint"),
    ],
)
async def test_what_is_not_there_cannot_be_attached(
    id: HookId, rung: str | None, sentence: str
) -> None:
    async with _started(wanted=[]) as live:
        with pytest.raises(Gone, match=sentence):
            await live.attach(id, rung)


async def test_a_rung_that_is_refused_is_raised_with_its_reason() -> None:
    async with _started(wanted=[], observe_only=True) as live:
        with pytest.raises(ProbeError, match="xdp@lo: link-generic: --observe-only"):
            await live.attach(HookId("xdp", "lo"), "link-generic")


async def test_what_is_detached_before_its_turn_at_the_start_stays_detached() -> None:
    """It waits for a thread, behind others that compile."""
    veth()
    id = HookId("tc-ingress", "v0")
    async with _started() as live:
        detaching = asyncio.ensure_future(live.detach(id))
        await _until(lambda: _settled(live))
        assert (await detaching).state is State.DETACHED
        assert _statuses(live, "tc-ingress")["v0"].state is State.DETACHED
        assert State.DETACHED not in {_statuses(live, "tc-ingress")[n].state for n in ("lo", "v1")}


async def test_what_is_attached_while_it_is_detached_stays_ours() -> None:
    """It is read, and released at the end; as `_inside` looks."""
    id = HookId("sk-msg")
    async with _started(wanted=[]) as live:
        status = await live.attach(id)
        if status.state is not State.ATTACHED:
            pytest.skip(str(status.refused))
        for _ in range(5):
            _, status = await asyncio.gather(live.detach(id), live.attach(id))
            assert status.state is State.ATTACHED
            assert _statuses(live, "sk-msg")[None] == status
        await asyncio.gather(live.attach(id), live.detach(id))
        assert not [s for s in _statuses(live, "sk-msg").values() if s.state is State.ATTACHED]


@contextmanager
def _no_more_files() -> Iterator[None]:
    """This process may open no more."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_one_that_cannot_be_detached_does_not_hold_the_others() -> None:
    """Its filter is removed by netlink, which takes a socket."""
    veth()
    wanted = [HookId("tc-egress", "v1"), HookId("tc-ingress", "v0")]
    live = Live(wanted=wanted, pins={"tc-ingress": "clsact"})
    await live.attach_all()
    assert {s.rung for s in live.statuses() if s.id in wanted} >= {"clsact"}
    with _no_more_files():
        await live.close()
    said = [notice for notice in live.notices if "could not be detached" in notice]
    assert [notice.partition(" ")[0] for notice in said if "ingress" in notice] == ["tc-ingress@v0"]
    assert all("Too many open files" in notice for notice in said)
    assert [q["dev"] for q in as_json("tc", "-j", "qdisc") if q["kind"] == "clsact"][:1] == ["v0"]
    await live.close()
    assert not [q for q in as_json("tc", "-j", "qdisc") if q["kind"] == "clsact"]


async def test_that_the_last_of_a_hook_has_gone_is_told() -> None:
    """Else its last numbers would stay, and it would never be attached again unasked."""
    async with _started() as live:
        exits = HookId("exits")
        await live.attach(exits)
        samples = live.samples("exits")
        assert [s.status.id for s in await anext(samples)] == [exits]
        await live.detach(exits)
        async with asyncio.timeout(10):
            while await anext(samples):
                pass
            await live.attach(exits)
            assert await anext(samples)
