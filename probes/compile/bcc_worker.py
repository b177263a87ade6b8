"""The process that runs bcc: compiles for ebpftop, hands over bytes and map fds, and ends.

Not imported: run by path (`python -P bcc_worker.py FD`) with nothing but the standard library
and the distribution's bcc. FD is a socket; each message on it carries another socket, on which
one request comes in (JSON up to end of file) and one answer goes out (JSON, with the maps' fds),
and a file for what the compiler says meanwhile. Requests are served one after the other, and not by
forks: bcc's pages would count in each. 90 MB while something compiles, 25 MB while nothing does.
LLVM may exit() over an error, which it does; another process takes this one's place then.

request: {"source", "cflags", "kernel_source": directory or null}
answer:  {"functions": {name: instructions in hex}, "maps": [{"name", "fd", "type", ...}]} where
         "fd" is the number in the instructions and the fds come in the maps' order; or
         {"error": "no-bcc" | "compile" | "map", "why", "remedy", "errno"}
"""

from __future__ import annotations

import ctypes
import errno
import importlib.util
import json
import os
import re
import resource
import select
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

CPU_SECONDS, WALL_SECONDS = 180, 300
"""Seconds that end a compile that spins or hangs. On a busy host one may wait long for its turn,
and in a virtual machine the host's other work counts as its own."""
PACKAGES = (
    "install the BPF Compiler Collection: python3-bpfcc (Debian, Ubuntu), python3-bcc (Fedora),"
    " python-bcc (Arch)"
)
SITES = (  # below /usr
    "lib/python3/dist-packages",
    "lib/python3/site-packages",
    "lib/python3.*/site-packages",
    "lib64/python3.*/site-packages",
    "local/lib/python3*/dist-packages",
    "local/lib/python3*/site-packages",
)
# Would change what is compiled, or against what, behind our back.
FOREIGN = (
    "ARCH",
    "BCC_KERNEL_SOURCE",
    "BCC_KERNEL_MODULES_SUFFIX",
    "BCC_LINUX_VERSION_CODE",
    "CPATH",
    "C_INCLUDE_PATH",
)
_VERSION = re.compile(r"__version__ = '([\w.+~-]+)'")
Part = tuple[int, int]
"""Part of memory: start and bytes."""
PACE = 20
"""Milliseconds between releases of pages."""
MADV_DONTNEED = 4
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3


def find_bcc() -> Any:
    """Import bcc. Raises ImportError with a sentence: there is none, or it is something else."""
    foreign = ""
    for spec, origin in _called_bcc():
        if _is_bcc(origin):
            return _import(spec)
        foreign = foreign or str(origin)
    if foreign:
        raise ImportError(f"{foreign} is an unrelated package that is also called bcc")
    raise ImportError("bcc, the BPF Compiler Collection, is not installed")


def installed() -> str:
    """Return the version of bcc, which is not imported for it; "" where it is not installed."""
    for _, origin in _called_bcc():
        if _is_bcc(origin):
            try:
                told = _VERSION.search(origin.with_name("version.py").read_text())
            except OSError:
                told = None
            return told[1] if told else "of an unknown version"
    return ""


def _called_bcc() -> Iterator[tuple[ModuleSpec, Path]]:
    """Yield what can be imported by that name."""
    for place in [*sys.path, *_sites()]:
        spec = PathFinder.find_spec("bcc", [place])
        if spec is not None and spec.origin is not None:
            yield spec, Path(spec.origin)


def _is_bcc(origin: Path) -> bool:
    """Tell it from PyPI's bcc, which is something else, without running any of it."""
    return origin.with_name("libbcc.py").exists()


def _sites() -> list[str]:
    """Return the distribution's site directories, which a virtual environment does not see."""
    return [str(site) for pattern in SITES for site in sorted(Path("/usr").glob(pattern))[::-1]]


