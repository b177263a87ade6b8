"""A profile as text, folded stacks and flame graph."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from probes.hooks import catalogue
from tui.output import flamegraph, profile

HOOK = catalogue()["profile"]
PROFILE = [("a;main;work", 60), ("a;main;read_[k]", 30), ("b <&>;main", 10)]


def _row(comm: str, stack: str, samples: int) -> tuple[object, ...]:
    known = {"pid": 1, "comm": comm, "stack": stack, "samples": samples, "cpu_ns": 0}
    return tuple(known.get(c.name) for c in HOOK.stored)


def test_rows_of_one_process_and_stack_are_one() -> None:
    """And what a process is called can neither split a line nor a stack."""
    rows = [_row("a", "main", 2), _row("a", "main", 3), _row("x;\x1b\n", "main", 1)]
    made = profile.stacks(HOOK, rows)  # type: ignore[arg-type]
    assert made == [("a;main", 5), ("x:??;main", 1)]
    assert profile.folded(made) == "a;main 5\nx:??;main 1\n"


def test_text_has_shares_of_processes_and_functions() -> None:
    text = profile.text(PROFILE, 2)
    assert text.startswith("100 samples in 2 s\n")
    assert " 90.0%       90  a\n" in text
    assert " 60.0%       60  work (a)" in text
    assert profile.text([], 1).startswith("0 samples")


def test_a_flame_graph_is_as_wide_as_its_samples() -> None:
    tree = ElementTree.fromstring(flamegraph.svg(PROFILE, "a <title>"))
    widths = {}
    for group in tree.iter("{http://www.w3.org/2000/svg}g"):
        title, box = group[0].text or "", group[1]
        widths[re.sub(":.*", "", title)] = float(box.get("width", "0"))
    whole = flamegraph.WIDTH - 2 * flamegraph.SIDE
    assert widths["all"] == whole
    assert widths["work"] == round(0.6 * whole, 1)
    assert widths["read"] == round(0.3 * whole, 1), "without the mark of the kernel"
    assert widths["b <&>"] == round(0.1 * whole, 1)


def test_a_stack_deeper_than_python_s_own_is_drawn() -> None:
    deep = ";".join(f"f{n}" for n in range(3000))
    assert "f2999: 1 samples" in flamegraph.svg([(deep, 1)], "deep")
    assert "<svg" in flamegraph.svg([], "nothing")
