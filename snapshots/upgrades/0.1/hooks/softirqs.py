"""Softirqs: a hook file as users wrote them for version 0.1."""

from probes.toolkit import BtfTracepoint, Hook, Program, Rung, by_columns, counter, key

SOURCE = """
BPF_TABLE("hash", u32, u64, rows, 16);
int entered(u64 *ctx) {
    u32 vector = ctx[0];
    u64 zero = 0, *runs = rows.lookup_or_try_init(&vector, &zero);
    if (runs)
        ADD(runs, 1);
    return 0;
}
"""

HOOK = Hook(
    name="softirqs",
    title="Softirqs",
    question="How often each softirq runs.",
    columns=(
        key("vector", "Softirq", "by number", field="key"),
        counter("runs", "Runs", "times entered", field="value"),
    ),
    ladder=(
        Rung(
            "btf-tracepoint",
            "Linux 5.5, BTF, CAP_BPF, CAP_PERFMON",
            by_columns("rows"),
            source=SOURCE,
            programs=(Program("entered", BtfTracepoint("softirq_entry")),),
        ),
    ),
)
