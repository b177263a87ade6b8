"""The maps that a hook's C declares, and hooks whose maps are soon full."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from probes.model import Hook

_DECLARED = re.compile(
    r'^BPF_(?:F_)?TABLE\("(?P<kind>\w+)", [^,;]+, [^,;]+, (?P<name>\w+), \w+(?:, [^)]*)?\);'
    r"|^BPF_(?P<macro>ARRAY|PERCPU_ARRAY|QUEUE|SOCKHASH)\((?P<named>\w+)",
    re.MULTILINE,
)


class Declared(NamedTuple):
    """A map: its type as bcc calls it, and its name."""

    kind: str
    name: str


def declared(source: str) -> Iterator[Declared]:
    """Every map that is declared there."""
    for found in _DECLARED.finditer(source):
        kind = found["kind"] or found["macro"].lower()
        yield Declared(kind, found["name"] or found["named"])


def small(hook: Hook, rung: str, **sizes: int) -> Hook:
    """The hook with one rung, whose maps have so many entries."""
    found = hook.rung(rung)
    assert found is not None

    def source(target: str) -> str:
        made = found.source_for(target or None)
        for name, size in sizes.items():
            made, times = re.subn(rf"(, {name}, )\w+(\)|, )", rf"\g<1>{size}\g<2>", made)
            assert times == 1, f"{name} is declared {times} times"
        return made

    return replace(hook, ladder=(replace(found, source=source),))
