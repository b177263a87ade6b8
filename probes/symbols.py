"""Kernel symbols from /proc/kallsyms, which is streamed and never kept: it has 5 to 15 MB.

One pass takes about 0.1 s, so every answer is kept. Where kptr_restrict (or a missing CAP_SYSLOG)
hides the addresses, names can still be looked up, but addresses stay numbers.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from threading import Lock

_KALLSYMS = Path("/proc/kallsyms")
_CHUNK = 1 << 18
_CODE = b"tTwW"
_LARGEST = 1 << 20  # no function is larger: what lies further from a symbol is not its code
# What gcc and clang append to the names of copies that they made of a function.
_SUFFIX = rb"(?:\.(?:isra|constprop|part|llvm)(?:\.\d+)?)+"

_resolved: dict[int, str] = {}  # as many as there are places that drop packets: hundreds
_lock = Lock()


def resolve(addresses: Iterable[int]) -> dict[int, str]:
    """Code addresses as "symbol+0x1f", or as "0xffffffff8..." where the kernel does not tell.

    One pass over the symbols for all addresses not asked for before.
    """
    wanted = set(addresses)
    with _lock:
        if new := sorted(wanted - _resolved.keys()):
            try:
                _resolved.update(_pass(new))
            except OSError:  # a kernel without CONFIG_KALLSYMS
                _resolved.update((a, f"0x{a:x}") for a in new)
        return {a: _resolved[a] for a in wanted}


@cache
def copies(function: str) -> tuple[str, ...] | None:
    """The symbols of a function: its own name and those of copies and parts that the compiler
    made of it ("tcp_ack.isra.0", "tcp_ack.part.0"); None where one may not look.

    A name stands as often as the kernel has it: other files may have a function of that name.
    """
    name = re.escape(function.encode())
    pattern = re.compile(rb" [tTwW] (" + name + rb"(?:" + _SUFFIX + rb")?)[\t\n]")
    try:
        return tuple(sorted(m.decode() for lines in _lines() for m in pattern.findall(lines)))
    except OSError:
        return None


def _pass(wanted: list[int]) -> dict[int, str]:
    """The nearest symbol at or below each of the sorted addresses."""
    keys = [f"{a:016x}".encode() for a in wanted]
    # What is found between wanted[n - 1] and wanted[n] stands at n: (address, line).
    nearest: list[tuple[bytes, bytes]] = [(b"", b"")] * (len(keys) + 1)
    for lines in _lines():
        for line in lines.splitlines():
            address = line[:16]
            at = bisect_left(keys, address)
            if address > nearest[at][0] and line[17:18] in _CODE:
                nearest[at] = address, line
    best, names = (b"", b""), {}
    for wish, candidate in zip(wanted, nearest, strict=False):
        best = max(best, candidate, key=lambda c: c[0])
        names[wish] = _named(wish, *best)
    return names


def _named(address: int, start: bytes, line: bytes) -> str:
    if not start.strip(b"0"):  # nothing below it, or every address is hidden as zero
        return f"0x{address:x}"
    offset = address - int(start, 16)
    if offset >= _LARGEST:
        return f"0x{address:x}"
    return f"{line.split()[2].decode(errors='replace')}+0x{offset:x}"


def _lines() -> Iterator[bytes]:
    """The file in pieces of whole lines."""
    with _KALLSYMS.open("rb", buffering=0) as f:
        rest = b""
        while piece := f.read(_CHUNK):
            whole, newline, rest = (rest + piece).rpartition(b"\n")
            if newline:
                yield whole + newline
        if rest:
            yield rest + b"\n"
