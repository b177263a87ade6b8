"""A detector: what it judges, and which hooks it needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from probes.analysis.cases.claim import Claim
from probes.analysis.facts import Facts
from probes.analysis.history import Figure
from probes.model import HookId


class Detector(NamedTuple):
    """One kind of trouble.

    claims: what is wrong at a moment, the worst first; at most `MOST`. needs: the hooks without
    which it is blind. figures: whose history it asks for. wants: the hooks that would tell more,
    such as whose calls fail, of the worst first. looks: those that would tell whether anything is
    wrong at all.
    """

    name: str
    needs: tuple[str, ...]
    claims: Callable[[Facts], Sequence[Claim]]
    figures: tuple[Figure, ...] = ()
    wants: Callable[[Facts], Sequence[HookId]] = lambda _: ()
    looks: Callable[[Facts], Sequence[HookId]] = lambda _: ()


MOST = 16
"""Claims of one detector, at most."""
