"""What a hook's reader takes for each row, where its maps are as large as no map of ours is.

    python -m bench.rows [--rows N] [--hook HOOK]

The best rung of each hook reads maps of so many entries, all with other keys (nothing is
attached; what it asks the kernel beside them, it asks). Measured: one reading, and the rates made
of it, as CPU time of this process for each entry; and the memory that a reading keeps and that it
takes at most meanwhile, for each entry. Read once before, so that what is remembered is there.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator

from probes.analysis.snapshot import Trail
from probes.hooks import catalogue
from probes.kernel.maps import QUEUE, STACK_TRACE
from probes.ladder.attachment import Attachment
from probes.model import Hook, Rung, State
from tests.support.layouts import Declared
from tests.support.odd_values import OddTable, attached

ROWS = 100_000
_SEED = 0
_FEW = (
    "events", "pending", "calls", "calling", "uncounted", "errnos", "under_way", "questions",
)  # fmt: skip
"""Maps of which few entries are in use at a time: events, what is under way, errnos."""
_KINDS = {
    "reason": range(2, 10), "location": range(2, 34), "trait": range(3), "op": range(1, 6),
    "what": range(30), "family": range(2), "library": range(1, 3), "inward": range(2),
}  # fmt: skip
"""Fields that have a few values on any host."""
_ONE = (1).to_bytes(8, sys.byteorder)


class Full(OddTable):
    """A map of so many entries whose keys differ in each field, and whose values are ones."""

    def __init__(self, about: Declared, rows: int) -> None:
        few = about.name in _FEW or about.type in (QUEUE, STACK_TRACE)
        super().__init__(about, random.Random(_SEED), 0 if few else rows)
        self._made: tuple[bytes, bytes] | None = None

    def _some(self, size: int) -> bytes:
        return (_ONE * (size // len(_ONE) + 1))[:size]

    def _all(self) -> tuple[bytes, bytes]:
        if self._made is None:
            keys = b"".join(self._of_lo(self._key_of(n)) for n in range(1, 1 + self._number()))
            self._made = keys, self._some(self._stride) * self._number()
        return self._made

    def _key_of(self, n: int) -> bytes:
        size = self._key.size
        return (n.to_bytes(4, sys.byteorder) * (size // 4 + 1))[:size]

    def _of_lo(self, key: bytes) -> bytes:
        """The fields that differ little on any host: all are of one interface, and of TCP."""
        if self._key.columns == 1:
            return key
        values = list(self._key.codec.unpack(key))
        for name, value in (("ifindex", 1), ("protocol", 6), ("netns", 1), ("device", 1)):
            place = self._key.fields.get(name)
            if isinstance(place, int):
                values[place] = value
        for name, known in _KINDS.items():
            place = self._key.fields.get(name)
            if isinstance(place, int):
                values[place] = known[int(values[place]) % len(known)]
        return self._key.codec.pack(*values)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rows", type=int, default=ROWS, help=f"entries (default {ROWS})")
    parser.add_argument("--hook", help="this one only")
    arguments = parser.parse_args()
    print(f"{'':18} {'rung':16} {'rows':>8} {'read':>9} {'rates':>9} {'kept':>8} {'peak':>8}")
    for hook, rung in _best():
        if arguments.hook in (None, hook.name):
            print(f"{hook.name:18} {rung.name:16} {_measured(hook, rung, arguments.rows)}")


def _best() -> Iterator[tuple[Hook, Rung]]:
    """The best rung of each hook that reads maps."""
    for hook in catalogue().values():
        rung = next((r for r in hook.ladder if r.source), None)
        if rung is not None:
            yield hook, rung


def _measured(hook: Hook, rung: Rung, rows: int) -> str:
    attachment = attached(hook, rung, random.Random(_SEED), lambda about: Full(about, rows))
    try:
        found = len(attachment.read().rows)
        if attachment.status.state is State.FAILED:
            return f"failed: {attachment.status.refused[-1].why}"
        read, rates = _seconds(attachment.read), _rates(hook, attachment)
        kept, peak = _memory(attachment)
    finally:
        attachment.detach()
    each = f"{1e6 * read / rows:7.2f}us {1e6 * rates / rows:7.2f}us"
    return f"{found:8} {each} {kept / rows:6.0f} B {peak / rows:6.0f} B"


def _rates(hook: Hook, attachment: Attachment) -> float:
    trail = Trail(hook)
    trail.snapshot(attachment.read())
    sample = attachment.read()
    return _seconds(lambda: trail.snapshot(sample))


def _seconds(work: Callable[[], object]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


def _memory(attachment: Attachment) -> tuple[int, int]:
    """Bytes that one reading keeps beside the one before, and the most that it takes meanwhile."""
    tracemalloc.start()
    sample = attachment.read()
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del sample
    return kept, peak


if __name__ == "__main__":
    main()
