"""The C that counts security checks: as modules are asked, or as they or system calls answer.

A program at a security hook is called in its turn only: a check that an earlier module denies never
reaches it. The exits of the functions that call the hooks all have the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from probes.kernel import btf, syscall_table
from probes.toolkit.c_files import c_source
from probes.toolkit.counters_c import UNCOUNTED, event_log, everything
from probes.toolkit.syscalls_c import compat, number_field
from probes.toolkit.who_c import WHO

TYPES = ("file", "sockaddr", "pt_regs", "task_struct", "thread_info")
NOTHING = 255
"""Nothing more is known about the object of the check."""


class Check(NamedTuple):
    """A security hook: its common name, its name among the hooks, the function that calls it.

    arguments: their number where BTF does not give it. what: C for the object of the check, in
    which ARGUMENT(n, type) is the nth; "" for nothing more.
    """

    name: str
    hook: str
    function: str
    arguments: int
    what: str = ""


CHECKS = (
    Check("exec", "bprm_check_security", "security_bprm_check", 1),
    Check(
        "open",
        "file_open",
        "security_file_open",
        1,
        "FIELD(ARGUMENT(0, struct file *)->f_flags) & 3",
    ),
    Check(
        "connect",
        "socket_connect",
        "security_socket_connect",
        3,
        "FIELD(ARGUMENT(1, struct sockaddr *)->sa_family)",
    ),
    Check("bpf", "bpf", "security_bpf", 3, "ARGUMENT(0, int)"),
    Check("module", "kernel_module_request", "security_kernel_module_request", 1),
    Check("read-file", "kernel_read_file", "security_kernel_read_file", 3, "ARGUMENT(1, int)"),
    Check("load-data", "kernel_load_data", "security_kernel_load_data", 2, "ARGUMENT(0, int)"),
    Check(
        "ptrace", "ptrace_access_check", "security_ptrace_access_check", 2, "ARGUMENT(1, int) & 3"
    ),
    Check("capable", "capable", "security_capable", 4, "ARGUMENT(2, int)"),
)
NAMES = tuple(check.name for check in CHECKS)

_CORE = (
    WHO
    + c_source(__file__, "rows.c")
    + everything()
    + event_log(1024)
    + c_source(__file__, "check.c")
)
_TYPED = "#define FIELD(read) (read)\n#define ARGUMENT(n, type) ARG(ctx, n, type)\n"


def _each(one: Callable[[int, Check, str], str]) -> str:
    return "".join(one(n, c, c.what or str(NOTHING)) for n, c in enumerate(CHECKS))


def program(name: str, of: str) -> str:
    """Return the C function for a check or call. of: asked, done, left."""
    return f"{name.replace('-', '_')}_{of}"


def _result(function: str, otherwise: int) -> int:
    """Return the position of the result, behind the arguments: newer kernels add some arguments."""
    found = btf.parameters(function)
    return otherwise if found is None else found


def _at_hook(n: int, check: Check, what: str) -> str:
    at = _result(f"bpf_lsm_{check.hook}", check.arguments)
    return f"""
int {program(check.name, "asked")}(u64 *ctx) {{
    int before = ctx[{at}];
    asked({n}, {what}, before);
    if (before >= 0 || before < -4095)
        return 0;
    return before;
}}
"""


def _at_exit(n: int, check: Check, what: str) -> str:
    at = _result(check.function, check.arguments)
    name = program(check.name, "done")
    return f"int {name}(u64 *ctx) {{ answered({n}, {what}, ctx[{at}]); return 0; }}\n"


def at_hooks(_: str = "") -> str:
    """Return the programs at the hooks (asked), and at the exits of the functions (done)."""
    return _CORE + _TYPED + _each(_at_hook) + _each(_at_exit)


def at_exits(_: str = "") -> str:
    return _CORE + _TYPED + _each(_at_exit)


def _probed(n: int, check: Check, what: str) -> str:
    return f"""
int {program(check.name, "asked")}(struct pt_regs *ctx) {{
    u64 id = bpf_get_current_pid_tgid() << 8 | {n};
    u32 what = {what};
    if (calling.lookup(&id))
        not_counted(); /* the answer was missed */
    if (calling.update(&id, &what))
        not_counted();
    return 0;
}}
int {program(check.name, "done")}(struct pt_regs *ctx) {{
    u64 id = bpf_get_current_pid_tgid() << 8 | {n};
    u32 *what = calling.lookup(&id);
    if (what) {{
        answered({n}, *what, PT_REGS_RC(ctx));
        calling.delete(&id);
    }}
    return 0;
}}
"""


PROBED = (
    _CORE
    + UNCOUNTED
    + """
#define FIELD(read) PROBE(read)
#define ARGUMENT(n, type) ((type)PARAMETER_##n(ctx))
#define PARAMETER_0 PT_REGS_PARM1
#define PARAMETER_1 PT_REGS_PARM2
#define PARAMETER_2 PT_REGS_PARM3
BPF_TABLE("hash", u64, u32, calling, 8192);
"""
    + _each(_probed)
)

# -- without either: what system calls answer ------------------------------------------------

CALLS = {
    "execve": "exec",
    "execveat": "exec",
    "open": "open",
    "openat": "open",
    "openat2": "open",
    "connect": "connect",
    "bpf": "bpf",
    "finit_module": "read-file",
    "init_module": "load-data",
    "ptrace": "ptrace",
}
"""System calls of this or other machines, and the check that each has to pass."""

# An exec that succeeds does not return; it has a tracepoint of its own.
_RETURNED = f"""
static inline void returned(u32 op, long result) {{
    if (op == 0 && result >= 0)
        return;
    answered(op, {NOTHING}, result == -EPERM || result == -EACCES ? result : 0);
}}
int executed(u64 *ctx) {{ answered(0, {NOTHING}, 0); return 0; }}
"""


def here() -> list[str]:
    """Return those of CALLS that this machine has."""
    return [call for call in CALLS if syscall_table.number(call) is not None]


AT_CALLS = (
    _CORE
    + _RETURNED
    + "".join(
        f"int {program(call, 'left')}(u64 *ctx) "
        f"{{ returned({NAMES.index(CALLS[call])}, ctx[2]); return 0; }}\n"
        for call in here()
    )
)
_EVERY_CALL = (
    f"""
int leave(u64 *ctx) {{
    struct pt_regs *regs = ARG(ctx, 0, struct pt_regs *);
    long result = ctx[1];
    u32 call = regs->{number_field()}, op;
    switch (call) {{
"""
    + "".join(
        f"    case {syscall_table.number(call)}: op = {NAMES.index(CALLS[call])}; break;\n"
        for call in here()
    )
    + """    default: return 0;
    }
    if (!is_compat())
        returned(op, result);
    return 0;
}
"""
)


def at_every_call(_: str = "") -> str:
    return _CORE + _RETURNED + compat(typed=True) + _EVERY_CALL
