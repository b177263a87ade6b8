"""One more of each thing that is found by being there, for a temporary copy of the program."""

from __future__ import annotations

from pathlib import Path

POINT = '''
"""A tracepoint, once more."""

from dataclasses import dataclass

from probes.attach.handle import Handle, by_link
from probes.kernel import bpf, capabilities
from probes.point import Loading, Point, ProgType


@dataclass(frozen=True, slots=True)
class Another(Point):
    """A raw tracepoint. Linux 4.17."""

    name: str

    needs = capabilities.BPF, capabilities.PERFMON

    def loading(self):
        return Loading(ProgType.RAW_TRACEPOINT)

    def attach(self, prog_fd, ifindex, maps):
        return by_link(lambda: bpf.raw_tracepoint_open(prog_fd, self.name), self, self.name)
'''

HOOK = '''
"""Calls of getpgid by process."""

from probes.attach.another import Another
from probes.kernel import syscall_table
from probes.toolkit import Hook, Program, Rung, Unit, by_columns, counter, key

SOURCE = """
struct key_t { u32 pid; };
struct value_t { u64 calls; };
BPF_HASH(rows, struct key_t, struct value_t, 1024);

int enter(struct bpf_raw_tracepoint_args *ctx)
{
    struct key_t key = {bpf_get_current_pid_tgid() >> 32};
    struct value_t zero = {}, *value;
    if (ctx->args[1] != NUMBER)
        return 0;
    value = rows.lookup_or_try_init(&key, &zero);
    if (value)
        __sync_fetch_and_add(&value->calls, 1);
    return 0;
}
""".replace("NUMBER", str(syscall_table.number("getpgid")))


HOOK = Hook(
    name="another",
    title="Another",
    question="Who asks for process groups?",
    columns=(
        key("pid", "PID", "who asks", Unit.NUMBER),
        counter("calls", "Calls", "begun"),
    ),
    ladder=(
        Rung(
            "another",
            "Linux 4.17",
            by_columns("rows"),
            programs=(Program("enter", Another("sys_enter")),),
            source=SOURCE,
        ),
    ),
)
'''

PANE = '''
"""Who asks for process groups."""

from tui.table.fields import TableRow, of, values_of
from tui.toolkit.pane import Pane

PANE = Pane(
    name="another",
    title="Another",
    order=95,
    hooks=("another",),
    fields=lambda catalogue: (of(catalogue["another"], "pid"), of(catalogue["another"], "calls")),
    sort="calls_per_s",
    records=lambda view: [
        TableRow(row.key, str(row["pid"]), values_of(row), "", row) for row in view.rows("another")
    ],
    trouble=lambda view: None,
    detail=lambda view, record, width: [],
)
'''

COMMAND = '''
"""`ebpftop another`: a greeting."""

HELP = "a greeting"
ORDER = 95


def add_arguments(parser):
    parser.add_argument("name")


def run(arguments):
    print(f"hello, {arguments.name}")
    return 3
'''

FILES = {
    "probes/attach/another.py": POINT,
    "probes/hooks/another.py": HOOK,
    "tui/panes/another.py": PANE,
    "tui/commands/another.py": COMMAND,
}


def put(tree: Path) -> None:
    """Add one file for each, and touch no other line."""
    for name, text in FILES.items():
        file = tree / name
        assert not file.exists()
        file.write_text(text.lstrip())
        file.chmod(0o644)
