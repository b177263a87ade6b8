"""Hooks of the user's own: every rung of theirs counts exactly what happened.

What is counted is this process's, so that nobody else's events are among it.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from probes.analysis.snapshot import Snapshot
from probes.custom import builder, source, spec
from probes.errors import Gone, Unsupported
from probes.kernel import cgroups, syscall_table
from probes.ladder.attachment import Attachment, Modules
from probes.model import HookId, State
from probes.owners.owner_columns import NAMES
from probes.sources.live.source import Live
from tests.support.commands import ebpftop
from tests.support.events import getpgid
from tests.support.rungs import stood
from tests.support.scenarios import Values, find, values
from tui.config import settings
from tui.screen.app import Monitor

pytestmark = pytest.mark.kernel
Record = Callable[[str, object], None]
CALLS, FAILING = 40, 13
LIBC = next(
    w for w in Path("/proc/self/maps").read_text().split() if re.search(r"/libc[.-].*so", w)
)
MINE = f"where=pid=={os.getpid()}"
READER = "reads"
READS = f"{MINE},where=comm=={READER}"


@pytest.fixture
def attached(modules: Modules, record_property: Record) -> Iterator[Callable[..., Attachment]]:
    held: list[Attachment] = []

    def attach(text: str, rung: str) -> Attachment:
        try:
            hook = builder.hook(text)
        except Unsupported as refused:  # no tracefs
            record_property("refused", f"{refused.code}: {refused.why}")
            pytest.skip(f"{refused.code}: {refused.why}")
        record_property("hook", hook.name.partition(":")[0])
        record_property("rung", rung)
        attachment = Attachment(hook, modules)
        held.append(attachment)
        stood(attachment.climb(pinned=rung, asked=True), record_property)
        return attachment

    yield attach
    for attachment in held:
        attachment.detach()


def _of(kind: str) -> Any:
    return pytest.mark.parametrize(
        "rung", [pytest.param(r, id=f"{kind}:{r}") for r in spec.RUNGS[kind]]
    )


@contextmanager
def _reader() -> Iterator[None]:
    """Renames this thread: to tell what it reads from what a test's look at the rows reads."""
    file = Path("/proc/thread-self/comm")
    name = file.read_text().strip()
    file.write_text(READER)
    try:
        yield
    finally:
        file.write_text(name)


@contextmanager
def _zero() -> Iterator[int]:
    fd = os.open("/dev/zero", os.O_RDONLY)
    try:
        yield fd
    finally:
        os.close(fd)


def _reads() -> None:
    """So many reads of three bytes, and some that fail with EISDIR."""
    with _reader(), _zero() as zero:
        for _ in range(CALLS):
            os.read(zero, 3)
        folder = os.open("/", os.O_RDONLY)
        for _ in range(FAILING):
            with pytest.raises(IsADirectoryError):
                os.read(folder, 1)
        os.close(folder)


# -- kernel functions ------------------------------------------------------------------------


@_of("kprobe")
def test_calls_of_a_kernel_function_with_time_and_result(
    attached: Callable[..., Attachment], rung: str, record_property: Record
) -> None:
    attachment = attached(f"kprobe:vfs_read,latency,ret,{READS}", rung)
    before = _sum(values(attachment), "events", "failed", "returned")
    _reads()
    rows = values(attachment)
    after = _sum(rows, "events", "failed", "returned")
    assert [b - a for a, b in zip(before, after, strict=True)] == [
        CALLS + FAILING, FAILING, 3 * CALLS,
    ]  # fmt: skip
    (row,) = rows
    assert (row["pid"], sum(row["latency"])) == (os.getpid(), row["events"])
    assert 0 < row["total_ns"] < 1e9
    record_property("count", CALLS + FAILING)


@_of("kprobe")
def test_a_kernel_function_by_what_it_returns_and_by_who_calls_it(
    attached: Callable[..., Attachment], rung: str, record_property: Record
) -> None:
    """One program each: at the entry with stacks, at the exit by result."""
    attachment = attached(f"kprobe:vfs_read,by=stack,{READS}", rung)
    before = _sum(values(attachment), "events")
    _reads()
    rows = values(attachment)
    assert _sum(rows, "events")[0] - before[0] == CALLS + FAILING
    assert any("read_[k]" in str(row["stack"]) for row in rows), rows
    attachment.detach()
    results = attached(f"kretprobe:vfs_read,by=comm+ret,{READS}", rung)
    _reads()
    rows = values(results)
    assert find(rows, ret="EISDIR")["events"] == FAILING
    assert find(rows, ret="3")["events"] == CALLS
    record_property("count", CALLS + FAILING)


