"""`--remote` to another network namespace by a real sshd: that one's kernel, and nothing left."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from probes.custom import spec
from probes.drop_rule import parse
from probes.errors import ProbeError
from probes.model import HookId, State
from probes.sources.remote.source import Remote
from probes.sources.remote.ssh import by_ssh
from tests.support.commands import held, left_of
from tests.support.namespaces import await_running, namespace, run, send
from tests.support.sshd import EBPFTOP, ROOT, Sshd, sshd

pytestmark = [pytest.mark.kernel, pytest.mark.anywhere]
PATIENCE = 180
"""Seconds until something is taken as never to come."""
HERE, THERE = "10.98.0.1", "10.98.0.2"


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Sshd]:
    """A namespace with an sshd, at the other end of v0; w0 leads there as well, and is silent."""
    other = f"ebpftop-there-{os.getpid()}"
    with namespace():
        run("ip", "netns", "add", other)
        try:
            _pair("v0", "v1", other)
            _pair("w0", "w1", other)
            run("ip", "addr", "add", f"{HERE}/24", "dev", "v0")
            run("ip", "-n", other, "addr", "add", f"{THERE}/24", "dev", "v1")
            for name in ("v0", "w0"):
                await_running(name)
            with sshd(tmp_path, THERE, before=("nsenter", f"--net=/run/netns/{other}")) as daemon:
                yield daemon
        finally:
            run("ip", "netns", "del", other)


def _pair(one: str, other: str, where: str) -> None:
    """Up at both ends, and without a word of IPv6."""
    run("ip", "link", "add", one, "type", "veth", "peer", "name", other, "netns", where)
    quiet = "for f in /proc/sys/net/ipv6/conf/{}/disable_ipv6; do [ ! -e $f ] || echo 1 > $f; done"
    run("sh", "-c", quiet.format(one))
    run("nsenter", f"--net=/run/netns/{where}", "sh", "-c", quiet.format(other))
    run("ip", "link", "set", one, "up")
    run("ip", "-n", where, "link", "set", other, "up")
    run("ip", "-n", where, "link", "set", "lo", "up")


@asynccontextmanager
async def _remote(there: Sshd, netns: str | None = None) -> AsyncIterator[Remote]:
    way = by_ssh("there", EBPFTOP, there.options, netns=netns)
    remote = Remote(way, interval=0.2, pauses=(0.1,))
    try:
        async with asyncio.timeout(PATIENCE):
            await remote.connect()
            await remote.start()
            yield remote
    finally:
        await remote.close()


async def _until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not true():
            await asyncio.sleep(0.05)


def _state(remote: Remote, id: HookId) -> State | None:
    return next((s.state for s in remote.statuses() if s.id == id), None)


async def test_packets_are_counted_there_exactly_and_shown_here(there: Sshd) -> None:
    async with _remote(there) as remote:
        await _until(lambda: _state(remote, HookId("tc-ingress", "w1")) is State.ATTACHED)
        send("w0", 137)
        place = remote.catalogue["tc-ingress"].places.names.index("packets")
        async for samples in remote.samples("tc-ingress"):
            w1 = [s for s in samples if s.status.id.target == "w1"]
            if w1 and [row[place] for row in w1[0].rows.values()] == [137]:
                break
        (serving,) = there.descendants("tui.cli serve")[-1:]
        before = held(serving)
        assert before[0]
    assert left_of(*before) == (set(), set())
    assert not there.descendants("tui.cli")


async def test_it_looks_from_inside_a_namespace_there(there: Sshd) -> None:
    name = f"ebpftop-inside-{os.getpid()}"
    run("ip", "netns", "add", name)
    try:
        run("ip", "-n", name, "link", "add", "inside7", "type", "veth", "peer", "name", "inside8")
        async with _remote(there, netns=name) as remote:
            assert f"(netns {name})" in remote.host.title
            place = remote.catalogue["interfaces"].places.names.index("interface")
            async for samples in remote.samples("interfaces"):
                if seen := {row[place] for sample in samples for row in sample.rows.values()}:
                    break
    finally:
        run("ip", "netns", "del", name)
    assert seen == {"lo", "inside7", "inside8"}


@pytest.mark.parametrize("name", ["no such", "-x", "$(touch /tmp/x)", "'"])
async def test_a_namespace_that_is_not_there_is_refused_in_a_sentence(
    there: Sshd, name: str
) -> None:
    with pytest.raises(ProbeError, match="there: there is no network namespace"):
        async with _remote(there, netns=name):
            pass


async def test_a_data_path_hook_is_attached_there_and_gone_when_this_side_is_killed(
    there: Sshd,
) -> None:
    """ssh is killed without a word: the other side notices, and lets go of everything."""
    remote = Remote(by_ssh("there", EBPFTOP, there.options), interval=0.2, pauses=(1000.0,))
    async with asyncio.timeout(PATIENCE):
        await remote.connect()
        await remote.start()
        status = await remote.attach(HookId("xdp", "w1"))
        assert status.state is State.ATTACHED
    (serving,) = there.descendants("tui.cli serve")[-1:]
    before = held(serving)
    call = remote._call
    assert call is not None
    assert call._process is not None
    call._process.kill()
    await _until(lambda: not there.descendants("tui.cli"))
    assert left_of(*before) == (set(), set())
    await remote.close()


async def test_a_rule_there_never_matches_the_connection_that_we_came_by(there: Sshd) -> None:
    """It drops all else of this host, and the connection goes on."""
    async with _remote(there) as remote:
        made = await remote.add_rule("v1", parse(f"src {HERE} ttl 60s"))
        assert made.rung is not None
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            for _ in range(23):
                s.sendto(b"x", (THERE, 9))
        await _until(lambda: [e.packets for e in remote.rules()] == [23])
        assert remote.feed.trouble == ""
        await remote.remove_rule("v1", made.rule)
        assert remote.rules() == ()


async def test_a_hook_of_the_user_s_own_is_made_there_and_shown_here(there: Sshd) -> None:
    """It is not known on this side before: its columns are those of what is written."""
    name = str(spec.parse("rawtracepoint:sched_process_exit"))
    async with _remote(there) as remote:
        assert name not in remote.catalogue
        status = await remote.attach(HookId(name))
        assert status.state is State.ATTACHED
        assert name in remote.catalogue
        text, _ = await remote.complete("rawtracepoint:sched_process_exi")
        assert text == "rawtracepoint:sched_process_exit"
        subprocess.run(["true"], check=True)
        async for samples in remote.samples(name):
            if samples[0].rows:
                break
        assert (await remote.detach(HookId(name))).state is State.DETACHED


@contextmanager
def _screen(there: Sshd) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The command with --remote on a terminal of its own, with our ssh's options."""
    wrapper = there.place / "bin" / "ssh"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\nexec /usr/bin/ssh {" ".join(there.options)} "$@"\n')
    wrapper.chmod(0o755)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 40, 120, 0, 0))
    environment = {**os.environ, "PATH": f"{wrapper.parent}:{os.environ['PATH']}", "TERM": "xterm"}
    command = (sys.executable, "-m", "tui.cli", "--remote", "there", "--remote-command", EBPFTOP)
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=ROOT, env=environment,
        start_new_session=True,
    ) as child:  # fmt: skip
        os.close(theirs)
        try:
            yield child, ours
        finally:
            child.kill()
            os.close(ours)


