"""Every map of every rung: it cannot be full, or what it has no room for is counted."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from probes.custom import builder
from probes.droprules import program as rule_program
from probes.foreign import counters_c
from probes.hooks import catalogue
from probes.model import Reading
from tests.support.maps import declared

NEVER_FULL = ("array", "percpu_array")
COUNTED = {
    "rows": (
        "sum_of_all()",
        "ADD(all, 1)",
        "total->packets += segments;",
        "not_counted()",
        "uncounted",
        "(missed = lost.lookup(&first))",
        "not_counted_all(n)",
    ),
    "events": ("log_event(&",),
    "ports": ("key->port = 0;",),
    "foreign": ("*id = OTHER;",),
    "begun": ("at ? bpf_ktime_get_ns() - at : 0",),
    "pending": ("if (pending.update(&id, attempt))\n        miss(0);",),
    "open": ("miss(0)",),
    "verdicts": ("not_counted_all(n);",),
    "sockets": ("not_counted()",),
    "calls": ("not_counted()",),
    "calling": ("not_counted()",),
    "inside": ("not_counted()",),
    "under_way": ("not_counted()",),
    "questions": ("not_counted()",),
}
"""Of each map, C that counts what it has no room for (or says: without a time, without a port)."""
NOT_NEEDED = {
    "errnos": "names the most frequent errno; errors are counted beside it",
    "owners": "who made a socket: who holds it is asked anew where it is not known",
    "strangers": "sockets to be asked for: one comes again with its next packet",
    "senders": "who sent least is not named, nor looked for: only who sent nearly all of it is",
    "versions": "what a process was told last, or a dash",
    "stacks": "a stack that was not kept says so in its row",
    "totals": "an entry for each target, made when it is attached, or that is refused",
    "factors": "likewise",
    "peers": "with more of them the rule says that not all are spared",
}
"""Of each map, why nothing is missing where it throws something out."""
PER_TARGET = ("xdp", "tc-ingress", "tc-egress")
"""Their rows are one for each target, made when it is attached (`readers.of_interface`)."""
OWN = (
    "uprobe:/bin/true:main,latency",
    "tracepoint:sched:sched_switch,by=pid",
)


def _sources() -> Iterator[tuple[str, str]]:
    for hook in catalogue().values():
        target = {"": None, "interface": "lo", "syscall": "openat"}[str(hook.target)]
        for rung in hook.ladder:
            if rung.source:
                yield f"{hook.name}:{rung.name}", rung.source_for(target)
    yield "around", counters_c.AROUND_SOURCE
    for rung in rule_program.hook(lambda _: Reading).ladder:
        yield f"rules:{rung.name}", rung.source_for("lo")
    for text in OWN:
        for rung in builder.hook(text).ladder:
            yield f"{text}:{rung.name}", rung.source_for(None)


def _maps() -> Iterator[tuple[str, str, str, str]]:
    for name, source in _sources():
        for found in declared(source):
            yield name, found.kind, found.name, source


@pytest.mark.parametrize(
    ("rung", "kind", "name", "source"), [pytest.param(*m, id=f"{m[0]}:{m[2]}") for m in _maps()]
)
def test_what_a_full_map_has_no_room_for_is_counted(
    rung: str, kind: str, name: str, source: str
) -> None:
    if kind in NEVER_FULL or name in NOT_NEEDED or rung.partition(":")[0] in PER_TARGET:
        return
    assert any(sign in source for sign in COUNTED[name]), f"{kind} {name}"
    if kind.startswith("lru"):
        assert name == "rows", "what waits longest would be the first that it throws out"


def test_every_map_is_found() -> None:
    """The pattern knows every way in which maps are declared."""
    for name, source in _sources():
        assert len(re.findall(r"^BPF_\w+\(", source, re.MULTILINE)) == len([*declared(source)]), (
            name
        )
