"""Logs: maps that are emptied by one call, or by one for each entry, while programs write."""

from __future__ import annotations

import errno
import json
import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from multiprocessing import get_context
from multiprocessing.context import ForkProcess

import pytest

from probes.errors import ProbeError
from probes.hooks import catalogue
from probes.kernel import bpf, syscall_table
from probes.kernel.maps import HASH, LRU_HASH, PERCPU_HASH, BpfTable
from probes.ladder.attachment import Attachment
from probes.ladder.modules import Modules
from probes.model import Hook
from probes.toolkit import (
    Program,
    RawTracepoint,
    Rung,
    Unit,
    counter,
    key,
    level,
    logged,
)
from tests.support.events import connect, free_port, getpgid
from tests.support.maps import small
from tests.support.namespaces import namespace
from tests.support.rungs import standing
from tests.support.scenarios import Values, log_of, rows_of, sample_of

pytestmark = [pytest.mark.kernel, pytest.mark.anywhere]

KEY = json.dumps(["at", [["ns", "unsigned long long"], ["cpu", "unsigned int"],
                         ["zero", "unsigned int"]], "struct_packed"])  # fmt: skip
Entry = tuple[int | bytes, ...]


class OneByOne(BpfTable):
    """Takes entry by entry, as where the kernel has no batches."""

    def _all(self, *, take: bool = False) -> tuple[bytes, bytes]:
        return self._iterate(take=take)


@contextmanager
def _log(room: int, kind: int = HASH, how: type[BpfTable] = BpfTable) -> Iterator[BpfTable]:
    about = {
        "name": "events", "max_entries": room, "type": kind, "key_desc": KEY, "key_size": 16,
        "leaf_desc": '"unsigned long long"', "leaf_size": 8,
    }  # fmt: skip
    fd = bpf.map_create(kind, 16, 8, room)
    try:
        yield how(fd, about)
    finally:
        os.close(fd)