def _import(spec: ModuleSpec) -> Any:
    module = importlib.util.module_from_spec(spec)
    assert spec.loader is not None
    sys.modules["bcc"] = module
    try:
        spec.loader.exec_module(module)
    except Exception as broken:  # anything that this installation lacks
        raise ImportError(f"{spec.origin} cannot be imported: {broken}") from broken
    return module


def serve(control: socket.socket) -> None:
    """Answer request after request until the other side closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    libc = ctypes.CDLL(None)
    _give_back_what_is_freed(libc)
    bcc, missing = None, ""
    try:
        bcc = find_bcc()
    except ImportError as why:
        missing = str(why)
    own = [os.dup(noisy) for noisy in (1, 2)]
    unchanged = tuple(_unchanged())
    threading.Thread(target=_watch, args=(control, libc, unchanged), daemon=True).start()
    while True:
        _trim(libc)
        _drop(libc, unchanged)
        _, fds, _, _ = socket.recv_fds(control, 1, 2)
        if len(fds) < 2:  # the other side has gone, or this one may have no more files
            return
        with socket.socket(fileno=fds[0]) as request, os.fdopen(fds[1]) as log:
            for noisy in (1, 2):
                os.dup2(log.fileno(), noisy)
            _answer(bcc, missing, request)
            for noisy, before in zip((1, 2), own, strict=True):
                os.dup2(before, noisy)


def _watch(control: socket.socket, libc: ctypes.CDLL, unchanged: Sequence[Part]) -> None:
    """End with the other side, also amid a compile, as clang does not look at sockets.

    Meanwhile release the libraries' pages again and again: a compile needs a third at a time.
    """
    waiting = select.poll()
    waiting.register(control, 0)
    while not waiting.poll(PACE):
        _drop(libc, unchanged)
    os._exit(0)


def _drop(libc: ctypes.CDLL, unchanged: Sequence[Part]) -> None:
    """Release pages. They stay in the page cache, and come back as they are needed."""
    for begin, size in unchanged:
        libc.madvise(ctypes.c_void_p(begin), ctypes.c_size_t(size), MADV_DONTNEED)


def _give_back_what_is_freed(libc: ctypes.CDLL) -> None:
    """Have freed memory returned to the kernel at once, where the C library offers that."""
    set_option = getattr(libc, "mallopt", None)
    if set_option is not None:
        for option in (M_TRIM_THRESHOLD, M_MMAP_THRESHOLD):
            set_option(option, 1 << 16)


def _trim(libc: ctypes.CDLL) -> None:
    trim = getattr(libc, "malloc_trim", None)
    if trim is not None:
        trim(0)


def _unchanged() -> Iterator[Part]:
    """Yield where files are mapped and nothing was written to: none of it gets lost."""
    try:
        lines = Path("/proc/self/smaps").read_text(errors="replace").splitlines()
    except OSError:
        return
    place, mode, named = "", "", False
    for line in lines:
        first, *rest = line.split()
        if not first.endswith(":"):
            place, mode, named = first, rest[0], len(rest) > 4 and rest[4].startswith("/")
        elif first == "Anonymous:" and rest[0] == "0" and named and mode in ("r-xp", "r--p"):
            begin, end = (int(at, 16) for at in place.split("-"))
            yield begin, end - begin


def _answer(bcc: Any, missing: str, request: socket.socket) -> None:
    used, (_, hard) = os.times(), resource.getrlimit(resource.RLIMIT_CPU)
    until = int(used.user + used.system) + CPU_SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (until if hard < 0 else min(until, hard), hard))
    signal.alarm(WALL_SECONDS)
    wanted = json.loads(request.makefile("rb").read())
    if bcc is None:
        _send(request, {"error": "no-bcc", "why": missing, "remedy": PACKAGES})
        return
    module = None
    try:
        module = _module(bcc, wanted)
        reply, fds = _made(bcc, module)
    except Exception as failed:  # bcc raises bare Exception; what it means stands in the log
        reply, fds = _failure(str(failed), _text(2)), []
    _send(request, reply, fds)
    if module is not None:
        module.cleanup()
    signal.alarm(0)


def _module(bcc: Any, wanted: dict[str, Any]) -> Any:
    for name in FOREIGN:
        os.environ.pop(name, None)
    # bcc puts the working directory first on the include path, so it has to be a harmless one
    os.chdir(wanted["kernel_source"] or "/")
    if wanted["kernel_source"]:
        os.environ["BCC_KERNEL_SOURCE"] = wanted["kernel_source"]
    _raise_memlock()

    class CompiledModule(bcc.BPF):  # type: ignore[misc]
        def _trace_autoload(self) -> None:
            """Turn off attaching by functions' names."""

    return CompiledModule(text=wanted["source"].encode(), cflags=wanted["cflags"])


