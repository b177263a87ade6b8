"""The demo source: the same incident each time, by the hooks' own columns."""

from __future__ import annotations

import asyncio

import pytest

from probes.analysis.snapshot import Trail
from probes.errors import Busy, Gone
from probes.hooks import catalogue
from probes.model import HookId, Kind, State
from probes.sources.demo.source import Demo, SecondAtOnce


async def _started(**options: object) -> Demo:
    async def pace(_: float) -> None:
        await asyncio.sleep(0)

    demo = Demo(pace=pace, **options)  # type: ignore[arg-type]
    await demo.start()
    return demo


async def test_rows_have_the_hooks_columns() -> None:
    """Every row is as long as `stored`, histograms are tuples, keys are the key columns."""
    demo = await _started()
    seen = set()
    for sample in demo.at(40):
        hook = catalogue()[sample.status.id.hook]
        seen.add(hook.name)
        for key, row in sample.rows.items():
            assert len(row) == len(hook.stored)
            pairs = list(zip(row, hook.stored, strict=True))
            assert key == tuple(v for v, c in pairs if c.identifies)
            for value, column in pairs:
                assert isinstance(value, tuple) == (column.kind is Kind.HISTOGRAM)
    assert {"interfaces", "drops", "syscalls", "tcp-connect", "tcp-rtt", "tc-ingress"} <= seen


async def test_the_same_seed_and_time_give_the_same_numbers() -> None:
    """Goldens rest on it."""
    one, two, other = await _started(), await _started(), await _started(seed=1)
    assert one.at(61) == two.at(61)
    assert one.at(61) != other.at(61)


async def test_counters_never_go_back() -> None:
    """Not within a lap, nor over its end."""
    demo = await _started()
    before: dict[object, tuple[object, ...]] = {}
    for second in range(0, 260, 5):
        for sample in demo.at(second):
            columns = catalogue()[sample.status.id.hook].stored
            for key, row in sample.rows.items():
                old = before.get((sample.status.id, key), row)
                for c, was, now in zip(columns, old, row, strict=True):
                    if c.kind is Kind.COUNTER and (was, now) != (None, None):
                        assert now >= was, (sample.status.id, key, c.name, second)  # type: ignore[operator]
                before[sample.status.id, key] = row


async def test_every_way_to_fail_adds_up() -> None:
    """connects = established + failed, failed = refused + timed out."""
    demo = await _started()
    for second in (30, 50, 130):
        sample = demo.sample(HookId("tcp-connect"), second)
        names = [c.name for c in catalogue()["tcp-connect"].stored]
        for row in sample.rows.values():
            v = dict(zip(names, row, strict=True))
            assert v["connects"] == v["established"] + v["failed"]
            assert v["failed"] == v["refused"] + v["timed_out"]


async def test_the_incident_comes_and_goes() -> None:
    """Drops, failures and round trips are calm, then not, then calm again."""
    demo = await _started()
    rates = {}
    for moment in (15, 50, 110):
        trail = Trail(catalogue()["drops"])
        trail.snapshot(demo.sample(HookId("drops"), moment - 1))
        snapshot = trail.snapshot(demo.sample(HookId("drops"), moment))
        rates[moment] = max(r.rate("packets") for r in snapshot.rows if r["interface"] == "eth1")
    assert rates[15] < 10
    assert rates[50] > 1000
    assert rates[110] < 10


async def test_program_runs_equal_packets_at_tc() -> None:
    """The cost line and the counter speak of the same packets."""
    demo = await _started()
    sample = demo.sample(HookId("tc-egress", "eth0"), 33)
    (row,) = sample.rows.values()
    names = [c.name for c in catalogue()["tc-egress"].stored]
    assert sample.cost is not None
    assert sample.cost.runs == row[names.index("packets")]


async def test_attaching_starts_a_new_epoch_from_zero() -> None:
    """Detached and attached again, it counts anew."""
    demo = await _started()
    id = HookId("xdp", "veth3f2a1c")
    assert (await demo.attach(id)).state is State.ATTACHED
    first = demo.sample(id, 20)
    await demo.detach(id)
    assert not [s for s in demo.at(21) if s.status.id == id]
    await demo.attach(id)
    assert demo.sample(id, 20).epoch == first.epoch + 1


async def test_native_refused_is_generic_with_the_reason() -> None:
    """The ladder's second rung, and what the first one said."""
    demo = await _started()
    status = await demo.attach(HookId("xdp", "eth0"))
    assert status.degraded
    assert status.refused[0].error == "EOPNOTSUPP"


async def test_refusals_are_probe_errors() -> None:
    """Busy where somebody else's program is, Gone where nothing is; both leave no attachment."""
    demo = await _started()
    with pytest.raises(Busy):
        await demo.attach(HookId("xdp", "eth1"))
    with pytest.raises(Gone):
        await demo.attach(HookId("xdp", "eth9"))
    with pytest.raises(Gone):
        await demo.attach(HookId("no-such-hook"))
    assert next(s for s in demo.statuses() if str(s.id) == "xdp@eth1").state is State.FAILED


async def test_a_hook_on_demand_is_there_while_it_is_asked_for() -> None:
    """By process, for one system call."""
    demo = await _started()
    id = HookId("syscall-processes", "openat")
    await demo.attach(id)
    assert len(demo.sample(id, 30).rows) > 3
    await demo.detach(id)
    assert id not in [s.id for s in demo.statuses()]


async def test_ticks_follow_the_interval() -> None:
    """Virtual time goes on by `interval`, also when it is changed on the way."""
    demo = await _started(begin=10.0)
    times = []
    async for samples in demo.samples("drops"):
        times.append(samples[0].time)
        demo.interval = 2.0 if len(times) > 1 else 1.0
        if len(times) == 4:
            break
    assert times == [10, 11, 13, 15]


async def test_close_leaves_nothing_attached() -> None:
    """Like every source."""
    demo = await _started()
    await demo.close()
    assert {s.state for s in demo.statuses()} <= {State.DETACHED}


async def test_the_second_reading_need_not_wait_for_the_first_rates() -> None:
    """Of each hook; the third waits for its moment."""
    demo = Demo(pace=SecondAtOnce(), interval=60.0)
    await demo.start()

    async def two(hook: str) -> list[float]:
        found = []
        async for samples in demo.samples(hook):
            found.append(samples[0].time)
            if len(found) == 2:
                break
        return found

    both = asyncio.gather(two("interfaces"), two("drops"))
    assert await asyncio.wait_for(both, 30) == [[0.0, 60.0]] * 2
