"""Another host over a pipe and over a real sshd: its numbers, what is asked of it, and its end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from probes.analysis.snapshot import Trail
from probes.compile.bundle import Needs
from probes.compile.kernel_build import KernelBuild
from probes.custom import builder
from probes.drop_rule import RuleError, parse
from probes.errors import Busy, Gone, ProbeError, Unsupported
from probes.hooks import catalogue
from probes.model import HookId, Sample, State, Status
from probes.recording.codec import Malformed
from probes.recording.encoder import Tick
from probes.source import Host
from probes.sources.demo.source import Demo
from probes.sources.live import budget
from probes.sources.live.memory import rows_for
from probes.sources.remote import protocol, ssh
from probes.sources.remote import session as remote_session
from probes.sources.remote.server import Begin
from probes.sources.remote.session import Disconnected
from probes.sources.remote.source import Remote
from probes.sources.remote.ssh import SshCommand, by_ssh
from tests.support.amounts import amounts
from tests.support.sshd import EBPFTOP, Sshd, sshd

ROOT = Path(__file__).parents[3]
PATIENCE = 120
"""Seconds until something is taken as never to come."""
SERVE = (sys.executable, "-m", "tui.cli", "serve", "--demo")
PIPE = SshCommand("web1", SERVE, SERVE)


def _shell(script: str) -> SshCommand:
    command = ("sh", "-c", script)
    return SshCommand("web1", command, command)


@asynccontextmanager
async def _connected(way: SshCommand = PIPE, **options: Any) -> AsyncIterator[Remote]:
    remote = Remote(way, **{"interval": 0.2, "pauses": (0.1,), **options})
    try:
        async with asyncio.timeout(PATIENCE):
            await remote.connect()
            await remote.start()
            yield remote
    finally:
        await remote.close()


async def _until(true: Any) -> None:
    while not true():
        await asyncio.sleep(0.02)


async def _some(remote: Remote, hook: str, number: int) -> list[tuple[Sample, ...]]:
    samples = remote.samples(hook)
    return [await anext(samples) for _ in range(number)]


# -- numbers ---------------------------------------------------------------------------------


async def test_the_numbers_are_those_that_were_read_there() -> None:
    """Every hook of the demo, row by row: the source there and the one here say the same."""
    demo = Demo(interval=0.2)
    await demo.start()
    async with _connected() as remote:
        assert remote.host == Host("web1", demo.host.kernel, demo=True)
        assert list(remote.catalogue) == list(demo.catalogue)
        for hook in ("interfaces", "syscalls", "tcp-rtt", "tc-ingress"):
            for samples in await _some(remote, hook, 3):
                assert {s.status.id for s in samples} == {
                    id for id in (s.id for s in demo.statuses()) if id.hook == hook
                }
                for sample in samples:
                    there = demo.sample(sample.status.id, sample.time)
                    assert (sample.rows, sample.cost, sample.lost, sample.wall) == (
                        there.rows, there.cost, there.lost, there.wall,
                    )  # fmt: skip


async def test_no_log_entry_comes_twice_and_none_is_lost() -> None:
    demo = Demo(interval=0.2, begin=0)
    await demo.start()
    async with _connected(interval=0.2) as remote:
        got = await _some(remote, "tcp-connect", 12)
    first, last = got[0][0].time, got[-1][0].time
    wanted = [e for n in range(round((last - first) / 0.2) + 1)
              for e in demo.sample(HookId("tcp-connect"), first + n * 0.2).log]  # fmt: skip
    assert sorted(map(repr, (e for (s,) in got for e in s.log))) == sorted(map(repr, wanted))


async def test_a_shorter_interval_is_asked_for_there() -> None:
    async with _connected(interval=3) as remote:
        remote.interval = 0.1
        assert remote.interval == 0.1
        await remote.attach(HookId("xdp", "eth0"))
        assert len(await _some(remote, "drops", 2)) == 2


# -- what is asked ---------------------------------------------------------------------------


async def test_attaching_there_and_what_refuses_it() -> None:
    """The status is the one there; errors are of the same kind, with their remedy."""
    async with _connected() as remote:
        status = await remote.attach(HookId("xdp", "eth0"))
        assert status.state is State.ATTACHED
        assert status.refused
        assert status in remote.statuses()
        with pytest.raises(Busy) as refused:
            await remote.attach(HookId("xdp", "eth1"))
        assert refused.value.code == "EBUSY"
        assert "xdp off" in refused.value.remedy
        with pytest.raises(Gone):
            await remote.attach(HookId("xdp", "nope"))
        assert (await remote.detach(HookId("xdp", "eth0"))).state is State.DETACHED


async def test_rules_there() -> None:
    async with _connected() as remote:
        rule = parse("src 203.0.113.0/24 udp dport 53 ttl 5m")
        made = await remote.add_rule("eth1", rule)
        assert made.rule == rule
        assert 290 < made.expires_in <= 300
        assert [e.rule for e in remote.rules()] == [rule]
        await remote.remove_rule("eth1", rule)
        assert remote.rules() == ()
        with pytest.raises(Unsupported, match="loopback"):
            await remote.add_rule("lo", rule)


async def test_latency_is_measured() -> None:
    async with _connected() as remote:
        await _until(lambda: remote.feed.latency is not None)
        assert remote.feed.latency is not None
        assert remote.feed.latency > 0
        assert remote.feed.trouble == ""


# -- cuts ------------------------------------------------------------------------------------


async def test_a_cut_is_said_and_mended_and_no_rate_is_made_across_it() -> None:
    """On demand hooks that look on are attached again; rules and data paths are not."""
    async with _connected() as remote:
        await remote.attach(HookId("sources", "eth1"))
        await remote.attach(HookId("xdp", "eth0"))
        await remote.detach(HookId("drops"))
        await remote.add_rule("eth1", parse("udp dport 53"))
        samples = remote.samples("interfaces")
        trail = Trail(catalogue()["interfaces"])
        before = [trail.snapshot((await anext(samples))[0]) for _ in range(3)][-1]
        assert before.interval is not None
        call = remote._call
        assert call is not None
        assert call._process is not None
        call._process.kill()
        await _until(lambda: remote.feed.trouble)
        with pytest.raises(ProbeError):
            await call.ask(do="ping")
        await _until(lambda: not remote.feed.trouble)
        epoch = before.sample.epoch
        while (sample := (await anext(samples))[0]).epoch == epoch:
            pass
        assert sample.epoch > epoch
        assert trail.snapshot(sample).interval is None
        state = {s.id: s.state for s in remote.statuses()}
        await _until(
            lambda: (
                {s.id: s.state for s in remote.statuses()}.get(HookId("sources", "eth1"))
                is State.ATTACHED
            )
        )
        await _until(
            lambda: {s.id: s.state for s in remote.statuses()}[HookId("drops")] is State.DETACHED
        )
        state = {s.id: s.state for s in remote.statuses()}
        assert state[HookId("xdp", "eth0")] is State.DETACHED
        assert remote.rules() == ()


async def test_while_it_is_cut_nothing_can_be_asked() -> None:
    async with _connected(pauses=(1000.0,)) as remote:
        await _until(remote.statuses)
        assert remote._call is not None
        assert remote._call._process is not None
        remote._call._process.kill()
        await _until(lambda: remote.feed.again)
        with pytest.raises(ProbeError, match="web1 is not connected"):
            await remote.attach(HookId("xdp", "eth0"))
        assert remote.feed.since
        assert remote.statuses(), "as they were"


async def test_silence_is_a_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that is half open answers nothing, and never ends by itself."""
    monkeypatch.setattr(remote_session, "GONE", 0.5)
    async with _connected(pauses=(1000.0,)) as remote:
        assert remote._call is not None
        process = remote._call._process
        assert process is not None
        process.send_signal(signal.SIGSTOP)
        await _until(lambda: remote.feed.trouble)
        assert "no message came" in remote.feed.trouble
        process.send_signal(signal.SIGCONT)


