"""Functions that the compiler renamed, copied or cut to pieces, and names that are not there."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from probes.attach import program as bpf_program
from probes.attach.kprobe import Kprobe, Kretprobe
from probes.attach.tracepoint import BtfTracepoint, RawTracepoint, Tracepoint
from probes.attach.trampoline import Fentry, Fexit
from probes.errors import Unsupported
from probes.kernel import bpf, btf, kallsyms
from probes.ladder.attachment import Attachment, Modules
from probes.model import Column, Hook, Kind, Program, Reading, Rung, State
from probes.point import AttachType, Point, ProgType
from tests.support.commands import NOBODY, nobody_can_run, readable_tree

pytestmark = pytest.mark.kernel

TIMES = 37
SUFFIX = re.compile(r"\.(?:isra|constprop|part)\.\d+")
ABSENT = "ebpftop_no_such_thing"
_libc = ctypes.CDLL(None, use_errno=True)


def _same_oom_score() -> None:
    file = Path("/proc/self/oom_score_adj")
    score = file.read_text()
    for _ in range(TIMES):
        file.write_text(score)


def _stat_semaphores() -> None:
    private, remove, stat = 0, 0, 2  # IPC_PRIVATE, IPC_RMID, IPC_STAT
    id, buffer = _libc.semget(private, 1, 0o600), ctypes.create_string_buffer(256)
    assert id >= 0, os.strerror(ctypes.get_errno())
    try:
        for _ in range(TIMES):
            assert _libc.semctl(id, 0, stat, buffer) == 0
    finally:
        _libc.semctl(id, 0, remove)


# What gcc made another function of in every kernel of the matrix, and what calls it.
RENAMED = {
    "__set_oom_adj": (".isra.", _same_oom_score),
    "copy_semid_to_user": (".constprop.", _stat_semaphores),
}
CUT = "__do_pipe_flags"


@cache
def _functions() -> dict[str, Counter[str]]:
    """Functions with a suffix or of several symbols: their symbols, as often as they are there."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for line in Path("/proc/kallsyms").read_text().splitlines():
        kind, name = line.split()[1:3]
        if kind in "tTwW" and ".cold" not in name and not name.startswith("__pfx_"):
            found[SUFFIX.sub("", name)][name] += 1
    return {f: s for f, s in found.items() if s.total() > 1 or f not in s}


def _is_renamed(function: str, suffix: str) -> None:
    known = _functions().get(function, Counter())
    if known.total() != 1 or suffix not in next(iter(known)):
        pytest.skip(f"this kernel's compiler made {dict(known) or 'nothing'} of {function}")


@contextmanager
def _runs(point: Point) -> Iterator[Callable[[], int]]:
    """How often an empty program has run at a point."""
    stats = bpf.enable_stats()
    try:
        program = bpf_program.load(point, bpf.exit_with(0), "count")
        try:
            detach = point.attach(program, 0, {})
            try:
                yield lambda: bpf.prog_info(program).runs
            finally:
                detach()
        finally:
            os.close(program)
    finally:
        os.close(stats)


@pytest.fixture
def kprobes() -> None:
    if not Path("/sys/bus/event_source/devices/kprobe").exists():
        pytest.skip("this kernel is built without kprobes")


# -- renamed ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("kprobes")
@pytest.mark.parametrize("function", RENAMED)
@pytest.mark.parametrize("point", [Kprobe, Kretprobe])
def test_a_renamed_function_is_counted_exactly(
    function: str, point: Callable[[str, bool], Point]
) -> None:
    suffix, cause = RENAMED[function]
    _is_renamed(function, suffix)
    with _runs(point(function, False)) as runs:
        cause()
        assert runs() == TIMES


@pytest.mark.usefixtures("kprobes")
@pytest.mark.parametrize("function", RENAMED)
@pytest.mark.parametrize("point", [Kprobe, Kretprobe])
def test_a_program_that_reads_arguments_is_not_put_where_they_are_others(
    function: str, point: Callable[[str], Point]
) -> None:
    suffix, _ = RENAMED[function]
    _is_renamed(function, suffix)
    with (
        pytest.raises(Unsupported, match="with other arguments") as refused,
        _runs(point(function)),
    ):
        pass
    assert f"{function}{suffix}0" in refused.value.why


@pytest.mark.parametrize("function", RENAMED)
@pytest.mark.parametrize("point", [Fentry, Fexit])
def test_a_trampoline_is_not_put_on_a_renamed_function(
    function: str, point: Callable[[str], Point]
) -> None:
    """Whether BTF knows it or not (pahole describes such functions since 1.25)."""
    suffix, _ = RENAMED[function]
    _is_renamed(function, suffix)
    with pytest.raises(Unsupported, match="with other arguments"):
        bpf_program.load(point(function), bpf.exit_with(0), "count")
    if id := btf.function(function):
        # Nor does the kernel itself find code of that name.
        with pytest.raises(OSError, match=r"No such file|not permitted"):
            bpf.prog_load(
                ProgType.TRACING,
                bpf.exit_with(0),
                expected_attach_type=AttachType.TRACE_FENTRY,
                attach_btf_id=id,
            )


# -- several, or only a part -----------------------------------------------------------------

