"""Interfaces that come later, go and come again, and their other names."""

from __future__ import annotations

import asyncio
import errno
import json
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from probes.drop_rule import parse
from probes.errors import as_refusal
from probes.ladder.attachment import Attachment
from probes.model import HookId, Sample, State
from probes.sources.live import interfaces
from probes.sources.live.source import Live
from probes.sources.live.wanted import Wanted
from tests.support.commands import COMMAND, ROOT, ebpftop, held
from tests.support.namespaces import await_running, run, send, veth

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("inside")]
OTHER = "a-name-longer-than-fifteen-characters"


@asynccontextmanager
async def _watching(*ids: HookId) -> AsyncIterator[Live]:
    """As commands without a screen do."""
    live = Live(interval=0.1, wanted=ids or None)
    try:
        await live.attach_all()
        yield live
    finally:
        await live.close()


async def _until(live: Live, true: Callable[[dict[HookId, Sample]], bool]) -> dict[HookId, Sample]:
    async with asyncio.timeout(30):
        while not true(found := {s.status.id: s for s in await live.read()}):
            await asyncio.sleep(0.02)
    return found


def _counts(id: HookId) -> Callable[[dict[HookId, Sample]], bool]:
    states = (State.ATTACHED, State.PASSIVE)
    return lambda found: id in found and found[id].status.state in states


def _packets(sample: Sample) -> object:
    (row,) = sample.rows.values()
    return row[2]


async def test_an_interface_that_comes_later_gets_the_hooks_that_all_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Wanted, "initial", lambda _: [HookId("interfaces")])  # soon begun
    id = HookId("tc-ingress", "late0")
    async with _watching() as live:
        veth("late0", "late1")
        await _until(live, _counts(id))
        send("late1", 7)
        assert _packets((await _until(live, _counts(id)))[id]) == 7
        run("ip", "link", "set", "late0", "down")
        run("ip", "link", "set", "late0", "name", "later0")
        found = await _until(live, _counts(HookId("tc-ingress", "later0")))
        assert id not in found
        assert _packets(found[HookId("tc-ingress", "later0")]) == 7
        run("ip", "link", "del", "later0")
        await _until(live, lambda found: not any(i.target == "later0" for i in found))


async def test_an_interface_that_was_named_is_followed_when_it_comes_again() -> None:
    id, other = HookId("tc-ingress", "v0"), HookId("tc-ingress", "w0")
    veth()
    async with _watching(id) as live:
        send("v1", 3)
        assert _packets((await _until(live, _counts(id)))[id]) == 3
        run("ip", "link", "del", "v0")
        await _until(live, lambda found: not found)
        veth("w0", "w1")
        veth()
        await _until(live, _counts(id))
        send("v1", 5)
        found = await _until(live, _counts(id))
        assert _packets(found[id]) == 5
        assert other not in found, "only what was named"


async def test_an_interface_that_was_made_again_with_the_same_number_begins_anew() -> None:
    """And between two looks at what there is."""
    id = HookId("tc-ingress", "v0")
    index, _ = veth()
    async with _watching(id) as live:
        send("v1", 3)
        first = (await _until(live, _counts(id)))[id]
        if first.status.state is not State.ATTACHED:
            pytest.skip("it stands on its counters here")
        run("ip", "link", "del", "v0")
        run("ip", "link", "add", "v0", "index", str(index), "type", "veth", "peer", "name", "v1")
        for end in ("v0", "v1"):
            run("ip", "link", "set", end, "addrgenmode", "none", "up")
        await _until(
            live,
            lambda found: (
                id in found
                and found[id].status.state is State.ATTACHED
                and found[id].epoch != first.epoch
            ),
        )
        await_running("v1")
        send("v1", 5)
        assert _packets((await _until(live, _counts(id)))[id]) == 5


def _once(monkeypatch: pytest.MonkeyPatch, where: object, what: str) -> list[BaseException]:
    """Let it fail the next time that it is called, for want of files."""
    real, left = getattr(where, what), [OSError(errno.EMFILE, "")]
    raised: list[BaseException] = []

    def fails(*args: object) -> object:
        if left:
            raised.append(as_refusal(left.pop(), what))
            raise raised[-1]
        return real(*args)

    monkeypatch.setattr(where, what, fails)
    return raised


