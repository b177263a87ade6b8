"""The installed command `ebpftop`: puts our own packages first on the path, then runs them.

In the wheel this file is `ebpftop/__init__.py`, the only top-level package, with `probes`, `tui`
and `themes` below it: PyPI has other projects of those names, and a PYTHONPATH may have them, too.
After an editable install they are in the checkout.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

ROOM = 144
"""MB of memory that must be there to begin with: of address space, as most of it is not used."""


def main() -> NoReturn:
    """The entry point. Ends the process, whatever its threads do."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # until `leaving` acts on it: no traceback
    _need_room()
    from pathlib import Path  # only now: it takes its time

    for place in (Path(__file__).parent, *map(Path, sys.path)):
        if (place / "tui" / "launcher.py").is_file() and (place / "probes").is_dir():
            sys.path.insert(0, str(place))
            break
    from tui.terminal import leaving

    leaving.run(_main)


def _need_room() -> None:
    """Where imports, threads and loops would fail one after the other, say so and end."""
    try:
        bytes(ROOM << 20)
    except MemoryError:
        try:
            os.write(2, b"ebpftop: there is too little memory: %d MB are needed" % ROOM)
            os.write(2, b" (ulimit -v, vm.overcommit_memory)\n")
        finally:
            os._exit(1)


def _main() -> int:
    from tui import cli

    return cli.main()
