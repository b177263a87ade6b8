"""`ebpftop export` on the real kernel: exact numbers, what comes later, what it may still do."""

from __future__ import annotations

import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from probes.hooks.tcp_rtt import callback_flags
from probes.kernel.capabilities import BPF, NET_ADMIN, PERFMON, PROCESSES, SYS_ADMIN, SYSLOG
from tests.support.commands import ebpftop, held, left_of, running
from tests.support.namespaces import namespace, run, send, veth

pytestmark = [pytest.mark.kernel, pytest.mark.anywhere]
PATIENCE = 120.0
"""Seconds until something is taken as never to come."""


@pytest.fixture(autouse=True)
def _inside() -> Iterator[None]:
    with namespace():
        yield


@contextmanager
def _exporting(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], Callable[[], str]]]:
    """The command, and what asks it for its metrics."""
    common = ("export", "--listen", "127.0.0.1:0", "--interval", "0.2")
    with running(*common, *arguments) as child:
        assert child.stderr is not None
        said = ""
        for line in child.stderr:
            said += line
            if found := re.search(r"metrics on (http://\S+)", line):
                break
        else:
            raise AssertionError(said)

        def ask() -> str:
            with urllib.request.urlopen(found[1]) as answer:
                text: str = answer.read().decode()
            return text

        yield child, ask


def _until(ask: Callable[[], str], wanted: str) -> str:
    deadline = time.monotonic() + PATIENCE
    while wanted not in (text := ask()):
        assert time.monotonic() < deadline, f"never came: {wanted}"
        time.sleep(0.1)
    return text


def _capabilities(pid: int) -> set[str]:
    """Effective, permitted and bounding sets of every thread and child, none of which can get more.

    What has ended meanwhile has none.
    """
    found = set()
    for process in (pid, *_children(pid)):
        for task in Path(f"/proc/{process}/task").glob("*"):
            with suppress(OSError):
                lines = (task / "status").read_text().splitlines()
                said = dict(line.split(":\t", 1) for line in lines)
                assert said["NoNewPrivs"] == "1"
                found |= {said["CapEff"], said["CapPrm"], said["CapBnd"]}
    return found


def _children(pid: int) -> Iterator[int]:
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == pid:
                yield int(process.name)
                yield from _children(int(process.name))


def _mask(*numbers: int) -> str:
    mine = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return f"{sum(1 << n for n in numbers) & int(mine['CapEff'], 16):016x}"


def test_what_is_exported_is_what_was_sent() -> None:
    """Exactly, by the program that is attached; a signal ends it with nothing left."""
    veth()
    with _exporting("--hook", "tc-ingress@v1") as (child, ask):
        before = held(child.pid)
        send("v0", 137)
        _until(ask, 'ebpftop_tc_ingress_packets_total{interface="v1"} 137.0')
        child.send_signal(signal.SIGTERM)
        assert child.wait(60) == 143
    assert before[0]
    assert left_of(*before) == (set(), set())


def test_an_interface_that_comes_later_is_counted_too_without_what_was_given_up() -> None:
    """Its programs are loaded and attached with the capabilities that are left."""
    with _exporting() as (_, ask):
        ask()
        veth("w0", "w1")
        text = _until(ask, 'hook="tc-ingress",note="",rung="tc')
        text = _until(ask, 'target="w1"} 1.0')
        stands = r'ebpftop_hook_info\{hook="tc-ingress",.*state="attached",target="w1"\}'
        deadline = time.monotonic() + PATIENCE
        while not re.search(stands, text := ask()):
            assert time.monotonic() < deadline, text
            time.sleep(0.1)
        send("w0", 11)
        _until(ask, 'ebpftop_tc_ingress_packets_total{interface="w1"} 11.0')
        run("ip", "link", "del", "w0")
        deadline = time.monotonic() + PATIENCE
        while 'target="w1"' in ask():
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_no_thread_keeps_a_capability_that_nothing_needs() -> None:
    """By what stands: reading these takes neither CAP_SYS_ADMIN nor that of the network."""
    narrow = ("--hook", "syscalls", "--hook", "drops", "--budget", "off")
    with _exporting(*narrow) as (child, ask):
        ask()
        assert _capabilities(child.pid) == {_mask(BPF, SYSLOG, *PROCESSES)}
        _until(ask, "ebpftop_syscalls_calls_total{")
    with _exporting() as (child, ask):
        ask()
        all_used = _mask(BPF, PERFMON, NET_ADMIN, SYS_ADMIN, SYSLOG, *PROCESSES)
        assert _capabilities(child.pid) == {all_used}
    with _exporting("--hook", "tcp-rtt", "--budget", "off") as (child, ask):
        ask()
        if callback_flags.refused() is None:  # it enters namespaces, and looks for others' programs
            assert _capabilities(child.pid) == {_mask(BPF, SYS_ADMIN, *PROCESSES)}
            for _ in range(3):
                assert 'rung="sock_ops-iter",state="attached"' in ask()
                time.sleep(0.5)
    with _exporting("--hook", "dns", "--hook", "drops", "--budget", "off") as (child, ask):
        ask()
        deadline = time.monotonic() + PATIENCE
        while not [*_children(child.pid)]:  # one that looks at processes
            assert time.monotonic() < deadline
        assert _capabilities(child.pid) == {all_used}


def test_a_port_in_use_is_one_sentence_and_nothing_was_attached() -> None:
    with _exporting("--hook", "interfaces") as (_, ask):
        assert "ebpftop_interfaces_rx_packets_total" in ask()
        done = ebpftop("export", "--listen", "192.0.2.7:1")
        assert done.returncode == 2
        assert done.stderr == (
            "ebpftop: cannot listen on 192.0.2.7:1: Cannot assign requested address;"
            " use --listen ADDR:PORT\n"
        )


def test_a_hook_asked_for_by_name_that_does_not_stand_ends_it_with_1() -> None:
    done = ebpftop("export", "--listen", "127.0.0.1:0", "--hook", "tc-ingress@nope")
    assert done.returncode == 1
    assert done.stderr == "ebpftop: there is no interface nope.\n"


def test_drop_rules_are_exported_with_what_they_dropped() -> None:
    veth()
    rule = ("--drop", "v1: udp dport 9 ttl 60s", "--drop-anyway")
    with _exporting("--hook", "interfaces", *rule) as (child, ask):
        _until(ask, 'ebpftop_drop_rule_info{interface="v1",rule="udp dport 9",rung="xdp-')
        before = held(child.pid)
        child.send_signal(signal.SIGINT)
        assert child.wait(60) == 130
    assert left_of(*before) == (set(), set())
