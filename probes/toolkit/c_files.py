"""C files, joined to one source for the compiler.

bcc rewrites map calls in the main file only: what a file includes compiles without an error, to a
program that calls no helper. So files are concatenated, and none includes another.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

SHARED = Path(__file__).with_name("c")
"""C that several hooks use."""
_PROBES = SHARED.parents[1]
_ROOMS = (_PROBES / "hooks", _PROBES)
_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]*)"', re.MULTILINE)


def c_source(beside: str, /, *names: str, **defines: object) -> str:
    """Return the C of these files in their order, behind a `#define` for each keyword.

    beside: the `__file__` of the module that asks; its folder is searched first, then `SHARED`.
    Errors of the compiler name the file, and the line in it. A later source may define the same
    names again. Raises FileNotFoundError, and ValueError where a file includes another by name
    (`#include <...>` of a kernel header is left to the compiler).
    """
    asks = Path(beside)
    head = "".join(f"#undef {name}\n#define {name} {value}\n" for name, value in defines.items())
    files = "".join(map(_text, (_found(asks.parent, name) for name in names)))
    return f"{head}{files}{_line(asks)}"


def _found(folder: Path, name: str) -> Path:
    for place in (folder, SHARED):
        if (place / name).is_file():
            return place / name
    raise FileNotFoundError(f"no C file {name!r} in {folder} or {SHARED}")


@cache
def _text(path: Path) -> str:
    text = path.read_text()
    if (found := _INCLUDE.search(text)) is not None:
        raise ValueError(
            f"{_shown(path)} includes {found[1]!r}: bcc would drop that file's map calls;"
            " name it in c_source() instead"
        )
    return f"{_line(path)}{text}"


def _line(path: Path) -> str:
    return f'#line 1 "{_shown(path)}"\n'


def _shown(path: Path) -> str:
    """Return the path as errors show it: `tcp_life/sock_ops.c`, `toolkit/c/who.h`."""
    room = next((room for room in _ROOMS if path.is_relative_to(room)), path.parents[1])
    return str(path.relative_to(room))
