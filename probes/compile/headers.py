"""Header tree that bcc compiles with: made from the running kernel's BTF, kept in a cache.

No kernel headers are needed, only CONFIG_DEBUG_INFO_BTF. The tree holds the wanted types and what
they need, nothing else; bcc brings the UAPI's bpf.h itself. Where there is no BTF, the
distribution's headers are used.

A hook's C includes nothing: it gets bcc's own helpers.h and our include/hooks.h in any case.
"""

from __future__ import annotations

import atexit
import errno
import functools
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from probes.compile.tree_cache import Files, TreeCache
from probes.errors import ProbeError, Unsupported, in_words, remedy, short
from probes.kernel import btf, btf_dump, capabilities, procfs, sysfs, tracefs

BTF = Path("/sys/kernel/btf/vmlinux")
MODULES = Path("/lib/modules")
_SHARED_MEMORY = "/dev/shm"
INCLUDE = Path(__file__).with_name("include")
ARCHES = {  # as the kernel's arch/ calls them
    "x86_64": "x86",
    "aarch64": "arm64",
    "ppc64le": "powerpc",
    "s390x": "s390",
    "riscv64": "riscv",
    "loongarch64": "loongarch",
}

# Types that bcc's built-in copy of include/uapi/linux/bpf.h brings: ours would be a redefinition.
_UAPI_TYPES = """
    __sk_buff xdp_md xdp_action sk_action sk_msg_md sk_reuseport_md bpf_sock bpf_sock_addr
    bpf_sock_ops bpf_sock_tuple bpf_tcp_sock bpf_tunnel_key bpf_xfrm_state bpf_fib_lookup
    bpf_redir_neigh bpf_raw_tracepoint_args bpf_perf_event_value bpf_spin_lock bpf_timer
    bpf_insn bpf_attr bpf_map_type bpf_prog_type bpf_attach_type bpf_link_type bpf_cmd
    bpf_func_id bpf_pidns_info bpf_sk_lookup btf_ptr bpf_adj_room_mode bpf_hdr_start_off
    bpf_ret_code bpf_task_fd_type
"""
UAPI_TYPES = frozenset(_UAPI_TYPES.split())
# Always there: what the PT_REGS macros read (arm64 casts to the second).
# And those by which a process is named (`who_c`).
BASE_TYPES = frozenset({"pt_regs", "user_pt_regs", "task_struct", "pid", "upid", "pid_namespace"})

CONSTANTS = """
    AF_UNSPEC 0 AF_UNIX 1 AF_INET 2 AF_INET6 10
    SOCK_STREAM 1 SOCK_DGRAM 2 SOCK_RAW 3
    IPPROTO_IP 0 IPPROTO_ICMP 1 IPPROTO_TCP 6 IPPROTO_UDP 17 IPPROTO_IPV6 41 IPPROTO_ICMPV6 58
    ETH_P_IP 0x0800 ETH_P_ARP 0x0806 ETH_P_8021Q 0x8100 ETH_P_IPV6 0x86DD
    TCP_ESTABLISHED 1 TCP_SYN_SENT 2 TCP_SYN_RECV 3 TCP_FIN_WAIT1 4 TCP_FIN_WAIT2 5 TCP_TIME_WAIT 6
    TCP_CLOSE 7 TCP_CLOSE_WAIT 8 TCP_LAST_ACK 9 TCP_LISTEN 10 TCP_CLOSING 11 TCP_NEW_SYN_RECV 12
    TC_ACT_UNSPEC (-1) TC_ACT_OK 0 TC_ACT_SHOT 2 TC_ACT_PIPE 3
    TCX_NEXT (-1) TCX_PASS 0 TCX_DROP 2
    TASK_COMM_LEN 16
"""