@pytest.mark.parametrize("fails", ["follow", "detach"])
async def test_what_could_not_be_let_go_of_at_once_is_the_next_time(
    monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    id, before = HookId("tc-ingress", "v0"), held()
    veth()
    async with _watching(id) as live:
        if (await _until(live, _counts(id)))[id].status.state is not State.ATTACHED:
            pytest.skip("it stands on its counters here")
        raised = _once(
            monkeypatch, *((live._rules, fails) if fails == "follow" else (Attachment, fails))
        )
        run("ip", "link", "del", "v0")
        async with asyncio.timeout(30):
            while not raised or held()[0] != before[0]:
                await asyncio.sleep(0.05)


async def test_what_was_not_let_go_of_when_it_ends_is_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `_inside` looks."""
    id = HookId("tc-ingress", "v0")
    veth()
    async with _watching(id) as live:
        await _until(live, _counts(id))
        begun = asyncio.Event()

        async def hangs(_: object) -> None:
            begun.set()
            await asyncio.sleep(60)

        monkeypatch.setattr(live._following, "_let_go", hangs)
        run("ip", "link", "del", "v0")
        async with asyncio.timeout(30):
            await begun.wait()


@pytest.mark.parametrize("fails", ["listed", "found"])
async def test_what_could_not_be_attached_at_once_is_the_next_time(
    monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    id = HookId("tc-ingress", "v0")
    index, _ = veth()
    async with _watching(id) as live:
        if (await _until(live, _counts(id)))[id].status.state is not State.ATTACHED:
            pytest.skip("it stands on its counters here")
        raised = _once(monkeypatch, interfaces, fails)
        run("ip", "link", "del", "v0")
        run("ip", "link", "add", "v0", "index", str(index), "type", "veth", "peer", "name", "v1")
        for end in ("v0", "v1"):
            run("ip", "link", "set", end, "addrgenmode", "none", "up")
        await _until(
            live,
            lambda found: bool(raised and id in found and found[id].status.state is State.ATTACHED),
        )
        await_running("v1")
        send("v1", 5)
        assert _packets((await _until(live, _counts(id)))[id]) == 5


async def test_what_could_not_be_attached_at_the_start_is_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    id = HookId("tc-ingress", "v0")
    veth()
    monkeypatch.setattr(Wanted, "initial", lambda _: [id])
    raised = _once(monkeypatch, interfaces, "found")
    async with _watching() as live:
        await _until(live, _counts(id))
        assert raised


async def test_what_gets_its_name_later_is_followed() -> None:
    """As udev gives it."""
    id = HookId("tc-ingress", "v0")
    veth()
    async with _watching(id) as live:
        run("ip", "link", "del", "v0")
        await _until(live, lambda found: not found)
        veth("eth7", "v1")
        await asyncio.sleep(0.3)
        run("ip", "link", "set", "eth7", "down")
        run("ip", "link", "set", "eth7", "name", "v0")
        await _until(live, _counts(id))


async def test_another_name_is_taken_for_hooks_and_rules() -> None:
    veth()
    run("ip", "link", "property", "add", "dev", "v0", "altname", OTHER)
    id, rule = HookId("tc-ingress", "v0"), parse("udp dport 5353 ttl 60s")
    async with _watching(HookId("tc-ingress", OTHER)) as live:
        send("v1", 4)
        assert _packets((await _until(live, _counts(id)))[id]) == 4
        assert [s.id for s in live.statuses() if s.state is not State.DETACHED] == [id]
        assert (await live.attach(HookId("xdp", OTHER))).id == HookId("xdp", "v0")
        await live.detach(HookId("xdp", OTHER))
        assert (await live.add_rule(OTHER, rule)).interface == "v0"
        await live.remove_rule(OTHER, rule)
        assert live.rules() == ()


def test_another_name_is_taken_on_the_command_line() -> None:
    veth()
    run("ip", "link", "property", "add", "dev", "v0", "altname", OTHER)
    done = ebpftop("once", "--json", "--for", "0.1", "--hook", f"tc-ingress@{OTHER}")
    assert done.returncode == 0, done.stderr
    (hook,) = json.loads(done.stdout)["hooks"]
    assert (hook["target"], hook["rows"][0]["interface"]) == ("v0", "v0")
    assert ebpftop("once", "--for", "0", "--hook", "tc-ingress@nobody").returncode == 1


def test_other_names_are_in_the_interfaces_row() -> None:
    """Filters take them from there."""
    veth()
    for name in (OTHER, "uplink"):
        run("ip", "link", "property", "add", "dev", "v0", "altname", name)
    done = ebpftop("once", "--json", "--for", "0", "--hook", "interfaces")
    rows = {r["interface"]: r for r in json.loads(done.stdout)["hooks"][0]["rows"]}
    assert rows["v0"]["altnames"].split() == [OTHER, "uplink"]
    assert rows["v1"]["altnames"] == ""


@pytest.mark.parametrize("beside", [(), ("--hook", "tc-ingress@w1")], ids=["alone", "of two"])
def test_a_stream_fails_where_what_was_named_is_not_there_in_the_end(
    beside: tuple[str, ...],
) -> None:
    veth()
    veth("w0", "w1")
    command = [*COMMAND, "stream", "--interval", "0.1", "--count", "30", "--hook", "tc-ingress@v0"]
    with subprocess.Popen(
        [*command, *beside], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        first = json.loads(child.stdout.readline())
        run("ip", "link", "del", "v0")
        last = json.loads(child.stdout.readlines()[-1])
        assert child.stderr is not None
        said = child.stderr.read()
    names = [name.partition("@")[2] for name in beside[1:]]
    assert [hook["target"] for hook in first["hooks"]] == ["v0", *names]
    assert [hook["target"] for hook in last["hooks"]] == names
    assert "tc-ingress@v0 is no longer attached: there is no v0" in said
    assert child.returncode == 1