async def test_the_other_side_ends_with_the_end_of_its_stdin_and_with_silence() -> None:
    """Whoever asks may be gone without a word."""
    process = await asyncio.create_subprocess_exec(
        *SERVE, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    begin: dict[str, Any] = {"interval": 1, "also": [], "pins": {}, "drops": [], "percent": 5}
    process.stdin.write(protocol.request(do="begin", id=1, observe_only=False, **begin))
    assert (await process.stdout.readline()) == b"ebpftop-wire/2\n"
    process.stdin.close()
    await process.stdout.read()
    assert await process.wait() == 0
    await process.stdin.wait_closed()


async def test_what_ssh_leaves_behind_keeps_nobody(tmp_path: Path) -> None:
    """A master connection (ControlPersist) holds stderr open, or whatever else: a cut is noticed
    and mended, and leaving is leaving."""
    serve = " ".join(SERVE)
    script = f"sleep 1000 <&- >&- & echo $! >>{tmp_path}/left; exec {serve}"
    try:
        async with _connected(_shell(script)) as remote:
            assert remote._call is not None
            assert remote._call._process is not None
            remote._call._process.kill()
            await _until(lambda: remote.feed.trouble)
            await _until(lambda: not remote.feed.trouble)
            assert await _some(remote, "drops", 1)
            async with asyncio.timeout(PATIENCE):
                await remote.close()
    finally:
        for pid in (tmp_path / "left").read_text().split():
            os.kill(int(pid), signal.SIGKILL)


# -- another version ---------------------------------------------------------------------------

OTHER = """
import sys
from probes.sources.remote import protocol
from tui.cli import main
from tui.commands import serve
serve.version = lambda: sys.argv[1]
hello, names = protocol.Outgoing.hello, eval(sys.argv[2])
def other(self, *told):
    self._hooks, known = dict.fromkeys(names(list(self._hooks))), self._hooks
    try:
        said = hello(self, *told).replace(b'"demo": ', sys.argv[3].encode() + b'"demo": ')
        place = said.index(b"\\nH") + 1
        length = len(said) - place - protocol.HEAD.size
        return said[:place] + protocol.HEAD.pack(b"H", length) + said[place + protocol.HEAD.size:]
    finally:
        self._hooks = known
protocol.Outgoing.hello = other
sys.exit(main(["serve", "--demo"]))
"""
"""An ebpftop of another version: its number, its hooks, and what else its greeting says."""


def _other(*told: str) -> SshCommand:
    command = (sys.executable, "-c", OTHER, *told)
    return SshCommand("web1", command, command)


@pytest.mark.parametrize(
    ("there", "said"),
    [
        (("2.0", "lambda names: names", ""), "web1 runs ebpftop 2.0, this is 1.0"),
        (
            ("2.0", "lambda names: [*names, 'futures']", '"mood": {"x": [1]}, "needs": 7, '),
            "web1 runs ebpftop 2.0, this is 1.0; not known here: futures",
        ),
        (
            ("0.1", "lambda names: [n for n in names if n not in ('tls', 'dns')]", ""),
            "web1 runs ebpftop 0.1, this is 1.0; not known there: dns, tls",
        ),
        (("1.0", "lambda names: names", ""), None),
    ],
)
async def test_another_version_is_said_once_and_its_numbers_come(
    there: tuple[str, str, str], said: str | None
) -> None:
    words: list[str] = []
    async with _connected(_other(*there), version="1.0", words=words.append) as remote:
        assert words == ([said] if said else [])
        assert len(await _some(remote, "drops", 1)) == 1
        assert remote.needs is None
        await remote.connect_anew()
    assert len(words) == (1 if said else 0)


async def test_an_older_or_newer_request_to_begin_is_understood() -> None:
    """What this version does not know is left alone; what an older one does not say is usual."""
    known: dict[str, Any] = {
        "do": "begin", "interval": 1, "also": [], "pins": {}, "drops": [], "observe_only": False,
    }  # fmt: skip
    assert Begin.read(known).percent == budget.DEFAULT
    assert Begin.read({**known, "budget": 2, "mood": [1], "pace": {"of": 3}}) == Begin.read(
        {**known, "budget": 2}
    )


def test_what_a_host_without_bcc_needs_is_told() -> None:
    needs = Needs(KernelBuild("6.1", "#1 SMP", "x86_64", "0f"), "c0", locked=False)
    said = protocol.Outgoing(catalogue()).hello(Host("web1", "6.1"), "1.0", needs)
    payload = said[said.index(b"\nH") + 1 + protocol.HEAD.size :]
    assert protocol.read_hello(payload).needs == needs
    assert protocol.read_hello(payload.replace(b"false]", b"0]")).needs is None


# -- what answers is not what it should be -----------------------------------------------------


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'sh: 1: ebpftop: not found' >&2; exit 127", "no such command on web1: sh: 1"),
        ("echo 'ssh: connect to host web1 port 22: Connection refused' >&2; exit 255",
         "web1 cannot be reached: ssh: connect to host web1 port 22: Connection refused"),
        ("echo \"ebpftop: error: argument COMMAND: invalid choice: 'serve'\" >&2; exit 2",
         "too old for --remote"),
        ("echo 'sudo: a password is required' >&2; exit 1", "web1: sudo: a password is required"),
        ("echo ebpftop-wire/99; sleep 5", "version 99 .* the one here version 2"),
        ("exit 3", "status 3 and no message"),
        ("head -c 100000 /dev/zero", "did not start ebpftop"),
        ("yes | head -n 100000", "did not start ebpftop"),
        (r"printf 'ebpftop-wire/2\nX\001\000\000\000{'", "not valid"),
        (r"printf 'ebpftop-wire/2\nH\377\377\377\377{}'", "too large"),
        (r"printf 'ebpftop-wire/2\nH\002\000\000\000[]'", "not an object"),
    ],
)  # fmt: skip
async def test_whatever_answers_is_one_sentence(script: str, said: str) -> None:
    remote = Remote(_shell(script))
    with pytest.raises(ProbeError, match=said):
        await asyncio.wait_for(remote.connect(), PATIENCE)
    await remote.close()


