"""The installed command `ebpftop`: puts our own packages first on the path and runs them.

In the wheel this file is `ebpftop/__init__.py`, the only top-level package, with `probes`, `tui`
and `themes` below it: other projects on PyPI, or on PYTHONPATH, may have those names, too.
After an editable install they are in the checkout.
"""

# Built in, as `signal` is not, nor __future__: an interrupt meets no import of ours.
import _signal  # type: ignore[import-not-found]

if __name__ == "ebpftop" and _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)  # until `leaving` acts on it: no traceback

import gc
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import NoReturn

ROOM = 144
"""Address space in MB that must be free at start; most of it is never used."""


def main() -> "NoReturn":
    """Run `ebpftop` and end the process, whatever its threads are doing."""
    _need_room()
    gc.set_threshold(200_000, 20, 20)  # what is imported is no garbage: a tenth of the start
    from pathlib import Path  # only now: it takes its time

    _leave_nothing_of_root_s(Path(__file__))
    for place in (Path(__file__).parent, *map(Path, sys.path)):
        if (place / "tui" / "cli.py").is_file() and (place / "probes").is_dir():
            sys.path.insert(0, str(place))
            break
    _import_without_openssl()
    from tui.terminal import leaving

    leaving.run(_main)


def _import_without_openssl() -> None:
    """Import what would load OpenSSL (5 MB, a twentieth of the start) for what is never used.

    asyncio does without TLS then, and hashlib uses Python's own hashes, if they are built in.
    Whoever imports ssl later has it.
    """
    spared = {"ssl": "asyncio"}
    if {"_md5", "_sha1", "_sha3", "_blake2"} < set(sys.builtin_module_names):
        spared["_hashlib"] = "hashlib"
    for name, user in spared.items():
        sys.modules[name] = None  # type: ignore[assignment]
        __import__(user)
        del sys.modules[name]


def _need_room() -> None:
    """Exit with a sentence if memory is so short that imports, threads and loops would fail."""
    try:
        bytes(ROOM << 20)
    except MemoryError:
        try:
            os.write(2, b"ebpftop: not enough memory: %d MB are needed" % ROOM)
            os.write(2, b" (ulimit -v, vm.overcommit_memory)\n")
        finally:
            os._exit(1)


def _leave_nothing_of_root_s(file: "Path") -> None:
    """Write no compiled modules as root into another user's environment (pipx, uv, then sudo).

    Who owns it could not remove it any more. That of this file has been written before.
    """
    installed = file.with_name("probes").is_dir()
    if os.geteuid() or not installed or file.stat().st_uid == 0:
        return
    sys.dont_write_bytecode = True
    written = file.with_name("__pycache__") / f"{file.stem}.{sys.implementation.cache_tag}.pyc"
    try:
        if written.lstat().st_uid == 0:
            written.unlink()
            written.parent.rmdir()
    except OSError:  # there is none, or other modules are there, too
        pass


def _main() -> int:
    from tui import cli

    return cli.main()
