"""Kernel symbols from /proc/kallsyms: 5 to 15 MB, which the kernel takes 0.1 s to write.

It is read once, into some 4 MB: addresses and names of code. It is read again when modules have
come or gone. BPF programs are left out: they come and go without that, and their memory is given to
others. Where kptr_restrict (or a missing CAP_SYSLOG) hides the addresses, names can still be looked
up, but addresses stay numbers.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from pathlib import Path
from threading import Lock
from time import monotonic

from probes.errors import short

_KALLSYMS, _MODULES = Path("/proc/kallsyms"), Path("/proc/modules")
_CHUNK = 1 << 18
_CODE = re.compile(rb"^([0-9a-f]+) [tTwW] (\S+)(?:$|\t\[(?!bpf\]))", re.MULTILINE)
MODULES_SECONDS = 5.0
"""Seconds after which it is checked whether modules have come or gone."""
_LARGEST = 1 << 20  # no function is larger: what lies further from a symbol is not its code
# What gcc and clang append to the names of copies that they made of a function.
_SUFFIX = rb"(?:\.(?:isra|constprop|part|llvm)(?:\.\d+)?)+"


class _CodeTable:
    """All code by address: starts[n] is the function whose name begins at names[n].

    names: each between two newlines. readable: the kernel shows the addresses.
    """

    def __init__(self, modules: bytes) -> None:
        self.modules, self.readable = modules, True
        self.starts, self._at, self.names = array("Q"), array("I"), bytearray(b"\n")
        try:
            for lines in _lines():
                self._add(lines)
        except OSError as refused:  # a kernel without CONFIG_KALLSYMS
            if short(refused.errno):
                raise
            self.readable = False
        self.hidden = not any(self.starts)
        if any(map(int.__gt__, self.starts, self.starts[1:])):  # modules come as they were loaded
            # Of several names at one address the first stays the first.
            order = sorted(range(len(self.starts)), key=self.starts.__getitem__)
            self.starts = array("Q", map(self.starts.__getitem__, order))
            self._at = array("I", map(self._at.__getitem__, order))

    def _add(self, lines: bytes) -> None:
        for address, name in _CODE.findall(lines):
            self.starts.append(int(address, 16))
            self._at.append(len(self.names))
            self.names += name + b"\n"

    def name(self, address: int) -> str:
        n = bisect_right(self.starts, address) - 1
        if n < 0 or not self.starts[n] or address - self.starts[n] >= _LARGEST:
            return f"0x{address:x}"  # nothing is below it, or every address is hidden as zero
        start = self.starts[n]
        while n and self.starts[n - 1] == start:
            n -= 1
        name = self.names[self._at[n] : self.names.index(b"\n", self._at[n])]
        return f"{name.decode(errors='replace')}+0x{address - start:x}"


_table: _CodeTable | None = None
_asked = 0.0
_lock = Lock()


def prepare() -> None:
    """Read the symbols now, so that no `resolve` has to wait for them later."""
    with _lock:
        _current()


def resolve(addresses: Iterable[int]) -> dict[int, str]:
    """Name code addresses: "symbol+0x1f", or "0xffffffff8..." where the kernel hides symbols.

    Here as below: raises OSError where they cannot be read for want of files or memory.
    """
    with _lock:
        table = _current(MODULES_SECONDS)
        return {a: table.name(a) for a in addresses}


def _current(rest: float = 0.0) -> _CodeTable:
    """Return the table. rest: seconds for which what was read before is used unchanged."""
    global _table, _asked
    if _table is not None and monotonic() - _asked < rest:
        return _table
    _asked = monotonic()
    try:
        # Without the third column, which changes all the time: how often each is used.
        modules = re.sub(rb"(?m)^(\S+ \S+) \S+ \S+", rb"\1", _MODULES.read_bytes())
    except OSError as refused:  # a kernel without modules
        if short(refused.errno):
            raise
        modules = b""
    if _table is None or _table.modules != modules or (_table.hidden and not _hides()):
        _table = _CodeTable(modules)
    return _table


def _hides() -> bool:
    """Return whether the kernel hides addresses now (or has none): a sysctl, or a capability."""
    try:
        with _KALLSYMS.open("rb") as f:
            return not int(f.readline().partition(b" ")[0] or b"0", 16)
    except OSError:
        return True


def copies(function: str) -> tuple[str, ...] | None:
    """Return the symbols of a function, its own and those of copies and parts of it.

    The compiler makes those ("tcp_ack.isra.0", "tcp_ack.part.0"). None where symbols may not be
    read. A name appears as often as the kernel has it: other files may have a function of that
    name.
    """
    table = _read()
    if table is None:
        return None
    pattern = rb"\n(" + re.escape(function.encode()) + rb"(?:" + _SUFFIX + rb")?)(?=\n)"
    return tuple(sorted(m.decode() for m in re.findall(pattern, table.names)))


def functions() -> frozenset[str]:
    """Return the names of all code, without the compiler's suffixes; empty where hidden."""
    table = _read()
    names = table.names.split() if table is not None else ()
    return frozenset([bytes(n.partition(b".")[0]).decode(errors="replace") for n in names])


def _read() -> _CodeTable | None:
    with _lock:
        table = _current()
    return table if table.readable else None


def _lines() -> Iterator[bytes]:
    """Yield the file in pieces of whole lines."""
    with _KALLSYMS.open("rb", buffering=0) as f:
        rest = b""
        while piece := f.read(_CHUNK):
            whole, newline, rest = (rest + piece).rpartition(b"\n")
            if newline:
                yield whole + newline
        if rest:
            yield rest + b"\n"