async def test_where_there_is_no_ebpftop_the_remedy_says_how_to_put_it_there() -> None:
    with pytest.raises(Unsupported) as none:
        await Remote(_shell("exit 127")).connect()
    assert "--remote-command" in none.value.remedy


async def test_what_a_login_shell_prints_is_no_harm() -> None:
    """A banner, fortunes, a last line without newline."""
    serve = " ".join(SERVE)
    words: list[str] = []
    script = f"echo Welcome; echo motd >&2; printf 'no newline'; exec {serve}"
    async with _connected(_shell(script), words=words.append) as remote:
        assert len(await _some(remote, "drops", 1)) == 1
    assert words == ["motd"]


def test_damaged_and_hostile_moments_are_malformed() -> None:
    """Cut, changed or inflated without end: never anything else."""
    out = protocol.Outgoing(catalogue())
    message = out.moment(Tick(1.0, 1.0, {}))
    payload = message[protocol.HEAD.size :]
    assert protocol.Incoming(catalogue()).moment(payload).interval == 1.0
    bomb = zlib.compress(b"\0" * (1 << 26), wbits=-15)
    for bad in (
        b"", payload[:3], payload[:-1], b"\xff" * 40, payload[:4] + b"\xff" * 20,
        (1 << 25).to_bytes(4, "little") + bomb, (1 << 31).to_bytes(4, "little") + bomb,
        *(payload[:n] + bytes([payload[n] ^ 0x55]) + payload[n + 1 :] for n in range(len(payload))),
    ):  # fmt: skip
        try:
            protocol.Incoming(catalogue()).moment(bad)
        except Malformed:
            pass