def _sum(rows: list[Values], *columns: str) -> list[int]:
    return [sum(row[c] for row in rows) for c in columns]


def test_a_function_that_is_not_there_is_named_with_its_like() -> None:
    with pytest.raises(Gone, match=r"no function vfs_raed; similar names: .*vfs_read"):
        builder.hook("kprobe:vfs_raed")


# -- tracepoints -----------------------------------------------------------------------------


@_of("tracepoint")
def test_a_tracepoint_is_counted(
    attached: Callable[..., Attachment], rung: str, record_property: Record
) -> None:
    """Each child that this process starts and waits for is one fork."""
    attachment = attached(f"tracepoint:sched:sched_process_fork,by=pid+cpu,{MINE}", rung)
    for _ in range(7):
        _child()
    rows = values(attachment)
    assert _sum(rows, "events") == [7]
    assert {row["pid"] for row in rows} == {os.getpid()}
    record_property("count", 7)


@_of("rawtracepoint")
def test_a_raw_tracepoint_is_counted(
    attached: Callable[..., Attachment], rung: str, record_property: Record
) -> None:
    attachment = attached(f"rawtracepoint:sched_process_fork,by=none,{MINE}", rung)
    for _ in range(5):
        _child()
    (row,) = values(attachment)
    assert (row["point"], row["events"]) == ("rawtracepoint:sched_process_fork", 5)
    record_property("count", 5)


def _child() -> None:
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)


def test_fields_of_a_tracepoint_are_told_apart(
    attached: Callable[..., Attachment], tmp_path: Path
) -> None:
    """Numbers with their sign, and text; and what a condition on a field leaves out."""
    attachment = attached(
        "tracepoint:raw_syscalls:sys_exit,by=none,fields=id,ret,where=ret==-3," + MINE,
        "tracepoint",
    )
    getpgid(0, CALLS)
    getpgid(-1, FAILING)
    rows = values(attachment)
    mine = find(rows, id=syscall_table.number("getpgid"))
    assert (mine["field_ret"], mine["events"]) == (-3, FAILING), "ESRCH"
    text = "tracepoint:sched:sched_process_exec,by=none,fields=filename"
    names = attached(text, "tracepoint")
    program = tmp_path / "once"
    program.write_bytes(Path("/bin/true").read_bytes())
    program.chmod(0o755)
    for _ in range(3):
        subprocess.run([program], check=True)
    shown = str(program)[: source.TEXT - 1]
    assert find(values(names), filename=shown)["events"] == 3


# -- programs and libraries ------------------------------------------------------------------


@_of("uprobe")
def test_calls_of_a_library_s_function(
    attached: Callable[..., Attachment], rung: str, record_property: Record
) -> None:
    """As the process sees its path; time and result; and another process's are left out."""
    attachment = attached(f"uprobe:{LIBC}:getpgid,latency,ret,{MINE}", rung)
    other = f"import ctypes; [ctypes.CDLL(None).getpgid(0) for _ in range({CALLS})]"
    subprocess.run([sys.executable, "-c", other], check=True)
    getpgid(0, CALLS)
    getpgid(-1, FAILING)
    (row,) = values(attachment)
    assert row["pid"] == os.getpid()
    assert (row["events"], row["failed"], sum(row["latency"])) == (
        CALLS + FAILING, FAILING, CALLS + FAILING,
    )  # fmt: skip
    assert row["returned"] == CALLS * os.getpgid(0)
    record_property("count", row["events"])


def test_entries_returns_and_places_within_a_function(
    attached: Callable[..., Attachment],
) -> None:
    entry = attached(f"uprobe:{LIBC}:getpgid,by=none,{MINE}", "uprobe")
    start = attached(f"uprobe:{LIBC}:getpgid+0x0,by=comm,{MINE}", "uprobe")
    leave = attached(f"uretprobe:{LIBC}:getpgid,by=ret,{MINE}", "uprobe")
    stack = attached(f"uprobe:{LIBC}:getpgid,by=stack,{MINE}", "uprobe")
    getpgid(-1, FAILING)
    for attachment in (entry, start, stack):
        assert _sum(values(attachment), "events") == [FAILING]
    assert find(values(leave), ret="EPERM")["events"] == FAILING, "the library's -1"
    assert all(str(r["stack"]).endswith("getpgid") for r in values(stack))


