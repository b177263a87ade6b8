"""Names of programs, each looked up until it is known: ids are never used again."""

from __future__ import annotations

from probes.kernel import bpf
from probes.toolkit.bounded import Bounded


class ProgramNames(Bounded[int, str | None]):
    """Names of programs by id; None where the program is gone or may not be read."""

    def __missing__(self, id: int) -> str | None:
        name = bpf.prog_name(id)
        if name is not None:  # or there are no file descriptors left at the moment
            self[id] = name
        return name
