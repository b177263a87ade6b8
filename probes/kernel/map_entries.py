"""Entries of a map as rows or as arrays, in the layout that bcc describes."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from probes.arrays import np
from probes.errors import LoadFailed
from probes.kernel.bpf import Octets

if TYPE_CHECKING:
    from numpy.typing import NDArray

Row = tuple[int | bytes, ...]

# As bcc's JSON names them. BPF is an LP64 machine whatever the host is.
_CODES = {
    "_Bool": "?",
    "char": "b",
    "signed char": "b",
    "unsigned char": "B",
    "short": "h",
    "unsigned short": "H",
    "int": "i",
    "unsigned int": "I",
    "long": "q",
    "unsigned long": "Q",
    "long long": "q",
    "unsigned long long": "Q",
}


class StructLayout:
    """A flat C struct (or a lone number) as a `struct` format, and its fields' places in a row.

    The same as a numpy dtype, without padding: `dtype`.

    Byte arrays are bytes, other arrays one integer for each element; fields named `__pad...` are
    left out (bcc names a struct's own padding so). Raises LoadFailed for what has no flat row:
    nested structs, unions, bit fields.
    """

    def __init__(self, description: str, size: int, scalar: str) -> None:
        self.fields: dict[str, int | slice] = {}
        self.size = size
        self.columns = 0
        self._format = "="
        self._arrays: dict[str, tuple[str, int | None, int]] = {}
        if not description:  # a queue has no keys
            self.codec = struct.Struct("")
            return
        parsed: Any = json.loads(description)
        if isinstance(parsed, str):
            self._add(scalar, parsed, None)
        else:
            self._add_struct(parsed)
        self.codec = struct.Struct(self._format)
        if self.codec.size != size:
            raise LoadFailed(f"{parsed} takes {self.codec.size} bytes, but the map has {size}")

    def _add_struct(self, parsed: Any) -> None:
        name, members, *kind = parsed
        if kind != ["struct_packed"]:  # all padding is among the members
            raise LoadFailed(f"{name} cannot be a row: it is a union or has bit fields")
        for member, type_, *extent in members:
            if not isinstance(type_, str) or (extent and not isinstance(extent[0], list)):
                raise LoadFailed(f"{name}.{member} is neither a number nor an array of numbers")
            self._add(member, type_, extent[0][0] if extent else None)

    def _add(self, name: str, type_: str, count: int | None) -> None:
        if type_ not in _CODES:
            raise LoadFailed(f"{name} is of type {type_}, which no row can hold")
        code = _CODES[type_]
        width = width_of(code)
        if name.startswith("__pad"):
            self._format += f"{width * (count or 1)}x"
            return
        self._arrays[name] = code, count, struct.calcsize(self._format)
        if count is None:
            self._format += code
            self._place(name, 1, None)
        elif width == 1:
            self._format += f"{count}s"
            self._place(name, 1, None)
        else:
            self._format += f"{count}{code}"
            self._place(name, count, count)

    def _place(self, name: str, columns: int, count: int | None) -> None:
        start = self.columns
        self.columns += columns
        self.fields[name] = start if count is None else slice(start, start + count)

    @cached_property
    def dtype(self) -> np.dtype[np.void]:
        """The same as a numpy dtype, in native byte order; arrays of bytes are of u8."""
        kinds = [
            ("u1" if width_of(code) == 1 and count is not None else _array_code(code), count)
            for code, count, _ in self._arrays.values()
        ]
        described: Any = {
            "names": list(self._arrays),
            "formats": [(kind, (count,)) if count is not None else kind for kind, count in kinds],
            "offsets": [offset for _, _, offset in self._arrays.values()],
            "itemsize": self.size,
        }
        made: np.dtype[np.void] = np.dtype(described)
        return made

    def array(self, data: Octets, number: int) -> NDArray[np.void]:
        """Return so many of them, one after the other, as a structured array on these bytes."""
        if not self.size or not number:
            return np.zeros(number, self.dtype)
        return np.frombuffer(data, self.dtype)

    @property
    def lanes(self) -> bool:
        """Whether it has unsigned 64-bit numbers only."""
        return self.size == 8 * self.columns and not set(self._format) - set("=Q0123456789")


def width_of(code: str) -> int:
    """Return how many bytes a number of that kind has."""
    return struct.calcsize("=" + code)


def _array_code(code: str) -> str:
    kind = {"b": "i", "h": "i", "i": "i", "q": "i", "?": "b"}.get(code, "u")
    return f"={kind}{width_of(code)}"


class MapEntries:
    """Entries of a map: rows, or field by field arrays on the kernel's bytes.

    layouts: of key and value. keys, values: one after the other, values summed over the CPUs.
    """

    def __init__(
        self, layouts: tuple[StructLayout, StructLayout], keys: Octets, values: Octets
    ) -> None:
        self._layouts, self._octets = layouts, (keys, values)

    def __len__(self) -> int:
        return len(self._octets[1]) // self._layouts[1].size

    def __getitem__(self, field: str) -> NDArray[Any]:
        """Return a field of all entries. An array in C, bytes as well, has a second axis."""
        of_key = field in self._layouts[0].fields
        return self._arrays[0 if of_key else 1][field]

    @cached_property
    def _arrays(self) -> list[NDArray[np.void]]:
        pairs = zip(self._layouts, self._octets, strict=True)
        return [layout.array(octets, len(self)) for layout, octets in pairs]

    def where(self, wanted: NDArray[Any]) -> MapEntries:
        """Return some of them. wanted: a flag for each entry, or their places."""
        keys, values = (array[wanted].tobytes() for array in self._arrays)
        return MapEntries(self._layouts, keys, values)

    def followed_by(self, more: Iterable[Row]) -> MapEntries | None:
        """Return these entries and then others; None for numbers that the map cannot hold."""
        (key, value), (keys, values) = self._layouts, [list[bytes](), list[bytes]()]
        try:
            for row in more:
                keys.append(key.codec.pack(*row[: key.columns]))
                values.append(value.codec.pack(*row[key.columns :]))
        except struct.error:
            return None
        octets = zip(self._octets, (keys, values), strict=True)
        return MapEntries(self._layouts, *(b"".join((own, *parts)) for own, parts in octets))

    def rows(self) -> list[Row]:
        """Return them as flat tuples, the key's fields first."""
        (key, value), (keys, values) = self._layouts, self._octets
        unpacked = value.codec.iter_unpack(values)
        return [k + v for k, v in zip(key.codec.iter_unpack(keys), unpacked, strict=True)]


def written(keys: Octets, values: Octets, sizes: tuple[int, int]) -> tuple[bytes, bytes]:
    """Return the keys and values of entries whose value is not all zero. sizes: of one of each."""
    size, stride = sizes
    octets = np.frombuffer(values, "u1").reshape(-1, stride)
    used = octets.any(axis=1)
    return np.frombuffer(keys, "u1").reshape(-1, size)[used].tobytes(), octets[used].tobytes()


def summed(values: Octets, cpus: int, lanes: int) -> bytes:
    """Return the sums over the CPUs of values that have so many u64 each, modulo 2**64."""
    of_cpus: NDArray[np.uint64] = np.frombuffer(values, "=u8").reshape(-1, cpus, lanes)
    total: bytes = of_cpus.sum(axis=1, dtype="=u8").tobytes()
    return total
