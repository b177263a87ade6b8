"""What readers make of many entries is what they would make of them row by row, on every rung."""

from __future__ import annotations

import random
import time

import pytest

from probes.arrays import FEW
from probes.hooks.sources import hook as hook_of_sources
from probes.hooks.syscalls import hook as hook_of_syscalls
from probes.hooks.tcp_life import readers as tcp_life
from probes.model import Hook, Row, Rung
from probes.toolkit import others
from tests.support.odd_values import OddTable, attached, rungs

ENTRIES = 100
NOW_NS = 10**18


class Odd(OddTable):
    """A map with any values; no two keys are the same, as in any map."""

    def _all(self) -> tuple[bytes, bytes]:
        size = self._key.size
        keys: dict[bytes, None] = {}
        while len(keys) < min(ENTRIES, 1 << 8 * size):
            keys[self._of_lo(self._dice.randbytes(size))] = None
        return b"".join(keys), b"".join(self._some(self._stride) for _ in keys)


class Alike(Odd):
    """A map of small numbers, so that entries of several maps belong together, as they do."""

    def _all(self) -> tuple[bytes, bytes]:
        keys = {self._of_lo(self._some(self._key.size)): None for _ in range(ENTRIES)}
        return b"".join(keys), b"".join(self._some(self._stride) for _ in keys)

    def _some(self, size: int) -> bytes:
        numbers = b"".join(bytes((self._dice.randrange(4), 0, 0, 0)) for _ in range(0, size, 4))
        return numbers.ljust(size, b"\0")[:size]


def _read(hook: Hook, rung: Rung, table: type[Odd]) -> list[list[Row]]:
    dice = random.Random(7)
    made = attached(hook, rung, dice, lambda about: table(about, dice, ENTRIES))
    try:
        return [list(made.read().rows.values()) for _ in range(3)]
    finally:
        made.detach()


@pytest.mark.parametrize(
    ("hook", "rung"),
    [
        pytest.param(h, r, id=f"{h.name}-{r.name}")
        for h, r in rungs()
        if r.source and h.name != "drops"  # which reads what the kernel counts just now as well
    ],
)
@pytest.mark.parametrize("table", [Odd, Alike])
def test_columns_are_the_same_rows(
    hook: Hook, rung: Rung, table: type[Odd], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "monotonic_ns", lambda: NOW_NS)  # ages are of one moment
    modules = others, hook_of_syscalls, hook_of_sources, tcp_life
    for module in modules:
        monkeypatch.setattr(module, "FEW", 0)
    made = _read(hook, rung, table)
    for module in modules:
        monkeypatch.setattr(module, "FEW", FEW)
    rows = _read(hook, rung, table)
    assert made == rows
    assert repr(made) == repr(rows), "types as well"