async def test_what_cannot_be_asked_is_refused_and_the_connection_goes_on() -> None:
    asked: tuple[dict[str, Any], ...] = (
        {"do": "attach"}, {"do": "attach", "hook": 3, "rung": None}, {"do": "interval"}, {},
        {"do": "interval", "seconds": 0.0001}, {"do": "interval", "seconds": 1e300},
        {"do": "interval", "seconds": float("nan")}, {"do": "begin", "interval": 1},
        {"do": "add rule", "interface": "eth0", "rule": 7}, {"do": "rm -rf"},
    )  # fmt: skip
    async with _connected() as remote:
        assert remote._call is not None
        for what in asked:
            with pytest.raises(ProbeError, match="does not know this request"):
                await remote._call.ask(**what)
        with pytest.raises(RuleError):
            await remote._call.ask(do="add rule", interface="eth0", rule="src nowhere")
        await remote._call.ask(do="ping")


SAYS = """
import json, sys, time
from probes.hooks import catalogue
from probes.source import Host
from probes.sources.remote import protocol
def message(kind, data):
    sys.stdout.buffer.write(protocol.HEAD.pack(kind, len(data)) + data); sys.stdout.flush()
sys.stdout.buffer.write(protocol.Outgoing(catalogue()).hello(Host("web1", "6.12"), "1"))
sys.stdin.readline()
"""
"""The other side as far as its greeting and the first request."""
ANSWERS = 'message(b"A", b\'{"id": 1, "result": []}\')\n'