def _read_until(terminal: int, wanted: bytes) -> bytes:
    seen, deadline = b"", time.monotonic() + PATIENCE
    while wanted not in re.sub(rb"\x1b\[[0-9;?]*[a-zA-Z]", b"", seen):
        assert time.monotonic() < deadline, seen[-2000:]
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                seen += os.read(terminal, 1 << 16)
            except OSError:
                break
    return seen


@pytest.mark.parametrize("end", [b"q", signal.SIGTERM, signal.SIGKILL])
def test_the_screen_of_another_host_leaves_nothing_there(there: Sshd, end: bytes | int) -> None:
    """By key, by signal, and when it is killed."""
    with _screen(there) as (child, terminal):
        _read_until(terminal, b"w1")
        (serving,) = there.descendants("tui.cli serve")[-1:]
        before = held(serving)
        if isinstance(end, bytes):
            os.write(terminal, end)
        else:
            child.send_signal(end)
        deadline = time.monotonic() + PATIENCE
        while there.descendants("tui.cli"):
            assert time.monotonic() < deadline
            while select.select([terminal], [], [], 0.1)[0]:
                try:
                    os.read(terminal, 1 << 16)
                except OSError:
                    time.sleep(0.1)
                    break
        wanted = {b"q": 0, signal.SIGTERM: 143, signal.SIGKILL: -9}
        assert child.wait(PATIENCE) == wanted[end]
    assert left_of(*before) == (set(), set())
