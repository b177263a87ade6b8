"""bcc on the running kernel: what is compiled loads, counts, and reads back as it was counted."""

import ctypes
import errno
import os
import resource
import signal
import struct
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from probes.compile import compiler as bcc_compiler
from probes.compile.compiler import Compiler, Module
from probes.errors import LoadFailed
from probes.hooks import catalogue
from probes.kernel import bpf, btf, rlimits
from probes.point import AttachType, ProgType
from probes.sources.live import room
from probes.toolkit.c_files import c_source

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
]
ROOT = Path(__file__).parents[3]
GETPGID = {"x86_64": 121, "aarch64": 155}.get(os.uname().machine, 121)
READS = {4, 45, 112, 113, 114, 115}  # bpf_probe_read and its variants
TYPES = ("sk_buff", "sock", "tcp_sock", "net_device", "task_struct", "inet_sock")

SOURCE = r"""
struct key { u32 pid; char comm[16]; u16 tag; };
struct value { u64 calls; u64 bucket[64]; };
BPF_PERCPU_HASH(calls, struct key, struct value, 1024);
BPF_HASH(drops, u32, u64, 1024);
BPF_PERCPU_ARRAY(zero, struct value, 1);  /* too large for the stack */
BPF_RINGBUF_OUTPUT(events, 8);

int on_enter(struct bpf_raw_tracepoint_args *ctx)
{
    struct pt_regs *regs = (struct pt_regs *)ctx->args[0];
    struct key key = { .pid = bpf_get_current_pid_tgid() >> 32, .tag = 7 };
    struct value *value;
    int first = 0;

    if (ctx->args[1] != GETPGID)
        return 0;
    bpf_get_current_comm(key.comm, sizeof key.comm);
    value = zero.lookup(&first);
    if (value)
        value = calls.lookup_or_try_init(&key, value);
    if (value) {
        value->calls++;
        value->bucket[log2_bucket(PROBE(PT_REGS_PARM1(regs))) & 63]++;
    }
    return 0;
}

int on_free(u64 *ctx)
{
    struct sk_buff *skb = ARG(ctx, 0, struct sk_buff *);
    struct net_device *dev = skb->dev;

    drops.increment(dev ? dev->ifindex : 0);
    return 0;
}
""".replace("GETPGID", str(GETPGID))

TABLES = r"""
struct pair { u32 a; u32 b; };
struct named { u64 n; s32 error; char name[16]; };
struct sums { u64 n; u64 slots[3]; };
BPF_HASH(hash, struct pair, struct named, 10240);
BPF_TABLE("lru_hash", struct pair, struct named, lru, 64);
BPF_PERCPU_HASH(percpu, u32, struct sums, 64);
BPF_PERCPU_ARRAY(percpu_array, struct sums, 4);
BPF_ARRAY(array, u64, 4);
"""


# Takes clang seconds.
LONG = "int f(u64 *ctx) { u64 n = 0; " + "n += ctx[n & 1] * 3; " * 20_000 + "return n; }"


@pytest.fixture(scope="module")
def compiler() -> Iterator[Compiler]:
    rlimits.raise_memlock()  # before Linux 5.11 maps and programs are charged against it
    with ExitStack() as stack:
        compiler = Compiler(types=TYPES)
        stack.callback(compiler.close)
        yield compiler


@pytest.fixture(scope="module")
def module(compiler: Compiler) -> Iterator[Module]:
    with compiler.compile(SOURCE) as module:
        yield module


@pytest.fixture(scope="module")
def tables(compiler: Compiler) -> Iterator[Module]:
    with compiler.compile(TABLES) as module:
        yield module


def helpers(code: bytes) -> set[int]:
    calls = [struct.unpack_from("=BBhi", code, at) for at in range(0, len(code), 8)]
    return {number for opcode, _, _, number in calls if opcode == 0x85}


