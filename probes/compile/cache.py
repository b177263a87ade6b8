"""Results of earlier compiles, on disk: a start needs the compiler only for what is new.

An answer of the compiler's child depends on the source, its flags, the kernel's types, bcc, and
whether that can read the kernel's symbols (else it calls an older helper); all of them make up its
name. It is kept as the header trees are (`tree_cache`): private to this user,
and used only if it is what was written. Without bcc nothing is used: what a host can do should not
depend on what it once had.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from probes.compile import headers
from probes.compile.tree_cache import TreeCache
from probes.kernel import bpf, open_files
from probes.kernel.remembered import remembered

ANSWER = "answer.json"
CACHED_SOURCES = 128  # sources: all of ours for a few kernels
_CHILD = Path(__file__).with_name("bcc_worker.py")
_SITES = ("lib/python3*/*-packages", "lib64/python3*/*-packages", "local/lib/python3*/*-packages")
_LIBRARIES = ("lib/*/libbcc.so*", "lib64/libbcc.so*", "local/lib/libbcc.so*")

Answer = dict[str, Any]
Asked = tuple[Answer, list[int]]


def answer(request: Mapping[str, Any], ask: Callable[[], Asked]) -> Asked:
    """Return the child's answer and the maps' fds, from disk where it is known.

    ask: asks the child. Raises what that raises, and MapRefused where a map cannot be created.
    """
    try:
        place, compiler, kernel = _cache(), _compiler(_SITES), headers.kernel()
    except OSError:  # no files left: the child will say so
        return ask()
    if place is None or not compiler:
        return ask()
    asked: list[Asked] = []

    def make() -> dict[str, str]:
        asked.append(ask())
        return {ANSWER: json.dumps(asked[0][0])}

    identity = (*compiler, *kernel, _symbols(), json.dumps(request, sort_keys=True))
    try:
        found = (place.get(identity, make) / ANSWER).read_text()
    except OSError:  # no place left, or pruned a moment ago
        return asked[0] if asked else ask()
    except BaseException:
        for _, fds in asked:
            open_files.close_each(fds)
        raise
    if asked:
        return asked[0]
    known: Answer = json.loads(found)
    return known, created(known["maps"])


def _symbols() -> str:
    """Return whether bcc finds names of kernel functions."""
    try:
        with Path("/proc/kallsyms").open("rb", buffering=0) as symbols:
            return "symbols" if symbols.read(1) else ""
    except OSError:
        return ""


class MapRefused(OSError):
    """A map that the kernel refuses; strerror is a sentence."""

    def __init__(self, name: str, refused: OSError) -> None:
        why = f"the map {name} could not be created: {refused.strerror}"
        super().__init__(refused.errno, why)


def created(maps: Sequence[Mapping[str, Any]]) -> list[int]:
    """Create the maps, as bcc does: all fds in order, or none. Raises MapRefused."""
    fds: list[int] = []
    try:
        for table in maps:
            sizes = (table["key_size"], table["leaf_size"], table["max_entries"])
            fds.append(
                bpf.map_create(table["type"], *sizes, flags=table["flags"], name=table["name"])
            )
    except OSError as refused:
        open_files.close_each(fds)
        raise MapRefused(table["name"], refused) from None
    return fds


def has_compiler() -> bool:
    """Return whether the distribution's bcc is installed; the child says so if that is unknown."""
    try:
        return bool(_compiler(_SITES))
    except OSError:  # no files left
        return True


@remembered
def _cache() -> TreeCache | None:
    base = headers.cache_base()
    try:
        return TreeCache(base.with_name(f"{base.name}-compiled"), CACHED_SOURCES)
    except OSError:
        return None


@remembered
def _compiler(sites: tuple[str, ...]) -> tuple[str, ...]:
    """Return what changes with bcc, its LLVM, and how we use them; empty without bcc."""
    modules = _below_usr(f"{site}/bcc/libbcc.py" for site in sites)
    if not modules:
        return ()
    return (_CHILD.read_text(), *_states([*modules, *_below_usr(_LIBRARIES)]))


def _below_usr(patterns: Iterable[str]) -> list[Path]:
    return [path for pattern in patterns for path in sorted(Path("/usr").glob(pattern))]


def _states(files: Sequence[Path]) -> Iterator[str]:
    for file in files:
        status = file.stat()
        yield f"{file} {status.st_size} {status.st_mtime_ns}"
