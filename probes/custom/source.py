"""The C of a user's own hook. Of the user's text it holds nothing but numbers.

A row is kept for each key, made of the keys that the spec asks for; every part of a key is 8 bytes
or a multiple of it, so that there are no unwritten gaps between them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from probes.custom.spec import USER, Condition, Spec
from probes.kernel.tracefs import RecordField
from probes.toolkit.c_files import c_source
from probes.toolkit.counters_c import UNCOUNTED, everything, large_rows
from probes.toolkit.stacks import MAP
from probes.toolkit.who_c import WHO

TEXT = 32
"""Bytes of a text field; the last is zero."""
DEEPEST = 8
"""Nested calls of one thread that are timed; deeper ones are only counted."""

_TASK = {
    "pid": "this_pid()",
    "uid": "(u32)bpf_get_current_uid_gid()",
    "cpu": "bpf_get_smp_processor_id()",
    "cgroup": "bpf_get_current_cgroup_id()",
}
_PARTS = {
    "pid": "u64 pid;char comm[16];",
    "comm": "char comm[16];",
    "cgroup": "u64 cgroup;",
    "cpu": "u64 cpu;",
    "stack": "u64 pid;s64 kernel, user;",
    "ret": "s64 ret;",
    "none": "u64 all;",
}
_FILLED = {
    "pid": f"key->pid = {_TASK['pid']}; this_name(key->comm);",
    "comm": "this_name(key->comm);",
    "cgroup": f"key->cgroup = {_TASK['cgroup']};",
    "cpu": f"key->cpu = {_TASK['cpu']};",
    "stack": f"key->pid = {_TASK['pid']};",
    "ret": "key->ret = result;",
    "none": "",
}

# A failed look-up of a stack is kept in its place: a negative errno.
_USER_STACK = "key->user = stacks.get_stackid(ctx, BPF_F_USER_STACK);"

_SLOT = """
struct key {{ {key} }};
struct slot {{ {slot} }};
BPF_TABLE("{map}", struct key, struct slot, rows, 4096);
{everything}{stacks}{large}"""

# An int that a function returns leaves the upper half of the register as it is: what looks like a
# small negative one in the lower half alone is one.
_RESULT = """
static inline __attribute__((always_inline)) s64 returned(u64 raw) {
    return !(raw >> 32) && (u32)raw >= 0xfffff001u ? (s64)(s32)raw : (s64)raw;
}
"""

_OF_TASK = 1 << 14
_OF_PROCESS = 8 << 20
"""Sizes of stacks: the kernel's, and mostly a thread's at most."""

UNDER_WAY = {"under_way": lambda entry: int(entry[1]) & 0xFFFFFFFF}
"""The thread's number in the key of a timed call (`readers.Uncounted`)."""


# In assembly: clang would add a number to `mine` instead, which the verifier refuses.
_DISTANCE = (
    '({ u64 _place = (place); asm volatile("%0 -= %1" : "+r"(_place) : "r"(mine)); _place; })'
)


@dataclass(frozen=True, slots=True)
class ArgumentAccess:
    """The C by which a kind of program reads its arguments.

    context: its argument's type. result: the returned value, as C. place: the call's on the stack,
    and number: the same as a number, beside the pointer `mine`. returned: see timing.c.
    """

    context: str = "u64 *ctx"
    result: str = "0"
    place: str = "(u64)ctx"
    number: str = _DISTANCE
    returned: int = 0


REGISTERS = ArgumentAccess(
    "struct pt_regs *ctx", "PT_REGS_RC(ctx)", "PT_REGS_SP(ctx)", "(place)", 8
)


def source(
    spec: Spec,
    how: ArgumentAccess,
    fields: Mapping[str, RecordField] | None = None,
    cgroups: Mapping[str, int] | None = None,
) -> str:
    """Return the module: `hit` counts, and `enter` begins what `hit` ends, where calls are timed.

    fields: those of the tracepoint's record. cgroups: ids of those in conditions, by path.
    """
    known = fields or {}
    wanted = _conditions(spec.where, known, cgroups or {})
    body = ["struct key made = {}, *key = &made; struct slot *slot, *all = sum_of_all();"]
    if spec.latency:
        body += [f"u64 took = ended({how.place}); if (!took) return 0;"]
    else:
        body += wanted
    if spec.reads_result:
        body += [f"s64 result = returned({how.result});"]
    body += [_filled(name, spec) for name in spec.by]
    body += [_field(i, known[name]) for i, name in enumerate(spec.fields)]
    body += ["slot = row_of(key);", "TALLY(slot, all, events, 1);"]
    if spec.ret:
        body += [
            "if (result < 0 && result >= -4095) { TALLY(slot, all, failed, 1); }",
            # Not pointers: a sum of these is nothing, and would not fit.
            "else if (!((u64)result >> 40)) {"
            " TALLY(slot, all, plain, 1); TALLY(slot, all, returned, result); }",
        ]
    if spec.latency:
        body += [
            "if (took > 1) { took -= 2; u64 bucket = bucket_of(took, 40);"
            " TALLY(slot, all, timed, 1); TALLY(slot, all, total_ns, took);"
            " TALLY(slot, all, latency[bucket], 1); }"
        ]
    parts = [WHO, _tables(spec, known), _RESULT if spec.reads_result else ""]
    if spec.latency:
        parts += [
            UNCOUNTED,
            _timing(how, _OF_PROCESS if spec.kind in USER else _OF_TASK),
            _function("enter", how, [*wanted, f"begun({how.place});"]),
        ]
    return "".join([*parts, _function("hit", how, body)])