def _made(bcc: Any, module: Any) -> tuple[dict[str, Any], list[int]]:
    maps = _maps(bcc.lib, ctypes.c_void_p(module.module))
    names = [
        bcc.lib.bpf_function_name(module.module, i)
        for i in range(bcc.lib.bpf_num_functions(module.module))
    ]
    functions = {name.decode(): module.dump_func(name).hex() for name in names}
    return {"functions": functions, "maps": maps}, [table["fd"] for table in maps]


def _maps(lib: Any, module: ctypes.c_void_p) -> list[dict[str, Any]]:
    """Return every map of the module, as JSON, by libbcc functions that the binding lacks."""
    texts = ("name", "key_desc", "leaf_desc")
    numbers = ("fd", "type", "key_size", "leaf_size", "max_entries", "flags")
    for field in texts + numbers:
        function = _table_function(lib, field)
        function.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
        function.restype = ctypes.c_char_p if field in texts else ctypes.c_int
    lib.bpf_num_tables.argtypes = [ctypes.c_void_p]
    lib.bpf_num_tables.restype = ctypes.c_size_t
    return [
        {
            **{field: _table_function(lib, field)(module, i).decode() for field in texts},
            **{field: _table_function(lib, field)(module, i) for field in numbers},
        }
        for i in range(lib.bpf_num_tables(module))
    ]


def _table_function(lib: Any, field: str) -> Any:
    return getattr(lib, "bpf_table_name" if field == "name" else f"bpf_table_{field}_id")


def _raise_memlock() -> None:
    """Raise the limit: before 5.11 maps count as locked memory, of which 64 kB is nothing."""
    _, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    for limit in (resource.RLIM_INFINITY, hard):
        try:
            resource.setrlimit(resource.RLIMIT_MEMLOCK, (limit, limit))
            return
        except (OSError, ValueError):
            continue  # raising the hard limit takes CAP_SYS_RESOURCE


def _failure(why: str, log: str) -> dict[str, Any]:
    refused = re.search(r"could not open bpf map: (\S+), error: (.+)", log)
    if refused is None:
        return {"error": "compile", "why": why}
    codes = [code for code in errno.errorcode if os.strerror(code) == refused[2].strip()]
    why = f"the map {refused[1]} could not be created: {refused[2].strip()}"
    return {"error": "map", "why": why, "errno": codes[0] if codes else 0}


def _send(request: socket.socket, reply: dict[str, Any], fds: Sequence[int] = ()) -> None:
    """Send the fds first, with one byte, then the JSON up to end of file."""
    try:
        socket.send_fds(request, [b"\n"], list(fds))
        request.sendall(json.dumps(reply).encode())
        request.shutdown(socket.SHUT_WR)
    except BrokenPipeError:
        pass  # nobody waits for it any more


def _text(fd: int) -> str:
    size = os.fstat(fd).st_size
    return os.pread(fd, size, 0).decode(errors="replace")


if __name__ == "__main__" and sys.argv[1] == "--version":
    print(installed())
elif __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as control:
        serve(control)