def test_a_container_s_file_is_the_one_that_its_process_sees(
    attached: Callable[..., Attachment], tmp_path: Path
) -> None:
    """The path of a process in another mount namespace, with a library that is only there."""
    library = tmp_path / "libc.copy"
    hidden = Path("/mnt/ebpftop-test-libc.so")
    library.write_bytes(Path(LIBC).read_bytes())
    loop = (
        "import ctypes, sys; c = ctypes.CDLL(sys.argv[1]); print(1, flush=True);"
        f"input(); [c.getpgid(0) for _ in range({CALLS})]; print(2, flush=True); input()"
    )
    inside = f'mount -t tmpfs none /mnt && cp {library} {hidden} && exec "$@"'
    command = ("unshare", "--mount", "--propagation=private", "sh", "-c", inside, "sh")
    with subprocess.Popen(
        [*command, sys.executable, "-c", loop, str(hidden)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as child:  # fmt: skip
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            assert child.stdout.readline() == "1\n"
            assert not hidden.exists()
            where = f"where=pid=={child.pid}"
            attachment = attached(f"uprobe:{hidden}:getpgid,{where}", "uprobe")
            child.stdin.write("\n")
            child.stdin.flush()
            assert child.stdout.readline() == "2\n"
            (row,) = values(attachment)
            assert (row["pid"], row["events"]) == (child.pid, CALLS)
        finally:
            child.kill()


def test_calls_within_calls_are_each_timed(attached: Callable[..., Attachment]) -> None:
    """qsort calls a function of ours that calls qsort."""
    attachment = attached(f"uprobe:{LIBC}:qsort,latency,{MINE}", "uprobe")
    libc = ctypes.CDLL(None)
    compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
    depth = 0

    def within(_a: object, _b: object) -> int:
        nonlocal depth
        if depth < 10:
            depth += 1
            libc.qsort(ctypes.create_string_buffer(b"ba"), 2, 1, call)
        return 0

    call = compare(within)
    libc.qsort(ctypes.create_string_buffer(b"ba"), 2, 1, call)
    (row,) = values(attachment)
    assert (row["events"], row["timed"]) == (11, 8), "deeper than 8 they are counted only"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"uprobe:{LIBC}:getadrinfo", "no function getadrinfo; similar names: getaddrinfo"),
        (f"uprobe:{LIBC}:getpgid+0x999", "past its end"),
        ("uprobe:/nowhere/lib.so:f", "there is no file"),
        ("uprobe:/etc/passwd:f", "not a program or library"),
    ],
)
def test_a_file_without_such_a_function_is_a_sentence(
    modules: Modules, text: str, says: str
) -> None:
    status = Attachment(builder.hook(text), modules).climb(asked=True)
    assert status.state is State.FAILED
    assert says in status.refused[0].why


# -- the command -----------------------------------------------------------------------------


@pytest.mark.anywhere
def test_the_command_takes_specs_like_hooks() -> None:
    text = f"uprobe:{LIBC}:getpgid,by=comm"
    done = ebpftop("once", "--for", "0", "--json", "--hook", text)
    assert done.returncode == 0, done.stderr
    (hook,) = json.loads(done.stdout)["hooks"]
    assert (hook["hook"], hook["target"], hook["rung"]) == (text, None, "uprobe")
    assert [c["name"] for c in hook["columns"]] == ["comm", "events"]
    doctor = ebpftop("doctor", "--hook", text)
    assert "would attach on uprobe" in doctor.stdout


@pytest.mark.anywhere
@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (("--hook", "kprobe:"), 2, "kprobe: needs the name"),
        (("--hook", "kprobe:vfs_raed"), 1, "similar names"),
        (("--hook", "kprobe:vfs_read", "--rung", "kprobe:vfs_read=tcx"), 2, "has no rung 'tcx'"),
    ],
)
def test_a_wrong_spec_is_one_sentence(arguments: tuple[str, ...], status: int, says: str) -> None:
    done = ebpftop("once", *arguments)
    assert done.returncode == status
    assert says in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.anywhere
def test_a_rung_of_a_spec_can_be_pinned() -> None:
    text = f"uprobe:{LIBC}:getpgid"
    done = ebpftop("once", "--for", "0", "--hook", text, "--rung", f"{text}=uprobe")
    assert done.returncode == 0, done.stderr


def test_rates_are_made_of_it(modules: Modules) -> None:
    attachment = Attachment(builder.hook(f"uprobe:{LIBC}:getpgid,latency,ret,{MINE}"), modules)
    attachment.climb(asked=True)
    try:
        first = attachment.read()
        getpgid(0, CALLS)
        (row,) = Snapshot.between(attachment.hook, first, attachment.read()).rows
    finally:
        attachment.detach()
    assert row.rate("events") > 0
    assert isinstance(row["mean_ns"], float)
    assert row["mean_ret"] == os.getpgid(0)