def _saying(script: str) -> SshCommand:
    command = (sys.executable, "-c", SAYS + script)
    return SshCommand("web1", command, command)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        *((f'message(b"A", b\'{{"id": {id}}}\'); sys.stdin.read()', "an answer has no number")
          for id in ("[1]", "{}", "null", '"x"', "1.5")),
        ('message(b"A", b"[" * 100000); sys.stdin.read()', "not JSON"),
        ('message(b"A", b\'{"x": \' + b"[" * 50 + b"]" * 50 + b"}"); sys.stdin.read()', "deeply"),
        ('message(b"A", b" " * (1 << 21)); sys.stdin.read()', "too large"),
        ('message(b"F", b"x" * 99); sys.stdin.read()', "a moment needs more"),
        ("sys.stderr.write('words\\n' * 100000)", "web1: words"),
    ],
)  # fmt: skip
async def test_whatever_comes_is_a_cut_with_a_sentence(script: str, said: str) -> None:
    remote = Remote(_saying(script))
    with pytest.raises(ProbeError, match=said):
        await asyncio.wait_for(remote.connect(), PATIENCE)
    await remote.close()


async def test_an_error_that_nobody_thought_of_is_a_cut_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever a moment does here, the connection says so, and is made again."""

    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    async with _connected() as remote:
        monkeypatch.setattr(protocol.Incoming, "moment", broken)
        await _until(lambda: "not valid (ZeroDivisionError)" in remote.feed.trouble)
        monkeypatch.undo()
        await _until(lambda: not remote.feed.trouble)
        assert await _some(remote, "drops", 1)


async def test_an_error_that_cannot_be_of_a_request_is_one_that_can() -> None:
    """Who asks for no rule expects no RuleError, at the beginning and later."""
    wrong = b'{"id": %d, "error": "RuleError", "why": "so", "result": []}'
    begin = f'message(b"A", {wrong % 1}); sys.stdin.read()'
    with pytest.raises(ProbeError, match="web1: so"):
        await Remote(_saying(begin)).connect()
    later = "".join([f'message(b"A", {wrong % n})\n' for n in range(2, 9)])
    async with _connected(
        _saying(ANSWERS + "sys.stdin.readline()\n" + later + "sys.stdin.read()")
    ) as remote:
        with pytest.raises(ProbeError, match="so"):
            await remote.attach(HookId("xdp", "eth0"))


async def test_whatever_fails_while_it_connects_again_it_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried: list[int] = []

    async def broken(*_: Any, **__: Any) -> None:
        tried.append(1)
        raise ZeroDivisionError

    async with _connected() as remote:
        call = remote._call
        assert call is not None
        assert call._process is not None
        with monkeypatch.context() as patched:
            patched.setattr(Remote, "_connect", broken)
            call._process.kill()
            await _until(lambda: len(tried) > 2)
        await _until(lambda: not remote.feed.trouble)
        assert await _some(remote, "drops", 1)


async def test_who_is_cut_at_once_is_asked_less_and_less_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slept: list[float] = []
    sleep = asyncio.sleep

    async def noted(seconds: float) -> None:
        slept.append(seconds)
        await sleep(min(seconds, 0.01))

    pauses = (100.0, 200.0, 300.0, 400.0)
    remote = Remote(_saying(ANSWERS), pauses=pauses)
    monkeypatch.setattr(asyncio, "sleep", noted)
    await remote.connect()
    await remote.start()
    while 400.0 not in slept:
        await sleep(0.02)
    assert [s for s in slept if s >= 100][:4] == list(pauses)
    await remote.close()


async def test_who_does_not_read_what_is_asked_is_cut() -> None:
    """What waits for ssh to take it is bounded, also where nothing is ever answered."""
    async with _connected(_saying(ANSWERS + "time.sleep(60)")) as remote:
        call = remote._call
        assert call is not None
        for _ in range(20_000):  # far more than may wait
            remote.interval = 0.2
        assert call._process is not None
        assert call._process.stdin is not None
        waits = call._process.stdin.transport.get_write_buffer_size()
        assert waits < 1 << 19
        assert len(call._waiting) <= remote_session.MOST_ASKED
        with pytest.raises(Disconnected, match="are not read there"):
            await call.ask(do="ping")


MOMENTS = """
from probes.recording.encoder import Tick
out = protocol.Outgoing(catalogue())
while True:
    sys.stdout.buffer.write(out.moment(Tick(time.time(), 1.0, {})))