# 7.2 and newer: BTF has anonymous members with a tag, which clang drops without -fms-extensions.
# Neighbouring bit fields become one integer of up to 128 bits, whose alignment is not the same on
# the host, for which clang lays out, and on BPF, for which bcc makes code: what comes after them
# (in 5.10's task_struct: tgid, comm, files) is then read from the wrong place, in silence.
LAYOUT_FLAGS = ("-ffine-grained-bitfield-accesses",)
TYPE_FLAGS = ("-fms-extensions", *LAYOUT_FLAGS, "-Wno-microsoft-anon-tag")
# Where the distribution's headers have what hooks read. A source gets those it needs: they are
# what takes the time, up to ten times that of a source without.
DISTRIBUTION = {
    "dst_entry": "net/dst.h",
    "fdtable": "linux/fdtable.h",
    "file": "linux/fs.h",
    "files_struct": "linux/fdtable.h",
    "inode": "linux/fs.h",
    "net": "net/net_namespace.h",
    "net_device": "linux/netdevice.h",
    "pid_namespace": "linux/pid_namespace.h",
    "pt_regs": "linux/ptrace.h",
    "sk_buff": "linux/skbuff.h",
    "sock": "net/sock.h",
    "socket": "linux/net.h",
    "socket_alloc": "net/sock.h",
    "task_struct": "linux/sched.h",
    "tcp_sock": "linux/tcp.h",
}


@dataclass(frozen=True, slots=True)
class Tree:
    """Header tree and flags to compile with.

    path: for BCC_KERNEL_SOURCE (None: bcc finds the distribution's headers itself). cflags: for
    BPF(cflags=), the same for every source. place: where its files are. missing: wanted types that
    this kernel does not have.
    """

    path: Path | None
    cflags: tuple[str, ...]
    origin: Literal["btf", "headers"]
    place: Path
    missing: frozenset[str] = frozenset()

    @property
    def there(self) -> bool:
        """Whether nobody has removed it, as what cleans caches and /tmp may do."""
        return self.place.is_dir()

    def cflags_for(self, source: str) -> tuple[str, ...]:
        """Return those and, of the distribution's headers, what this source needs."""
        if self.origin == "btf":
            return self.cflags
        named = set(re.findall(r"\bstruct (\w+)", source))
        needed = dict.fromkeys(DISTRIBUTION[name] for name in sorted(named & DISTRIBUTION.keys()))
        return (*(flag for header in needed for flag in ("-include", header)), *self.cflags)


def tree(types: Collection[str], *, in_pidns: bool | None = None) -> Tree:
    """Return the header tree with these struct, union, enum and typedef names in it.

    in_pidns: for processes in a PID namespace other than the first one; None: as this one is.
    Takes some 20 ms the first time on a kernel, then one or two. Raises Unsupported where the
    kernel has no BTF (or libbpf is missing) and there are no headers either, and ProbeError where
    there is no place for it.
    """
    wanted = tuple(sorted((frozenset(types) | BASE_TYPES) - UAPI_TYPES))
    try:
        if not (btf.given() or BTF.exists()):
            raise sysfs.not_mounted("the kernel's type information (BTF)") or Unsupported(
                "this kernel has no BTF type information",
                remedy="Use a kernel built with CONFIG_DEBUG_INFO_BTF.",
            )
        return _from_btf(wanted, _situation(in_pidns))
    except Unsupported as why:
        if btf.given():
            raise
        return _from_distribution(wanted, _situation(in_pidns), why)


def _from_btf(wanted: tuple[str, ...], situation: tuple[str, ...]) -> Tree:
    identity = (*kernel(), *situation, *_generator(), *wanted)
    place = _kept(identity, lambda: _btf_files(wanted, situation))
    missing = (place / "missing").read_text().split()
    hooks = _include(place / "include" / "ebpftop" / "hooks.h")
    return Tree(place, (*TYPE_FLAGS, *hooks), "btf", place, frozenset(missing))