@pytest.mark.anywhere
def test_it_is_recorded_and_played_back(tmp_path: Path) -> None:
    """Also where the file that it was about is not there any more."""
    library = tmp_path / "lib.so"
    library.write_bytes(Path(LIBC).read_bytes())
    text, file = f"uprobe:{library}:getpgid,by=comm", str(tmp_path / "recording")
    done = ebpftop("record", file, "--for", "2", "--hook", text)
    assert done.returncode == 0, done.stderr
    library.unlink()
    played = ebpftop("replay", file, "--json", "--count", "1")
    assert played.returncode == 0, played.stderr
    (hook,) = json.loads(played.stdout)["hooks"]
    assert (hook["hook"], hook["rung"]) == (text, "uprobe")


def test_what_another_kernel_has_is_recalled_all_the_same() -> None:
    hook = builder.recalled("tracepoint:no:such,fields=a,b,unit")
    assert hook is not None
    names = [c.name for c in hook.columns]
    assert names == ["pid", "comm", "a", "b", "field_unit", "events", *NAMES]
    assert builder.recalled("no:such") is None
    assert builder.recalled("drops") is None


@pytest.mark.anywhere
async def test_those_that_stand_are_saved_and_attached_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also kept: one that cannot be had here. One that was detached is not."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    stands, missing = f"uprobe:{LIBC}:getpgid,by=comm", f"uprobe:{LIBC}:getpgod"
    ends = f"uprobe:{LIBC}:qsort"
    settings.save(settings.path(), {"hooks": [stands, missing, ends]})
    live = Live(wanted=())
    app = Monitor(live, settled=settings.load(settings.path()))
    async with app.run_test() as pilot:
        while HookId(ends) not in {s.id for s in live.statuses() if s.state is State.ATTACHED}:
            await pilot.pause(0.05)
        states = {s.id.hook: s.state for s in live.statuses()}
        assert (states[stands], states[missing]) == (State.ATTACHED, State.FAILED)
        await app.session.collector.control.detach(HookId(ends))
        await pilot.press("f2", "1")  # save settings
    await live.close()
    assert settings.load(settings.path()).hooks == (stands, missing)


_CHILD_ENDS = """
import subprocess, sys
from probes.custom import builder
with subprocess.Popen(["sleep", "60"]) as child:
    hook = builder.hook(f"uprobe:{sys.argv[1]}:getpgid,where=pid=={child.pid}")
    print(hook.ladder[0].changed())
    child.kill()
print(hook.ladder[0].changed().replace(str(child.pid), "PID"))
"""


def test_a_process_of_a_pid_namespace_is_looked_for_there() -> None:
    """Its number is another process's outside, whose /proc lies below the one that is mounted."""
    command = ("unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", _CHILD_ENDS)
    said = subprocess.run((*command, LIBC), capture_output=True, text=True, check=True).stdout
    assert said == "\nthe process PID has gone\n"


def test_what_a_condition_names_may_go_and_that_is_said(
    attached: Callable[..., Attachment],
) -> None:
    """A process that has ended, a cgroup that was made again."""
    with subprocess.Popen(["sleep", "60"]) as child:
        of_process = attached(f"uprobe:{LIBC}:getpgid,where=pid=={child.pid}", "uprobe")
        assert of_process.read().status.note == ""
        child.kill()
    assert of_process.read().status.note == f"the process {child.pid} has gone"
    top = cgroups.root()
    if top is None:
        pytest.skip("cgroup v2 is not mounted here")
    folder = top / f"ebpftop-follow-{os.getpid()}"
    folder.mkdir()
    try:
        within = attached(f"uprobe:{LIBC}:getpgid,where=cgroup==/{folder.name}", "uprobe")
        assert within.read().status.note == ""
        folder.rmdir()
        assert within.read().status.note == f"the cgroup /{folder.name} has gone"
        folder.mkdir()
        assert "is another cgroup now: detach and attach again" in within.read().status.note
        within.detach()
        within.climb(asked=True)
        assert within.read().status.note == ""
        call = f"exec {sys.executable} -c 'import os; os.getpgid(0)'"
        subprocess.run(["sh", "-c", f"echo $$ > {folder}/cgroup.procs; {call}"], check=True)
        assert sum(row["events"] for row in values(within)) >= 1
    finally:
        folder.rmdir()
