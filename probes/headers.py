"""The header tree that bcc compiles with: made from the running kernel's BTF, kept in a cache.

No kernel headers are needed, only CONFIG_DEBUG_INFO_BTF. The tree holds the wanted types and
what they need, nothing else; bcc brings the UAPI's bpf.h itself. The distribution's headers are
what is left where there is no BTF.

What a hook's C finds in any case, without an #include: bcc's own helpers.h, and `HOOKS_H` below.
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
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from probes import btf_dump
from probes.errors import Unsupported
from probes.treecache import Files, TreeCache

BTF = Path("/sys/kernel/btf/vmlinux")
MODULES = Path("/lib/modules")

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
BASE_TYPES = frozenset({"pt_regs", "user_pt_regs"})

# 7.2 and newer: BTF has anonymous members with a tag, which clang drops without -fms-extensions.
TYPE_FLAGS = ("-fms-extensions", "-Wno-microsoft-anon-tag")


@dataclass(frozen=True, slots=True)
class Tree:
    """What to compile with.

    path: for BCC_KERNEL_SOURCE (None: bcc finds the distribution's headers itself). cflags: for
    BPF(cflags=). missing: wanted types that this kernel does not have.
    """

    path: Path | None
    cflags: tuple[str, ...]
    origin: Literal["btf", "headers"]
    missing: frozenset[str] = frozenset()


def tree(types: Collection[str]) -> Tree:
    """The header tree with these struct, union, enum and typedef names in it.

    Takes 0.1 s the first time on a kernel, then a millisecond or two. Raises Unsupported where
    the kernel has no BTF (or libbpf is missing) and there are no headers either.
    """
    wanted = tuple(sorted((frozenset(types) | BASE_TYPES) - UAPI_TYPES))
    try:
        if not BTF.exists():
            raise Unsupported(
                "this kernel shows no BTF type information",
                remedy="a kernel built with CONFIG_DEBUG_INFO_BTF, or its headers package",
            )
        return _from_btf(wanted)
    except Unsupported as why:
        return _from_distribution(why)


def _from_btf(wanted: tuple[str, ...]) -> Tree:
    place = _cache().get((*_kernel_identity(), *wanted), lambda: _btf_files(wanted))
    missing = (place / "missing").read_text().split()
    hooks = place / "include" / "ebpftop" / "hooks.h"
    return Tree(place, (*TYPE_FLAGS, "-include", str(hooks)), "btf", frozenset(missing))


def _from_distribution(why: Unsupported) -> Tree:
    build = MODULES / os.uname().release / "build"
    if not (build.exists() or (MODULES / os.uname().release / "source").exists()):
        raise Unsupported(
            f"{why.why}, and its headers are not installed either",
            remedy=f"{why.remedy} (linux-headers-{os.uname().release})",
        )
    files = {"ebpftop/hooks.h": HEADERS_INCLUDES + HOOKS_H}
    place = _cache().get(("headers", os.uname().release), lambda: files)
    return Tree(None, ("-include", str(place / "ebpftop" / "hooks.h")), "headers")


def _btf_files(wanted: tuple[str, ...]) -> Files:
    text, missing = btf_dump.header(wanted)
    return {
        **_skeleton(),
        "include/ebpftop/kernel_types.h": text,
        "include/ebpftop/hooks.h": HOOKS_H,
        "missing": "\n".join(sorted(missing)) + "\n",
    }


def _kernel_identity() -> tuple[str, ...]:
    """Changes with every kernel build: release, version, and build id (/sys/kernel/notes)."""
    uname = os.uname()
    try:
        notes = Path("/sys/kernel/notes").read_bytes().hex()
    except OSError:
        notes = ""
    return uname.release, uname.version, uname.machine, notes, str(BTF.stat().st_size)


@functools.cache
def _cache() -> TreeCache:
    """The first place that takes it: the system's (root) or user's cache, or else a temporary one.

    Root's is its own because what is in it gets compiled and loaded into the kernel.
    """
    if os.geteuid() == 0:
        base = Path("/var/cache/ebpftop")
    else:
        home = os.environ.get("XDG_CACHE_HOME", "")
        base = (Path(home) if home.startswith("/") else Path.home() / ".cache") / "ebpftop"
    try:
        return TreeCache(base)
    except OSError:  # read-only, full, or no home at all
        temporary = Path(tempfile.mkdtemp(prefix="ebpftop-"))
        atexit.register(shutil.rmtree, temporary, ignore_errors=True)
        return TreeCache(temporary)


def _skeleton() -> Files:
    """The files that bcc's helpers.h and kbuild flags ask for, as empty as they may be."""
    arch = {"x86_64": "x86", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    major, minor, patch = _version()
    return {
        "include/linux/kconfig.h": KCONFIG_H,
        "include/linux/types.h": TYPES_H,
        "include/linux/bpf_common.h": BPF_COMMON_H,
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


# bcc includes this first of all. The types' file has an unusual name on purpose: bcc puts the
# working directory first on the include path, where somebody's vmlinux.h might lie.
KCONFIG_H = """\
#pragma once
#define CONFIG_BPF_SYSCALL 1
#define CONFIG_CGROUPS 1
#include <linux/types.h>
#include <ebpftop/kernel_types.h>
"""

TYPES_H = """\
#pragma once
typedef signed char __s8;
typedef unsigned char __u8;
typedef short __s16;
typedef unsigned short __u16;
typedef int __s32;
typedef unsigned int __u32;
typedef long long __s64;
typedef unsigned long long __u64;
typedef __s8 s8;
typedef __u8 u8;
typedef __s16 s16;
typedef __u16 u16;
typedef __s32 s32;
typedef __u32 u32;
typedef __s64 s64;
typedef __u64 u64;
typedef __u16 __be16;
typedef __u16 __le16;
typedef __u32 __be32;
typedef __u32 __le32;
typedef __u64 __be64;
typedef __u64 __le64;
typedef __u16 __sum16;
typedef __u32 __wsum;
typedef _Bool bool;
typedef unsigned long size_t;
typedef unsigned long uintptr_t;
typedef __u8 uint8_t;
typedef __u16 uint16_t;
typedef __u32 uint32_t;
typedef __u64 uint64_t;
typedef int pid_t;
#define __aligned_u64 __u64 __attribute__((aligned(8)))
#ifndef NULL
#define NULL ((void *)0)
#endif
#define true 1
#define false 0
"""

# The classic opcodes that the UAPI's bpf.h builds on (include/uapi/linux/bpf_common.h).
BPF_COMMON_H = """\
#pragma once
#define BPF_CLASS(code) ((code) & 0x07)
#define BPF_LD 0x00
#define BPF_LDX 0x01
#define BPF_ST 0x02
#define BPF_STX 0x03
#define BPF_ALU 0x04
#define BPF_JMP 0x05
#define BPF_RET 0x06
#define BPF_MISC 0x07
#define BPF_SIZE(code) ((code) & 0x18)
#define BPF_W 0x00
#define BPF_H 0x08
#define BPF_B 0x10
#define BPF_MODE(code) ((code) & 0xe0)
#define BPF_IMM 0x00
#define BPF_ABS 0x20
#define BPF_IND 0x40
#define BPF_MEM 0x60
#define BPF_LEN 0x80
#define BPF_MSH 0xa0
#define BPF_OP(code) ((code) & 0xf0)
#define BPF_ADD 0x00
#define BPF_SUB 0x10
#define BPF_MUL 0x20
#define BPF_DIV 0x30
#define BPF_OR 0x40
#define BPF_AND 0x50
#define BPF_LSH 0x60
#define BPF_RSH 0x70
#define BPF_NEG 0x80
#define BPF_MOD 0x90
#define BPF_XOR 0xa0
#define BPF_JA 0x00
#define BPF_JEQ 0x10
#define BPF_JGT 0x20
#define BPF_JGE 0x30
#define BPF_JSET 0x40
#define BPF_SRC(code) ((code) & 0x08)
#define BPF_K 0x00
#define BPF_X 0x08
#define BPF_MAXINSNS 4096
"""

# What the BTF has no names for (macros, anonymous enums), and idioms for hooks. Included last.
HOOKS_H = """\
#pragma once

/* A BTF-typed program (tp_btf, fentry, fexit) takes its arguments as an array of words and reads
 * through them directly; the verifier knows their types:
 *
 *     int on_free(u64 *ctx)
 *     {
 *         struct sk_buff *skb = ARG(ctx, 0, struct sk_buff *);
 *         struct net_device *dev = skb->dev;
 *         u32 ifindex = dev ? dev->ifindex : 0;
 *
 * bcc rewrites a read to bpf_probe_read only where the pointer comes from a context it takes for
 * a tracing one (struct pt_regs *, struct bpf_raw_tracepoint_args *), from a further argument, or
 * from bpf_get_current_task(); never inside a macro. So: exactly one argument, and of this type.
 */
#define ARG(ctx, n, type) ((type)(ctx)[n])

/* Reads kernel memory where the verifier does not know the pointer (raw tracepoints, kprobes):
 * PROBE(sk->__sk_common.skc_family), PROBE(PT_REGS_PARM1(regs)). 0 where it cannot be read; one
 * step at a time, as only the last -> is read safely. Not allowed under lockdown=confidentiality.
 */
#define PROBE(field) ({ \\
    typeof(field) _read; \\
    bpf_probe_read_kernel(&_read, sizeof _read, (const void *)&(field)); \\
    _read; \\
})

/* Reads once, as written: clang joins neighbouring 4-byte reads of a context into one of 8 bytes,
 * which the verifier refuses for sock_ops and cgroup address contexts. */
#undef READ  /* linux/kernel.h has one, for a direction */
#define READ(field) (*(volatile typeof(field) *)&(field))

/* Adds to a counter that other CPUs add to as well (not needed in per-CPU maps). */
#define ADD(pointer, n) ((void)__sync_fetch_and_add((pointer), (n)))

/* floor(log2(v)), 0 for 0: bucket b holds 2**b <= v < 2**(b + 1). Always below 64. (bcc's
 * bpf_log2l is one more than that.) */
static inline __attribute__((always_inline)) u32 log2_bucket(u64 v)
{
    u32 b = 0;
    if (v >> 32) { b += 32; v >>= 32; }
    if (v >> 16) { b += 16; v >>= 16; }
    if (v >> 8) { b += 8; v >>= 8; }
    if (v >> 4) { b += 4; v >>= 4; }
    if (v >> 2) { b += 2; v >>= 2; }
    return b + (u32)(v >> 1);
}

"""


def _constants(text: str) -> str:
    """NAME value pairs as macros, unless the kernel's own headers have them already."""
    words = text.split()
    pairs = zip(words[::2], words[1::2], strict=True)
    return "".join(f"#ifndef {name}\n#define {name} {value}\n#endif\n" for name, value in pairs)


HOOKS_H += _constants(" ".join(f"{e} {n}" for e, n in vars(errno).items() if e[0] == "E"))
HOOKS_H += _constants("""
    AF_UNSPEC 0 AF_UNIX 1 AF_INET 2 AF_INET6 10
    SOCK_STREAM 1 SOCK_DGRAM 2 SOCK_RAW 3
    IPPROTO_IP 0 IPPROTO_ICMP 1 IPPROTO_TCP 6 IPPROTO_UDP 17 IPPROTO_IPV6 41 IPPROTO_ICMPV6 58
    ETH_P_IP 0x0800 ETH_P_ARP 0x0806 ETH_P_8021Q 0x8100 ETH_P_IPV6 0x86DD
    TCP_ESTABLISHED 1 TCP_SYN_SENT 2 TCP_SYN_RECV 3 TCP_FIN_WAIT1 4 TCP_FIN_WAIT2 5 TCP_TIME_WAIT 6
    TCP_CLOSE 7 TCP_CLOSE_WAIT 8 TCP_LAST_ACK 9 TCP_LISTEN 10 TCP_CLOSING 11 TCP_NEW_SYN_RECV 12
    TC_ACT_UNSPEC (-1) TC_ACT_OK 0 TC_ACT_SHOT 2 TC_ACT_PIPE 3
    TCX_NEXT (-1) TCX_PASS 0 TCX_DROP 2
    TASK_COMM_LEN 16
""")

# For compiling with the distribution's headers, where nothing has been included yet.
HEADERS_INCLUDES = """\
#include <linux/fdtable.h>
#include <linux/net.h>
#include <linux/netdevice.h>
#include <linux/sched.h>
#include <linux/skbuff.h>
#include <linux/tcp.h>
#include <net/sock.h>
#include <net/tcp.h>
"""