"""
ANSWERED = """
while True:
    message(b"A", b'{"id": 9, "result": [' + b'"x", ' * 150_000 + b'""]}')
"""
NONSENSE = """
while True:
    message(b"Z", b"x")
"""


@pytest.mark.parametrize("flood", [MOMENTS, ANSWERED, NONSENSE], ids=["F", "A", "Z"])
async def test_what_comes_without_a_pause_leaves_time_for_everything_else(flood: str) -> None:
    """As fast as the pipe is: it waits there."""
    async with _connected(_saying(ANSWERS + flood)) as remote:
        turns, end = 0, asyncio.get_running_loop().time() + 0.5
        while asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.01)
            turns += 1
        assert turns > 12
        assert remote._call is not None
        assert all(q.qsize() <= 32 for q in remote._queues.values())


async def test_of_rows_that_are_more_than_memory_the_least_active_are_left_out() -> None:
    """As of this kernel's; what was not read again is the same object."""
    hook = catalogue()["syscalls"]
    remote = Remote(PIPE, most=100_000_000)
    samples, most = remote.samples(hook.name), rows_for(0)  # the moment itself takes the others
    waiting = asyncio.ensure_future(anext(samples))
    await asyncio.sleep(0)

    def tick(second: int) -> Tick:
        width, status = len(hook.places.names), Status(HookId(hook.name), State.ATTACHED, "best")
        rows = {}
        for n in range(5000):
            row = (n,) * (width - 1) + (second * n,)
            rows[tuple([row[i] for i in hook.places.keys])] = row
        sample = Sample(status, second, 1e9 + second, rows=rows)  # type: ignore[arg-type]
        return Tick(1e9 + second, 1.0, {hook.name: (sample,)}, (status,))

    first = tick(1)
    remote._take(first)
    (sample,) = await waiting
    assert len(sample.rows) == most
    assert sample.forgotten == 5000 - most
    remote._take(first)
    assert remote._queues[hook.name].empty(), "it was not read again"
    remote._take(tick(2))
    (sample,) = await anext(samples)
    assert {row[-1] for row in sample.rows.values()} == {2 * n for n in range(5000 - most, 5000)}
    assert remote._tick is not None
    (held,) = remote._tick.samples[hook.name]
    assert len(held.rows) == most


def test_an_answer_says_no_more_than_anybody_reads() -> None:
    told = {"id": 1, "result": ["x" * 10_000] * 10_000}
    assert sum(map(len, protocol.read_result(told))) < 1 << 19


@amounts("tries", quick=15, slow=80)
@pytest.mark.parametrize("seed", [0, 1000])
def test_whatever_is_said_is_a_cut_with_a_sentence(seed: int, tries: int) -> None:
    """Conversations of which something was changed: as values, in frames, and as bytes."""
    words = "-m", "tests.support.hostile_remote", "answers", str(seed), str(seed + tries)
    subprocess.run(
        [sys.executable, *words],
        cwd=ROOT, check=True, timeout=120,
    )  # fmt: skip


def test_hooks_of_the_users_own_there_are_bounded() -> None:
    """Each of them gets columns here; a host that names new ones all the time does not get more."""
    hooks, there = dict(catalogue()), dict(catalogue())
    for n in range(20):
        if n % 5 == 0:  # it is cut, and connected to again
            incoming, out = protocol.Incoming(hooks, builder.recalled), protocol.Outgoing(there)
        named = [HookId(f"kprobe:f{n}_{k}") for k in range(100)]
        tick = Tick(1.0 + n, 1.0, {}, tuple(Status(id, State.ATTACHED, "kprobe") for id in named))
        incoming.moment(out.moment(tick)[protocol.HEAD.size :])
    assert len(hooks) == len(there) + protocol.MOST_OWN


