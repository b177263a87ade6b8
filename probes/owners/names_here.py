"""The names by which this host's processes are known now."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from time import monotonic
from typing import NamedTuple

from probes.kernel import procfs
from probes.owners.netns import given_names
from probes.owners.processes import NOBODY, shared

_SECONDS = 1.0
"""Seconds to look at every process."""


class NamesHere(NamedTuple):
    """Names of containers, units and network namespaces."""

    containers: AbstractSet[str]
    units: AbstractSet[str]
    namespaces: AbstractSet[str]


def names_here() -> NamesHere:
    """Return the names that processes have, as far as they are found in a second."""
    begin, pids = monotonic(), sorted(procfs.pid_set())
    owners = shared.of_all(pids)
    while (unknown := owners.count(NOBODY)) and monotonic() < begin + _SECONDS:
        owners = shared.of_all(pids)
        if owners.count(NOBODY) == unknown:  # nobody's, such as the kernel's threads
            break
    containers, units, namespaces = (
        set(filter(None, names)) for names in zip(*owners, strict=True)
    )
    return NamesHere(containers, units, namespaces | set(given_names()))