# More than one symbol, and that none is a part; which they are differs from kernel to kernel.
SEVERAL = ("cookie_hash", "get_sigframe", "jhash", "NF_HOOK", "__refcount_add", "t_show")


@pytest.mark.parametrize("function", SEVERAL)
@pytest.mark.parametrize("point", [Kprobe, Kretprobe, Fentry, Fexit])
def test_a_function_of_several_symbols_is_refused(
    function: str, point: Callable[..., Point], request: pytest.FixtureRequest
) -> None:
    """Copies by the compiler and functions of other files look alike. One would count too little,
    all of them too much."""
    known = _functions().get(function, Counter())
    if known.total() < 2:
        pytest.skip(f"this kernel has {dict(known) or 'nothing'} of {function}")
    traced = point in (Fentry, Fexit)
    if not traced:
        request.getfixturevalue("kprobes")
    asked = point(function) if traced else point(function, False)
    sentence = f"has {known.total()} functions"
    with pytest.raises(Unsupported, match=sentence) as refused, _runs(asked):
        pass
    assert all(name in refused.value.why for name in known)


@pytest.mark.parametrize("point", [Kprobe, Fentry])
def test_a_part_of_a_function_is_not_taken_for_the_function(
    point: Callable[..., Point], request: pytest.FixtureRequest
) -> None:
    if point is Kprobe:
        request.getfixturevalue("kprobes")
    if f"{CUT}.part.0" not in _functions().get(CUT, {}):
        pytest.skip(f"this kernel's compiler did not cut {CUT}")
    with pytest.raises(Unsupported, match=f"{CUT}.part.0 is only a part"), _runs(point(CUT)):
        pass


# -- absent ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "point",
    [
        Kprobe(ABSENT),
        Kretprobe(ABSENT, False),
        Fentry(ABSENT),
        Fexit(ABSENT),
        BtfTracepoint(ABSENT),
        RawTracepoint(ABSENT),
        Tracepoint("sched", ABSENT),
    ],
    ids=lambda p: type(p).__name__,
)
def test_what_is_not_there_is_refused_by_its_name(
    point: Point, request: pytest.FixtureRequest
) -> None:
    if isinstance(point, Kprobe | Kretprobe):
        request.getfixturevalue("kprobes")
    with pytest.raises(Unsupported) as refused, _runs(point):
        pass
    assert refused.value.code == "ENOENT"
    assert ABSENT in refused.value.why


_SOURCE = "int first(void *ctx) { return 0; }"


def _rung(point: Point) -> Rung:
    programs = (Program("first", point),)
    return Rung(type(point).__name__, "", lambda _: Reading, _SOURCE, programs=programs)


def test_a_ladder_steps_down_over_what_is_not_there(modules: Modules) -> None:
    absent = (Fentry(ABSENT), Kprobe(ABSENT), BtfTracepoint(ABSENT), Tracepoint("sched", ABSENT))
    ladder = tuple(map(_rung, (*absent, Kretprobe(CUT), RawTracepoint("sys_enter"))))
    columns = (Column("key", "Key", kind=Kind.KEY, field="key"),)
    attachment = Attachment(Hook("made-up", "Made up", "Nothing.", columns, ladder), modules)
    try:
        status = attachment.climb()
        assert (status.state, status.rung) == (State.ATTACHED, "RawTracepoint")
        assert [r.error for r in status.refused[:-1]] == ["ENOENT"] * len(absent)
        assert status.refused[-1].error in ("Unsupported", "ENOENT")
    finally:
        attachment.detach()


# -- where the kernel hides things ------------------------------------------------------------

_ASK = """
from probes.attach import kprobe
from probes.errors import Unsupported
from probes.kernel import kallsyms as symbols
print(kprobe.whole("tcp_v4_connect", as_declared=True))
print(symbols.resolve([0xffffffff81000010]))
print("root:", *sorted(symbols.copies("__set_oom_adj")))
for name in ("__do_pipe_flags", "ebpftop_no_such_thing"):
    try:
        print(kprobe.whole(name, as_declared=True))
    except Unsupported as refused:
        print("refused:", refused.why)
"""


@contextmanager
def _hidden() -> Iterator[None]:
    switch = Path("/proc/sys/kernel/kptr_restrict")
    before = switch.read_text()
    switch.write_text("2")
    try:
        yield
    finally:
        switch.write_text(before)


@pytest.mark.parametrize("who", ["root", "nobody"])
def test_names_are_found_where_addresses_are_hidden(who: str) -> None:
    """And an address that cannot be named stays a number."""
    if who == "nobody" and not nobody_can_run():
        pytest.skip("an unprivileged user cannot run this Python")
    expected = sorted(kallsyms.copies("__set_oom_adj") or ())
    before = NOBODY if who == "nobody" else ()
    with _hidden(), readable_tree() as tree:
        done = subprocess.run(
            [*before, sys.executable, "-c", _ASK], cwd=tree, capture_output=True, text=True
        )
    assert done.returncode == 0, done.stderr
    whole, address, copies, *refused = done.stdout.splitlines()
    assert whole == "tcp_v4_connect"
    assert address == "{18446744071578845200: '0xffffffff81000010'}"
    assert copies.split() == ["root:", *expected]
    assert refused[-1] == f"refused: this kernel has no function {ABSENT}"