def test_errors_travel_by_their_kind() -> None:
    for error in (Busy("b", errno=16, remedy="r"), Gone("g"), RuleError("x"), Disconnected("c")):
        told = json.loads(protocol.answer(1, error)[protocol.HEAD.size :])
        back = protocol.read_error(told)
        wanted = ProbeError if isinstance(error, Disconnected) else type(error)
        assert type(back) is wanted
        assert str(back) == str(error)
    assert type(protocol.read_error({"error": "annotations", "why": "x"})) is ProbeError


# -- ssh -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "destination", ["", "-oProxyCommand=sh", "a b", "a\nb", "host\t", "--", "\x1b[2J"]
)
def test_what_is_no_destination_never_comes_to_ssh(destination: str) -> None:
    with pytest.raises(ProbeError, match="is not a host"):
        by_ssh(destination)


def test_the_command_line_trusts_nothing_that_the_user_does_not() -> None:
    way = by_ssh("ops@web1", "sudo ebpftop")
    assert way.name == "web1"
    assert way.first[-3:] == ("--", "ops@web1", "sudo ebpftop serve")
    assert "StrictHostKeyChecking" not in " ".join((*way.first, *way.again))
    assert "BatchMode=yes" in way.again
    assert "BatchMode=yes" not in way.first
    assert by_ssh("ssh://ops@web1:2222").name == "web1:2222"
    assert by_ssh("web1", netns="blue").first[-1] == "ebpftop serve --netns=blue"
    assert by_ssh("web1", netns="a b;").first[-1] == "ebpftop serve --netns='a b;'"


@asynccontextmanager
async def _over_ssh(there: Sshd, **options: Any) -> AsyncIterator[Remote]:
    command = options.pop("command", f"{EBPFTOP} serve --demo #")
    async with _connected(by_ssh("there", command, there.options), **options) as remote:
        yield remote


async def test_over_a_real_sshd(tmp_path: Path) -> None:
    """The same numbers; a cut is mended; at the end nothing runs there any more."""
    demo = Demo(interval=0.2)
    await demo.start()
    with sshd(tmp_path) as there:
        async with _over_ssh(there) as remote:
            (sample,) = (await _some(remote, "syscalls", 2))[-1]
            assert sample.rows == demo.sample(HookId("syscalls"), sample.time).rows
            await remote.attach(HookId("xdp", "eth0"))
            (serving,) = there.descendants("-m tui.cli serve")[-1:]
            for session in there.descendants("sshd"):
                os.kill(session, signal.SIGKILL)
            await _until(lambda: remote.feed.trouble)
            await _until(lambda: not remote.feed.trouble)
            assert len(await _some(remote, "syscalls", 2)) == 2
            assert not Path(f"/proc/{serving}/fd").exists() or serving not in there.descendants()
        await _until(lambda: not there.descendants("tui.cli"))


async def test_a_host_key_that_is_not_known_is_never_taken(tmp_path: Path) -> None:
    with sshd(tmp_path) as there:
        there.forget()
        with pytest.raises(ProbeError, match=r"cannot be reached.*[Hh]ost key"):
            async with _over_ssh(there):
                pass


async def test_over_ssh_a_command_that_is_not_there(tmp_path: Path) -> None:
    with sshd(tmp_path) as there, pytest.raises(Unsupported, match="no such command on there"):
        async with _over_ssh(there, command="no-such-ebpftop"):
            pass


async def test_a_port_that_nobody_listens_on_is_a_sentence(tmp_path: Path) -> None:
    with sshd(tmp_path) as there:
        options = (*there.options, "-p", "1")
        with pytest.raises(ProbeError, match=r"there cannot be reached: .*refused"):
            await Remote(by_ssh("there", EBPFTOP, options)).connect()
    assert ssh.why("x", 255, ()).why == "x cannot be reached: ssh does not say why"
