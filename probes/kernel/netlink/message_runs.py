"""Many messages of a dump as arrays: those of one length that follow each other are one array."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from probes.arrays import np
from probes.kernel.netlink.socket import (
    DONE_SIZE,
    F_DUMP_INTR,
    HEADER_SIZE,
    NLMSG_DONE,
    attributes,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LENGTH, _TYPE, _FLAGS = 0, 2, 3
"""Places in a header: of 32 bits, and of 16 bits."""
_WORD = 4
_MOST = 64
"""Runs up to which arrays are worth it."""


class Run(NamedTuple):
    """Messages of one length. octets: a message along the second axis."""

    octets: NDArray[np.uint8]

    def field(self, offset: int, kind: str) -> NDArray[Any]:
        """Return a number of all messages, by its place behind the header."""
        width, at = np.dtype(kind).itemsize, HEADER_SIZE + offset
        return np.ascontiguousarray(self.octets[:, at : at + width]).view(kind)[:, 0]

    def part(self, offset: int, width: int) -> NDArray[np.uint8]:
        """Return bytes of all messages."""
        return self.octets[:, HEADER_SIZE + offset :][:, :width]

    def places(self, body: int) -> dict[int, tuple[int, int]] | None:
        """Return where the attributes are, by type: places behind the header, and their ends.

        body: bytes of what comes before. None: not in the same places in all messages.
        """
        first = self.octets[0].tobytes()
        found: dict[int, tuple[int, int]] = {}
        for kind, at, end in attributes(first, HEADER_SIZE + body, len(first)):
            heads = self.octets[:, at - _WORD : at]
            if (heads != heads[0]).any():
                return None
            found[kind] = at - HEADER_SIZE, end - HEADER_SIZE
        return found


def runs(data: bytes) -> list[Run] | None:
    """Return the messages of a whole dump.

    None where that takes looking at them one by one: it was changed meanwhile, or failed, or their
    lengths differ too much.
    """
    if len(data) % _WORD:
        return None
    found: list[Run] = []
    for run in _walk(np.frombuffer(data, "=u4")):
        if run is None or len(found) > _MOST:
            return None
        found.append(run)
    return found if _is_whole(found) else None


def _walk(words: NDArray[np.uint32]) -> Iterator[Run | None]:
    at = 0
    while at < len(words):
        step, rest = divmod(int(words[at]), _WORD)
        if rest or step * _WORD < HEADER_SIZE or at + step > len(words):
            yield None
            return
        number = (len(words) - at) // step
        all = words[at : at + number * step].reshape(number, step)
        alike = (all[:, _LENGTH] == words[at]) & (all[:, 1] & 0xFFFF == words[at + 1] & 0xFFFF)
        end = number if alike.all() else int(np.argmin(alike))
        yield Run(np.ascontiguousarray(all[:end]).view("u1"))
        at += end * step


def _is_whole(found: Sequence[Run]) -> bool:
    """Return whether the last message is the end, without an error, and nothing changed."""
    if not found or found[-1].octets.shape != (1, DONE_SIZE):
        return False
    halves = [np.ascontiguousarray(run.octets[:, :8]).view("=u2") for run in found]
    if any((one[:, _FLAGS] & F_DUMP_INTR).any() for one in halves):
        return False
    return bool(halves[-1][0, _TYPE] == NLMSG_DONE and found[-1].field(0, "=i4")[0] >= 0)