def open_fds() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def until(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + 20
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_raw_tracepoint_counts_exactly_per_process_and_bucket(module: Module) -> None:
    values = (0, 1, 2, 3, 4, 1023, 1024, 2**31, 2**32 - 1, 2**32, 2**63, 2**64 - 1)
    libc = ctypes.CDLL(None)
    with ExitStack() as stack:
        program = bpf.prog_load(ProgType.RAW_TRACEPOINT, module.functions["on_enter"])
        stack.callback(os.close, program)
        stack.callback(os.close, bpf.raw_tracepoint_open(program, "sys_enter"))
        for value in values * 50:
            libc.syscall(GETPGID, ctypes.c_uint64(value))
    table = module.tables["calls"]
    (row,) = [r for r in table.rows() if r[table.fields["pid"]] == os.getpid()]
    expected = [0] * 64
    for value in values:
        expected[max(value.bit_length() - 1, 0)] += 50
    assert row[table.fields["calls"]] == 50 * len(values)
    assert list(row[table.fields["bucket"]]) == expected
    comm = Path("/proc/self/comm").read_bytes().strip()
    assert row[:3] == (os.getpid(), comm.ljust(16, b"\0"), 7)
    assert table.row(row[:3]) == row


def test_a_btf_typed_program_reads_directly_and_through_no_helper(module: Module) -> None:
    """So that it stands under lockdown=confidentiality too, and costs less."""
    assert not helpers(module.functions["on_free"]) & READS
    assert helpers(module.functions["on_enter"]) & READS
    with ExitStack() as stack:
        program = bpf.prog_load(
            ProgType.TRACING,
            module.functions["on_free"],
            expected_attach_type=AttachType.TRACE_RAW_TP,
            attach_btf_id=btf.tracepoint("kfree_skb") or 0,
        )
        stack.callback(os.close, program)


def test_every_map_has_its_fd_and_those_with_rows_their_table(module: Module) -> None:
    assert set(module.fds) == {"calls", "zero", "drops", "events"}
    assert set(module.tables) == {"calls", "zero", "drops"}
    assert not any(os.get_inheritable(fd) for fd in module.fds.values())


@pytest.mark.anywhere
def test_ten_thousand_entries_come_back_in_a_batch_and_one_by_one(tables: Module) -> None:
    table = tables.tables["hash"]
    wanted = {(n, 1, n * 3, -n, str(n).encode().ljust(16, b"\0")) for n in range(10_000)}
    for row in wanted:
        table.update(row[:2], row[2:])
    assert set(table.rows()) == wanted
    keys, values = table._iterate()
    assert (len(keys), len(values)) == (8 * len(wanted), 32 * len(wanted))


@pytest.mark.parametrize("name", ["hash", "lru"])
def test_an_entry_is_set_found_and_deleted(tables: Module, name: str) -> None:
    table, key = tables.tables[name], (1 << 31, 2)
    assert table.row(key) is None
    assert table.delete(key) is False
    table.update(key, (5, -111, b"abc"))
    assert table.row(key) == (*key, 5, -111, b"abc".ljust(16, b"\0"))
    assert table.delete(key) is True
    assert table.row(key) is None


def test_per_cpu_values_are_summed_lane_by_lane(tables: Module) -> None:
    table = tables.tables["percpu"]
    cpus = len(os.sched_getaffinity(0))
    one_cpu = struct.pack("=4Q", 1, 2**32 - 1, 0, 2**40)
    bpf.map_update(table.fd, struct.pack("=I", 9), one_cpu * table._cpus)
    assert table._cpus >= cpus
    n = table._cpus
    assert table.rows() == [(9, n, n * (2**32 - 1), 0, n * 2**40)]
    table.update((9,), (1, 2, 3, 4))
    assert table.row((9,)) == (9, 1, 2, 3, 4)
    assert table.rows()[0][table.fields["slots"]] == (2, 3, 4)


@pytest.mark.parametrize("name", ["array", "percpu_array"])
def test_an_array_has_all_its_entries_from_the_start(tables: Module, name: str) -> None:
    table = tables.tables[name]
    assert [row[0] for row in table.rows()] == [0, 1, 2, 3]
    assert {value for row in table.rows() for value in row[1:]} == {0}
    assert table.row((4,)) is None
    assert table.used() == []
    written = table.rows()[2]
    table.update((2,), (7,) * len(written[1:]))
    assert table.used() == [(2, *[7] * len(written[1:]))]
    table.update((2,), (0,) * len(written[1:]))


@pytest.mark.anywhere
def test_sources_compile_side_by_side(compiler: Compiler) -> None:
    sources = [f"BPF_HASH(m{n}); int f{n}(void *ctx) {{ return {n}; }}" for n in range(6)]
    with ThreadPoolExecutor(len(sources)) as threads:
        modules = list(threads.map(compiler.compile, sources))
    for n, module in enumerate(modules):
        assert (set(module.functions), set(module.fds)) == ({f"f{n}"}, {f"m{n}"})
        module.close()


@pytest.mark.anywhere
def test_a_source_that_does_not_compile_is_refused_with_the_compilers_words(
    compiler: Compiler,
) -> None:
    with pytest.raises(LoadFailed) as refused:
        compiler.compile("int f(void *ctx) { return nowhere; }")
    assert "undeclared identifier 'nowhere'" in refused.value.log


@pytest.mark.anywhere
def test_an_error_over_which_llvm_exits_is_refused_with_its_words(compiler: Compiler) -> None:
    with pytest.raises(LoadFailed) as refused:
        compiler.compile(
            "int f(void *ctx) { char s[600] = {}; return bpf_get_current_comm(s, 600); }"
        )
    assert "BPF stack limit" in refused.value.log


@pytest.mark.anywhere
def test_a_per_cpu_map_of_something_else_than_u64_is_refused(compiler: Compiler) -> None:
    with pytest.raises(LoadFailed, match="other than u64"):
        compiler.compile("struct v { u32 a; u32 b; }; BPF_PERCPU_HASH(m, u32, struct v);")


@pytest.mark.anywhere
def test_nothing_is_printed(compiler: Compiler, capfd: pytest.CaptureFixture[str]) -> None:
    compiler.compile("#warning noise\nint f(void *ctx) { return 0; }").close()
    with pytest.raises(LoadFailed):
        compiler.compile("int f(")
    assert capfd.readouterr() == ("", "")


@pytest.mark.anywhere
def test_no_file_descriptor_is_left_behind() -> None:
    before = open_fds()
    compiler = Compiler()
    for source in (TABLES, "int f(", "struct v { u32 a; }; BPF_PERCPU_HASH(m, u32, struct v);"):
        try:
            compiler.compile(source).close()
        except LoadFailed:
            pass
    compiler.close()
    # Fewer where the shared compiler's idle child went meanwhile.
    assert open_fds() <= before


MEMBERS = {
    "task_struct": ("tgid", "comm", "files"),
    "sk_buff": ("dev", "skb_iif"),
    "net_device": ("ifindex", "nd_net"),
    "sock": ("sk_err", "sk_protocol", "__sk_common.skc_dport", "__sk_common.skc_v6_daddr"),
    "tcp_sock": ("srtt_us", "rtt_min", "total_retrans"),
    "files_struct": ("fdt",),
    "file": ("private_data",),
    "socket": ("state", "sk"),
}


def test_members_are_read_from_where_the_kernel_has_them() -> None:
    """bcc lays types out for the host and makes code for BPF, where alignments are not the same.

    The code knows the difference of both; where there is none, nothing but `return 0` is left.
    """
    wrong = "".join(
        f"wrong |= ((u64)&ARG(ctx, 0, struct {name} *)->{member} - ctx[0])"
        f" ^ __builtin_offsetof(struct {name}, {member});\n"
        for name, members in MEMBERS.items()
        for member in members
    )
    compiler = Compiler(catalogue().values())
    try:
        with compiler.compile(f"int f(u64 *ctx) {{ u64 wrong = 0; {wrong} return wrong; }}") as m:
            assert m.functions["f"] == bpf.exit_with(0)
    finally:
        compiler.close()


@pytest.mark.anywhere
def test_functions_named_as_bccs_own_probes_are_not_attached(compiler: Compiler) -> None:
    with compiler.compile("int raw_tracepoint__sys_enter(void *ctx) { return 0; }") as module:
        assert set(module.functions) == {"raw_tracepoint__sys_enter"}
        # bcc would have loaded it under its name, cut to 15 characters, to attach it.
        assert "raw_tracepoint_" not in map(bpf.prog_name, bpf.prog_ids())


@pytest.mark.anywhere
def test_foreign_headers_in_the_working_directory_and_environment_are_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("linux/types.h", "ebpftop/kernel_types.h", "uapi/linux/ptrace.h", "vmlinux.h"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("#error somebody else's file\n")
    monkeypatch.chdir(tmp_path)
    for variable in ("CPATH", "C_INCLUDE_PATH", "BCC_KERNEL_SOURCE"):
        monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.setenv("ARCH", "mips")
    compiler = Compiler(types=TYPES)
    try:
        compiler.compile(SOURCE).close()
    finally:
        compiler.close()
    assert Path.cwd() == tmp_path


@pytest.mark.anywhere
def test_the_child_goes_when_idle_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bcc_compiler, "IDLE_SECONDS", 0.05)
    compiler = Compiler()
    try:
        compiler.compile("int f(void *ctx) { return 0; }").close()
        assert until(lambda: not compiler.there)
        compiler.compile("int f(void *ctx) { return 0; }").close()
    finally:
        compiler.close()


@pytest.mark.anywhere
def test_a_compiler_that_is_killed_is_said_and_the_next_compile_works() -> None:
    compiler = Compiler()
    try:
        compiler.compile("int f(void *ctx) { return 0; }").close()
        (child,) = compiler._children
        killer = threading.Timer(0.1, os.kill, (child._process.pid, signal.SIGKILL))
        killer.start()
        try:
            with pytest.raises(LoadFailed, match="without an answer"):
                compiler.compile(LONG)
        finally:
            killer.join()
        compiler.compile("int f(void *ctx) { return 0; }").close()
    finally:
        compiler.close()


@pytest.mark.anywhere
@pytest.mark.parametrize(
    ("room", "why"), [(3, "a map got lost"), (1, "cannot be run: .*Too many open files")]
)
def test_want_of_files_is_said_as_such_and_none_stays_open(room: int, why: str) -> None:
    """Room for a log and a pair of sockets: then the maps come, as many as there is room for."""
    source = "".join(f"BPF_HASH({name}, u32, u64);\n" for name in ("a", "b", "c"))
    source += "int f(void *ctx) { return 0; }"
    compiler, before = Compiler(), resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        compiler.compile(source).close()
        (child,) = compiler._children
        open_now = _open_files()
        free = [os.dup(0) for _ in range(room)]
        for fd in free:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free[-1] + 1, before[1]))
        try:
            with pytest.raises(LoadFailed, match=why) as refused:
                compiler.compile(source)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        assert refused.value.errno == errno.EMFILE
        assert _open_files() == open_now
        with compiler.compile(source) as module:
            assert module.fds.keys() == {"a", "b", "c"}
        assert compiler._children == {child}
    finally:
        compiler.close()