def _from_distribution(
    wanted: tuple[str, ...], situation: tuple[str, ...], why: Unsupported
) -> Tree:
    modules = MODULES / os.uname().release
    if not ((modules / "build").exists() or (modules / "source").exists()):
        if BTF.exists() and btf.libbpf() is None:
            raise why  # one package is lacking, and headers would be another way round
        raise Unsupported(
            f"{why.why}, and its headers are not installed either",
            remedy=f"Install {_package()}. Or: {why.remedy}",
        )
    files = {"hooks.h": _text("hooks.h"), "constants.h": _constants(situation)}
    # No header has these: macros make them while a tracepoint is compiled into the kernel.
    files["records.h"] = "".join(map(tracefs.record, wanted))
    place = _kept(("distribution", *kernel(), *_generator(), *files.values()), lambda: files)
    own = (*_include(place / "records.h"), *_include(place / "hooks.h"))
    return Tree(None, (*LAYOUT_FLAGS, "-include", "linux/types.h", *own), "headers", place)


def _package() -> str:
    """Return the package names of the running kernel's headers."""
    release = os.uname().release
    return f"linux-headers-{release} (Debian, Ubuntu) or kernel-devel-{release} (Fedora)"


def _include(header: Path) -> tuple[str, str]:
    return "-include", str(header)


def _btf_files(wanted: tuple[str, ...], situation: tuple[str, ...]) -> Files:
    text, missing = btf_dump.header(wanted)
    return {
        **_skeleton(),
        "include/ebpftop/kernel_types.h": text,
        "include/ebpftop/hooks.h": _text("hooks.h"),
        "include/ebpftop/constants.h": _constants(situation, have_btf=True),
        "missing": "\n".join(sorted(missing)) + "\n",
    }


def _generator() -> tuple[str, ...]:
    """Return all that goes into a tree besides the kernel: no version number to forget."""
    own = (Path(__file__), *(Path(str(module.__file__)) for module in (btf_dump, tracefs)))
    return (*(p.read_text() for p in own), *shared_c())


def shared_c() -> tuple[str, ...]:
    """Return the C that every source is compiled with, besides the kernel's types."""
    return tuple(p.read_text() for p in sorted(INCLUDE.iterdir()))


def _text(name: str) -> str:
    return (INCLUDE / name).read_text()


def kernel() -> tuple[str, ...]:
    """Return what changes with every kernel build: release, version, id (/sys/kernel/notes).

    Raises OSError where that cannot be read at the moment, for want of files.
    """
    if btf.given():
        return (btf.digest(),)
    uname = os.uname()
    try:
        notes = Path("/sys/kernel/notes").read_bytes().hex()
    except OSError as refused:
        if short(refused.errno):
            raise
        notes = ""
    size = BTF.stat().st_size if BTF.exists() else 0
    return uname.release, uname.version, uname.machine, notes, str(size)


def _kept(identity: tuple[str, ...], make: Callable[[], Files]) -> Path:
    """Return the tree from the cache, or from a temporary one where that is read-only or full."""
    try:
        return _cache().get(identity, make)
    except OSError:
        pass
    refused: list[str] = []
    for place in _places():
        try:
            return _temporary(place).get(identity, make)
        except OSError as why:
            code = why.errno or 0
            refused.append(f"{place}: {in_words(why)}")
    said = f"there is no place for the header tree ({'; '.join(refused)})"
    raise ProbeError(said, errno=code, remedy=remedy(code))


@functools.cache
def _cache() -> TreeCache:
    return TreeCache(cache_base())


def cache_base() -> Path:
    """Return the cache's folder. Root has its own, as what is in it gets loaded into the kernel.

    For a user without a home: a place where nothing can be made.
    """
    if os.geteuid() == 0:
        return Path("/var/cache/ebpftop")
    home = os.environ.get("XDG_CACHE_HOME", "")
    try:
        return (Path(home) if home.startswith("/") else Path.home() / ".cache") / "ebpftop"
    except RuntimeError:
        return Path(os.devnull) / "ebpftop"


def _mine() -> str:
    """Return how temporary folders of this PID namespace begin; the pid follows."""
    try:
        namespace = Path("/proc/self/ns/pid").stat().st_ino
    except OSError:  # a kernel without PID namespaces
        namespace = 0
    return f"ebpftop-{namespace}-"


