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


def bodies(data: bytes, size: int) -> NDArray[np.uint8] | None:
    """Return the first bytes behind the header of all messages of a whole dump, a message a row.

    Their lengths may differ. None where it was changed meanwhile, failed, or has shorter ones.
    """
    starts = _starts(data, HEADER_SIZE + size)
    if starts is None:
        return None
    octets = np.frombuffer(data, "u1")
    at = np.array(starts, np.intp)[:, None]
    flags = octets[at + np.arange(_FLAGS * 2, _FLAGS * 2 + 2)].view("=u2")
    if (flags & F_DUMP_INTR).any():
        return None
    found: NDArray[np.uint8] = octets[at + np.arange(HEADER_SIZE, HEADER_SIZE + size)]
    return found


def _starts(data: bytes, least: int) -> list[int] | None:
    """Return where the messages begin, without the end; None where one is shorter than `least`."""
    end = len(data) - DONE_SIZE
    if len(data) % _WORD or end < 0:
        return None
    words, at, starts = memoryview(data).cast("I"), 0, list[int]()
    while at < end:
        length = words[at // _WORD]
        if length < least:
            return None
        starts.append(at)
        at += -(-length // _WORD) * _WORD
    last = Run(np.frombuffer(data, "u1")[None, end:])
    return starts if at == end and _is_whole([last]) else None


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