def _open_files() -> int:
    return len([*Path("/proc/self/fd").iterdir()])


@pytest.mark.anywhere
def test_one_child_compiles_all_and_lets_go_of_what_it_took() -> None:
    """`sources.live.memory` counts on it, and on bcc's pages being there once."""
    compiler = Compiler(types=TYPES)
    try:
        for n in range(4):
            compiler.compile(f"int f{n}(void *ctx) {{ return 0; }}").close()
        (child,) = compiler._children
        said = Path(f"/proc/{child._process.pid}/status")
        assert until(lambda: _kilobytes(said, "VmRSS") < 50_000)
        assert _kilobytes(said, "VmHWM") * 1024 < room.COMPILER
    finally:
        compiler.close()


def _kilobytes(status: Path, field: str) -> int:
    (line,) = (line for line in status.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1])


@pytest.mark.anywhere
def test_a_closed_compiler_says_so_and_closing_it_again_is_harmless() -> None:
    compiler = Compiler()
    compiler.close()
    compiler.close()
    with pytest.raises(LoadFailed, match="closed"):
        compiler.compile("")


@pytest.mark.anywhere
def test_the_child_does_not_outlive_a_killed_parent() -> None:
    """Not even while it compiles."""
    code = """
        from probes.compile.compiler import Compiler
        compiler = Compiler()
        compiler.compile("int f(void *ctx) { return 0; }")
        (child,) = compiler._children
        print(child._process.pid, flush=True)
        from tests.kernel.compile.test_compile import LONG
        compiler.compile(LONG)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        try:
            assert parent.stdout is not None
            child = int(parent.stdout.readline())
        finally:
            parent.kill()
    assert until(lambda: gone(child))


def test_every_source_that_is_for_this_kernel_compiles_on_it(of_hooks: Compiler) -> None:
    """With it hold the size assertions of every type that a hook uses."""
    hooks = catalogue().values()
    rungs = [r for h in hooks for r in h.ladder if r.precheck is None or r.precheck() is None]
    sources = {r.source for r in rungs if isinstance(r.source, str) and r.source}
    with ThreadPoolExecutor(4) as threads:
        for module in threads.map(of_hooks.compile, sources):
            assert module.functions
            module.close()


def test_an_error_names_the_c_file_and_its_line(tmp_path: Path) -> None:
    """In a copy of a hook's file, of which one line is broken."""
    text = (ROOT / "probes" / "hooks" / "tcp_rtt" / "rows.c").read_text().splitlines()
    at = next(n for n, line in enumerate(text) if "samples++" in line)
    text[at] = "slot->no_such_field++;"
    (tmp_path / "tcp_rtt").mkdir()
    (tmp_path / "tcp_rtt" / "rows.c").write_text("\n".join(text))
    source = c_source(str(tmp_path / "tcp_rtt" / "hook.py"), "uncounted.h", "rows.c", BUCKETS=32)
    with closing(Compiler()) as compiler, pytest.raises(LoadFailed) as refused:
        compiler.compile(source + "int watch(u64 *ctx) { return 0; }\n")
    assert f"tcp_rtt/rows.c:{at + 1}:" in refused.value.log
    assert "no_such_field" in refused.value.log
