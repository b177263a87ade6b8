"""A BPF map as rows or as arrays, in the layout that bcc describes, read in one batch."""

from __future__ import annotations

import errno
import struct
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from probes.arrays import FEW
from probes.errors import LoadFailed, ProbeError, in_words
from probes.kernel import bpf, cpus
from probes.kernel.bpf import Octets
from probes.kernel.map_entries import MapEntries, Row, StructLayout, summed, written

T = TypeVar("T")

HASH, ARRAY, PERCPU_HASH, PERCPU_ARRAY, LRU_HASH, LRU_PERCPU_HASH, QUEUE = 1, 2, 5, 6, 9, 10, 22
STACK_TRACE = 7
_PER_CPU = frozenset({PERCPU_HASH, PERCPU_ARRAY, LRU_PERCPU_HASH})
_ARRAYS = frozenset({ARRAY, PERCPU_ARRAY})
ROWS = frozenset({HASH, LRU_HASH, QUEUE, STACK_TRACE}) | _PER_CPU | _ARRAYS
"""Map types (enum bpf_map_type) that have rows; others (ring buffers) have an fd only."""


_WORD = (1 << 64) - 1


class BpfTable:
    """A `model.Table` on a map's fd, which `compiler.Module` owns.

    fields: the key's, then the value's ("key" and "value" where these are lone numbers). Per-CPU
    values are summed over the CPUs, so they must be u64 counters and nothing else.
    """

    def __init__(self, fd: int, description: Mapping[str, Any]) -> None:
        self.fd = fd
        self.name: str = description["name"]
        self.max_entries: int = description["max_entries"]
        self._type: int = description["type"]
        self._key = StructLayout(description["key_desc"], description["key_size"], "key")
        self._value = StructLayout(description["leaf_desc"], description["leaf_size"], "value")
        self.fields: Mapping[str, int | slice] = self._merged()
        self._cpus = len(cpus.listed("possible")) if self._type in _PER_CPU else 1
        self._sums: Mapping[bytes, bytes] = {}
        if self._type in _PER_CPU and not self._value.lanes:
            raise LoadFailed(f"the per-CPU map {self.name} holds something other than u64 counters")

    @property
    def keys(self) -> int:
        """How many of a row's values belong to its key, from the first on."""
        return self._key.columns

    @property
    def _stride(self) -> int:
        """Bytes that the kernel returns for each entry."""
        return self._value.size * self._cpus

    def _merged(self) -> dict[str, int | slice]:
        shift = self._key.columns
        moved = {
            name: slice(at.start + shift, at.stop + shift) if isinstance(at, slice) else at + shift
            for name, at in self._value.fields.items()
        }
        if both := self._key.fields.keys() & moved.keys():
            raise LoadFailed(
                f"the map {self.name} has {', '.join(both)} both in its key and in its value"
            )
        return {**self._key.fields, **moved}

    def rows(self) -> list[Row]:
        """Return all entries, in one batch (Linux 5.6) or, where the map has none, one by one."""
        return self.entries().rows()

    def entries(self, *, used: bool = False) -> MapEntries:
        """Return the entries, for rows or arrays. used: only those that are not all zero."""
        return self._guarded(lambda: self._read(used=used))

    def used(self) -> list[Row]:
        """Return the rows that are not all zero: of an array, the entries that were written to."""
        return self.entries(used=True).rows()

    def row(self, key: Row) -> Row | None:
        """Return the entry of a key's fields, in order: key and value fields, or None.

        None also for a key that no entry can have: numbers that came from another map may be any.
        """
        packed = self._packed(key)
        found = self._guarded(lambda: self._lookup(packed)) if packed is not None else None
        return None if found is None else key + self._value.codec.unpack(self._summed(found))

    def update(self, key: Row, value: Row) -> None:
        """Set an entry. In a per-CPU map the first CPU holds all of it, the others zero."""
        packed = self._packed(key)
        try:
            stored = self._value.codec.pack(*value).ljust(self._stride, b"\0")
        except struct.error:
            stored = b""
        if packed is None or not stored:
            raise ProbeError(f"the map {self.name} cannot hold numbers of that size")
        self._guarded(lambda: bpf.map_update(self.fd, packed, stored))

    def delete(self, key: Row) -> bool:
        """Delete an entry; return whether there was one."""
        packed = self._packed(key)
        if packed is None:
            return False
        try:
            bpf.map_delete(self.fd, packed)
        except FileNotFoundError:
            return False
        except OSError as refused:
            raise self._refusal(refused) from refused
        return True

    def _packed(self, key: Row) -> bytes | None:
        try:
            return self._key.codec.pack(*key)
        except struct.error:
            return None

    def _lookup(self, packed: bytes) -> bytes | None:
        return bpf.map_lookup(self.fd, packed, self._stride)

    def drain(self) -> list[Row]:
        """Take every entry out: of a queue the oldest first, of a hash by its keys' order.

        Of a queue that is a call each (Linux 4.20), of a hash one for all (5.6) or three each. What
        is put into a hash meanwhile is taken now or the next time, once in either case.
        """
        if self._type != QUEUE:
            return sorted(self._guarded(lambda: self._laid_out(*self._all(take=True)).rows()))
        # No more than fit in: a queue that is filled as fast as it is read has an end, too.
        values = self._guarded(
            lambda: b"".join(bpf.map_drain(self.fd, self._value.size, self.max_entries))
        )
        return list(self._value.codec.iter_unpack(values))

    def _all(self, *, take: bool = False) -> tuple[Octets, Octets]:
        """Read all keys, one after the other, and all values. take: and delete these entries."""
        try:
            keys, values, _ = bpf.map_lookup_batch(
                self.fd, self._key.size, self._stride, self.max_entries, take=take
            )
        except OSError as refused:
            if refused.errno not in (bpf.ENOTSUPP, errno.EINVAL):
                raise
            return self._iterate(take=take)
        return keys, values

    def _written(self, keys: Octets, values: Octets) -> tuple[bytes, bytes]:
        size, stride = self._key.size, self._stride
        if len(values) > FEW * stride:
            return written(keys, values, (size, stride))
        nothing = bytes(stride)
        at = [
            n
            for n, first in enumerate(range(0, len(values), stride))
            if values[first : first + stride] != nothing
        ]
        return (
            b"".join([keys[n * size : (n + 1) * size] for n in at]),
            b"".join([values[n * stride : (n + 1) * stride] for n in at]),
        )

    def _read(self, *, used: bool) -> MapEntries:
        return self._laid_out(*(self._written(*self._all()) if used else self._all()))

    def _laid_out(self, keys: Octets, values: Octets) -> MapEntries:
        return MapEntries((self._key, self._value), keys, self._summed(values))

    def _iterate(self, *, take: bool = False) -> tuple[bytes, bytes]:
        """Read without batches (per-CPU arrays on 5.10). Entries deleted meanwhile are left out.

        The kernel starts again after a key that is gone, so a key that was seen ends the walk.
        """
        found: dict[bytes, bytes] = {}
        key = bpf.map_next_key(self.fd, None, self._key.size)
        while key is not None and key not in found:
            value = bpf.map_lookup(self.fd, key, self._stride)
            if value is not None:
                found[key] = value
            key = bpf.map_next_key(self.fd, key, self._key.size)
        for key in found if take else ():
            with suppress(FileNotFoundError):
                bpf.map_delete(self.fd, key)
        return b"".join(found), b"".join(found.values())

    def _summed(self, values: Octets) -> Octets:
        """Sum entries of one value for each CPU into entries of one value.

        Of a few entries, a CPU's value is added as one number, all its u64 lanes at once. No lane
        carries into its neighbour: a u64 that counts events, bytes or nanoseconds stays far below
        2**64 (584 years), summed or not. An entry that stands still is not added again.
        """
        if self._cpus == 1:
            return values
        if len(values) > FEW * self._stride:
            return summed(values, self._cpus, self._value.size // 8)
        if self._value.columns == 1:
            numbers = struct.unpack(f"={len(values) // 8}Q", values)
            lanes_of_cpus = [numbers[n :: self._cpus] for n in range(self._cpus)]
            of_all = [n & _WORD for n in map(sum, zip(*lanes_of_cpus, strict=True))]
            return struct.pack(f"={len(of_all)}Q", *of_all)
        stride, before = self._stride, self._sums
        each = [bytes(values[first : first + stride]) for first in range(0, len(values), stride)]
        sums = [before.get(entry) or self._sum(entry) for entry in each]
        if len(each) > 1:
            self._sums = dict(zip(each, sums, strict=True))
        return b"".join(sums)

    def _sum(self, entry: bytes) -> bytes:
        """Return the sum of an entry's values."""
        size, order = self._value.size, sys.byteorder
        lanes = range(0, len(entry), size)
        total = sum([int.from_bytes(entry[at : at + size], order) for at in lanes])
        if total >> 8 * size:  # counters that no events have added up to
            total &= (1 << 8 * size) - 1
        return total.to_bytes(size, order)

    def _guarded(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except OSError as refused:
            raise self._refusal(refused) from refused

    def _refusal(self, refused: OSError) -> ProbeError:
        return ProbeError(f"the map {self.name}: {in_words(refused)}", errno=refused.errno or 0)