def _timing(how: ArgumentAccess, stack: int) -> str:
    numbers = {"DEEPEST": DEEPEST, "STACK": stack, "RETURNED": how.returned}
    place = f"#define PLACE(place, mine) {how.number}\n"
    return place + c_source(__file__, "timing.c", **numbers)


def _function(name: str, how: ArgumentAccess, body: Iterable[str]) -> str:
    lines = "".join(f"    {line}\n" for line in body)
    return f"int {name}({how.context}) {{\n{lines}    return 0;\n}}\n"


def _filled(name: str, spec: Spec) -> str:
    if name != "stack":
        return _FILLED[name]
    kernel = "-1" if spec.kind in USER else "stacks.get_stackid(ctx, 0)"
    return f"{_FILLED['stack']} key->kernel = {kernel}; {_USER_STACK}"


def _tables(spec: Spec, fields: Mapping[str, RecordField]) -> str:
    key = "".join(_PARTS[name] for name in spec.by).split(";")
    for i, name in enumerate(spec.fields):
        key.append(f"char f{i}[{TEXT}]" if fields[name].text else f"s64 f{i}")
    slot = ["u64 events;"]
    slot += ["u64 failed, plain, returned;"] * spec.ret
    slot += ["u64 timed, total_ns, latency[40];"] * spec.latency
    shared = spec.latency  # a histogram for each CPU would be megabytes
    return _SLOT.format(
        # The pid and the name are there once, however many ask for them.
        key=" ".join(f"{part};" for part in dict.fromkeys(key) if part),
        slot=" ".join(slot),
        map="lru_hash" if shared else "lru_percpu_hash",
        everything=everything(),
        large=large_rows("struct key"),
        stacks=MAP if "stack" in spec.by else "",
    )


# -- a tracepoint's record -------------------------------------------------------------------


def _number(field: RecordField) -> str:
    """Return C that reads a number in the record; offset and size are as the kernel gives them."""
    return f"*({'s' if field.signed else 'u'}{field.size * 8} *)((char *)ctx + {field.offset})"


def _field(i: int, field: RecordField) -> str:
    if not field.text:
        return f"key->f{i} = {_number(field)};"
    if field.far:  # its place in the record, and 16 bits further up its length
        where = f"(char *)ctx + (*(u32 *)((char *)ctx + {field.offset}) & 0xffff)"
        return f"bpf_probe_read_kernel_str(key->f{i}, {TEXT}, {where});"
    size = min(field.size, TEXT)
    return f"bpf_probe_read_kernel_str(key->f{i}, {size}, (char *)ctx + {field.offset});"


# -- conditions ------------------------------------------------------------------------------


def _conditions(
    where: Iterable[Condition], fields: Mapping[str, RecordField], cgroups: Mapping[str, int]
) -> list[str]:
    return [f"if (!({_condition(c, fields, cgroups)})) return 0;" for c in where]


def _condition(c: Condition, fields: Mapping[str, RecordField], cgroups: Mapping[str, int]) -> str:
    if c.name == "comm":
        return _same_name(str(c.value)) if c.operator == "==" else f"!{_same_name(str(c.value))}"
    value = cgroups[str(c.value)] if c.name == "cgroup" else int(c.value)
    if c.name in _TASK:
        return f"(s64)({_TASK[c.name]}) {c.operator} {_literal(value)}"
    return f"(s64){_number(fields[c.name])} {c.operator} {_literal(value)}"


def _literal(value: int) -> str:
    """Return a signed number of 64 bits as C; the lowest has no literal of its own."""
    value = value - (1 << 64) if value >= 1 << 63 else value
    return f"(s64){value & (1 << 64) - 1:#x}ULL"


def _same_name(comm: str) -> str:
    """Return C that tells whether the task has this name: its 16 bytes as two numbers."""
    raw = comm.encode().ljust(16, b"\0")
    first, second = (int.from_bytes(half, sys.byteorder) for half in (raw[:8], raw[8:]))
    return (
        "({ u64 _name[2] = {}; this_name((char *)_name); "
        f"_name[0] == {first:#x}ULL && _name[1] == {second:#x}ULL; }})"
    )