# -- the map -----------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [BpfTable, OneByOne])
@pytest.mark.parametrize("kind", [HASH, LRU_HASH, PERCPU_HASH])
def test_all_that_is_there_comes_in_order_and_once(how: type[BpfTable], kind: int) -> None:
    """Also those of one moment, by their CPUs, and of a map that is full."""
    entries: list[Entry] = [(n // 2, n % 2, 0, n * 3) for n in range(900)]
    with _log(900 if kind == HASH else 4096, kind, how) as table:
        for entry in random.Random(3).sample(entries, len(entries)):
            table.update(entry[:3], entry[3:])
        assert table.drain() == entries
        assert (table.drain(), table.rows()) == ([], [])
        table.update((1, 0, 0), (7,))
        assert table.drain() == [(1, 0, 0, 7)]


@pytest.mark.parametrize("how", [BpfTable, OneByOne])
def test_what_is_written_while_it_is_emptied_comes_once(how: type[BpfTable]) -> None:
    """As fast as it is read: the map is full again and again."""
    made, taken = 40_000, list[Entry]()
    with _log(64, how=how) as table, ExitStack() as end:
        writers = [_writing(table, cpu, made // 2) for cpu in range(2)]
        for writer in writers:
            end.callback(writer.kill)
        while any(writer.is_alive() for writer in writers):
            now = table.drain()
            assert now == sorted(now)
            assert len(now) <= 64
            taken += now
        assert [writer.exitcode for writer in writers] == [0, 0]
        taken += table.drain()
    assert sorted(taken) == [(n, cpu, 0, n) for n in range(made // 2) for cpu in range(2)]


def _writing(table: BpfTable, cpu: int, number: int) -> ForkProcess:
    """A process: threads would wait for Python's lock, at each call, until it is passed to them."""

    def write() -> None:
        for n in range(number):
            while not _put(table, (n, cpu, 0), n):
                os.sched_yield()

    writer = get_context("fork").Process(target=write)
    writer.start()
    return writer


def _put(table: BpfTable, at: tuple[int, int, int], value: int) -> bool:
    try:
        table.update(at, (value,))
    except ProbeError as full:
        if full.errno != errno.E2BIG:
            raise
        return False
    return True


# -- programs that write -----------------------------------------------------------------------


def _connecting(rewrite: Callable[[str], str] = str, **sizes: int) -> Hook:
    hook = small(catalogue()["tcp-connect"], "btf-tracepoint", **sizes)
    (rung,) = hook.ladder
    return replace(
        hook, ladder=(replace(rung, source=lambda t: rewrite(rung.source_for(t or None))),)
    )


class _Counted:
    """What a log and rows have got since they were quiet, of all processes."""

    def __init__(self, attachment: Attachment) -> None:
        self._attachment, self.entries = attachment, list[Values]()
        self._before, quiet = (0, 0), False
        while not quiet:
            self.entries.clear()
            now = self._read()
            self._before, quiet = now, now == self._before and not self.entries

    def _read(self) -> tuple[int, int]:
        sample = sample_of(self._attachment)
        rows = rows_of(self._attachment, sample)
        self.entries += log_of(self._attachment, sample)
        return sum(r["established"] + r["failed"] for r in rows), sample.unlogged

    def read(self) -> tuple[int, int]:
        """How many events there were, and how many of them have no entry."""
        before, now = self._before, self._read()
        return now[0] - before[0], now[1] - before[1]

    def settled(self) -> tuple[int, int]:
        """The same, when all that was counted was logged or not: others may connect meanwhile."""
        deadline = time.monotonic() + 5
        while True:
            made, unlogged = self.read()
            if len(self.entries) + unlogged == made or time.monotonic() > deadline:
                return made, unlogged


def test_of_a_burst_each_event_is_logged_or_said_not_to_be(modules: Modules) -> None:
    with namespace(), standing(modules, _connecting()) as attachment:
        counted, port = _Counted(attachment), free_port("127.0.0.1")
        assert connect("127.0.0.1", port, 5000) == 5000
        _, unlogged = counted.read()
        assert len(counted.entries) == 1024
        assert unlogged >= 5000 - 1024
        made, unlogged = counted.settled()
    assert made >= 5000
    assert len(counted.entries) + unlogged == made


def test_of_a_burst_that_is_read_meanwhile_none_is_missing(modules: Modules) -> None:
    with namespace(), standing(modules, _connecting(events=32)) as attachment, ExitStack() as end:
        counted, port = _Counted(attachment), free_port("127.0.0.1")
        threads = [
            threading.Thread(target=connect, args=("127.0.0.1", port, 2500)) for _ in range(2)
        ]
        for thread in threads:
            thread.start()
            end.callback(thread.join)
        while any(thread.is_alive() for thread in threads):
            counted.read()
        made, unlogged = counted.settled()
    assert made >= 5000
    assert len(counted.entries) + unlogged == made
    assert len(counted.entries) > 64


def test_entries_with_the_same_key_are_said_to_be_lost(modules: Modules) -> None:
    """As on a host whose clock stands still: the first on each CPU is logged."""

    def stopped(source: str) -> str:
        return re.sub(r"\.logged_ns = bpf_ktime_get_ns\(\)", ".logged_ns = 7", source)

    with namespace(), standing(modules, _connecting(stopped)) as attachment:
        counted, port = _Counted(attachment), free_port("127.0.0.1")
        connect("127.0.0.1", port, 50)
        counted.read()
        assert 1 <= len(counted.entries) <= (os.cpu_count() or 1)
        made, unlogged = counted.settled()
    assert made >= 50
    assert len(counted.entries) + unlogged == made


_QUEUED = """
struct event { u64 number, pid; };
BPF_QUEUE(events, struct event, 16);
BPF_ARRAY(lost, u64, 1);
BPF_HASH(rows, u32, u64, 64);
int entered(struct bpf_raw_tracepoint_args *ctx) {
    u32 first = 0, pid = bpf_get_current_pid_tgid() >> 32;
    struct event event = {.pid = pid};
    if (pid != %d || ctx->args[1] != %d)
        return 0;
    rows.increment(first);
    u64 *number = rows.lookup(&first);
    event.number = number ? *number : 0;
    if (events.push(&event, 0))
        lost.increment(first);
    return 0;
}
"""


def test_a_users_hook_may_have_a_queue(modules: Modules) -> None:
    """Which is emptied entry by entry, oldest first."""
    hook = Hook(
        name="my-calls",
        title="Calls",
        question="Which calls there are.",
        columns=(
            key("all", "All", "0", Unit.NUMBER, field="key"),
            counter("calls", "Calls", "since attach", field="value"),
        ),
        ladder=(
            Rung(
                "raw",
                "Linux 4.20",
                logged(lambda e: (e["number"],)),
                source=_QUEUED % (os.getpid(), syscall_table.number("getpgid")),
                programs=(Program("entered", RawTracepoint("sys_enter")),),
            ),
        ),
        log=(level("number", "Number", "of the call", Unit.NUMBER),),
    )
    with standing(modules, hook) as attachment:
        for calls, entries, missing in ((10, 10, 0), (20, 16, 4), (3, 3, 4)):
            getpgid(os.getpid(), calls)
            sample = sample_of(attachment)
            numbers = [e["number"] for e in log_of(attachment, sample)]
            assert numbers == sorted(numbers)
            assert (len(numbers), sample.unlogged) == (entries, missing)
        assert rows_of(attachment, sample) == [{"all": 0, "calls": 33}]