def _places() -> list[str]:
    """Return folders for temporary files. The second is there where all else is read-only."""
    try:
        usual = tempfile.gettempdir()
    except OSError:  # none can be written
        usual = "/tmp"
    return list(dict.fromkeys((usual, _SHARED_MEMORY)))


def sweep() -> None:
    """Remove the temporary trees of processes that were killed."""
    mine = _mine()
    found: list[Path] = []
    for place in _places():
        with suppress(OSError):  # no such folder: nothing is left in it
            found += Path(place).glob(f"{mine}*")
    for left in found:
        pid = left.name.removeprefix(mine).partition("-")[0]
        try:
            ours = left.lstat().st_uid == os.geteuid() and not left.is_symlink()
        except OSError:  # gone meanwhile
            continue
        if ours and pid.isdigit() and not Path("/proc", pid).exists():
            shutil.rmtree(left, ignore_errors=True)


@functools.cache
def _temporary(place: str) -> TreeCache:
    base = Path(tempfile.mkdtemp(prefix=f"{_mine()}{os.getpid()}-", dir=place))
    atexit.register(shutil.rmtree, base, ignore_errors=True)
    return TreeCache(base)


def _skeleton() -> Files:
    """Return the files that bcc's helpers.h and kbuild flags ask for, as empty as possible."""
    arch = ARCHES.get(platform.machine(), platform.machine())
    major, minor, patch = _version()
    return {
        "include/linux/kconfig.h": _text("kconfig.h"),
        "include/linux/types.h": _text("types.h"),
        "include/linux/bpf_common.h": _text("bpf_common.h"),
        "include/linux/version.h": (
            "#pragma once\n"
            "#define KERNEL_VERSION(a, b, c) "
            "(((a) << 16) + ((b) << 8) + ((c) > 255 ? 255 : (c)))\n"
            f"#define LINUX_VERSION_CODE KERNEL_VERSION({major}, {minor}, {patch})\n"
        ),
        "include/linux/log2.h": "",
        "include/uapi/linux/bpf.h": "",
        "include/uapi/linux/if_ether.h": "",
        "include/uapi/linux/if_packet.h": "",
        "include/uapi/linux/ptrace.h": "",
        "include/asm/page.h": f"#pragma once\n#define PAGE_SIZE {os.sysconf('SC_PAGE_SIZE')}\n",
        f"arch/{arch}/include/generated/uapi/empty.h": "",
    }


def _version() -> tuple[str, str, str]:
    numbers = re.findall(r"\d+", os.uname().release.split("-")[0])
    major, minor, patch = (*numbers, "0", "0", "0")[:3]
    return major, minor, patch


def _constants(situation: tuple[str, ...], *, have_btf: bool = False) -> str:
    """Return macros that BTF has no names for, unless the distribution's headers define them."""
    words = [*CONSTANTS.split(), *(str(w) for pair in _errnos() for w in pair)]
    words += [*situation, *(("HAVE_BTF", "1", *_task_helper()) if have_btf else ())]
    pairs = zip(words[::2], words[1::2], strict=True)
    return "".join(f"#ifndef {name}\n#define {name} {value}\n#endif\n" for name, value in pairs)


def _task_helper() -> tuple[str, ...]:
    """Return the number of the helper that returns a typed task. Linux 5.11, BTF."""
    named = btf.enum("bpf_func_id").items()
    return next(
        (("TASK_BTF", str(n)) for n, name in named if name == "BPF_FUNC_get_current_task_btf"), ()
    )


def _situation(in_pidns: bool | None) -> tuple[str, ...]:
    """Return what else C has to know, which may differ when the same kernel is asked again."""
    locked = ("LOCKED_DOWN", "1") if capabilities.lockdown() == "confidentiality" else ()
    inside = procfs.pid_namespace() is not None if in_pidns is None else in_pidns
    return (*locked, "IN_PIDNS", "1") if inside else locked


def _errnos() -> list[tuple[str, int]]:
    return [(name, code) for name, code in vars(errno).items() if name.startswith("E")]
