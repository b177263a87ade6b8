"""The process that has bcc in it: compiles for ebpftop, hands over bytes and map fds, and goes.

Not imported: run by path (`python -P bcc_worker.py FD`) with nothing but the standard library
and the distribution's bcc. FD is a socket; each message on it carries another socket, on which
one request comes in (JSON up to end of file) and one answer goes out (JSON, with the maps' fds),
and a file for what the compiler says meanwhile. Each request is served by a fork, so that modules
compile side by side, that bcc's chdir() and noise on fds 1 and 2 stay in there, that the 130 MB
of a compile go with it, and that LLVM may exit() over an error, which it does.

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
import signal
import socket
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

CPU_SECONDS, WALL_SECONDS = 180, 300
"""What ends a compile that spins or hangs. On a busy host one may wait long for its turn,
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
PR_SET_PDEATHSIG = 1


def find_bcc() -> Any:
    """Imports bcc. Raises ImportError with a sentence: there is none, or it is something else."""
    foreign = ""
    for place in [*sys.path, *_sites()]:
        spec = PathFinder.find_spec("bcc", [place])
        if spec is None or spec.origin is None:
            continue
        # PyPI's bcc is something else; told apart without running any of it
        if Path(spec.origin).with_name("libbcc.py").exists():
            return _import(spec)
        foreign = foreign or spec.origin
    if foreign:
        raise ImportError(f"{foreign} is an unrelated package that is called bcc as well")
    raise ImportError("bcc, the BPF Compiler Collection, is not installed")


def _sites() -> list[str]:
    """The distribution's own site directories, which a virtual environment does not see."""
    return [str(site) for pattern in SITES for site in sorted(Path("/usr").glob(pattern))[::-1]]


def _import(spec: ModuleSpec) -> Any:
    module = importlib.util.module_from_spec(spec)
    assert spec.loader is not None
    sys.modules["bcc"] = module
    try:
        spec.loader.exec_module(module)
    except Exception as broken:  # whatever it is that this installation lacks
        raise ImportError(f"{spec.origin} cannot be imported: {broken}") from broken
    return module


def serve(control: socket.socket) -> None:
    """Forks for each request until the other side closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no zombies, and nobody to wait for
    bcc, missing = None, ""
    try:
        bcc = find_bcc()
    except ImportError as why:
        missing = str(why)
    while True:
        _, fds, _, _ = socket.recv_fds(control, 1, 2)
        if not fds:
            return
        with socket.socket(fileno=fds[0]) as request, os.fdopen(fds[1]) as log:
            if os.fork() == 0:
                control.close()
                _die_with_parent()
                for noisy in (1, 2):
                    os.dup2(log.fileno(), noisy)
                _answer(bcc, missing, request)
                os._exit(0)


def _die_with_parent() -> None:
    """Ends a compile whose asker has gone. By prctl, as clang does not look at sockets."""
    parent = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def _answer(bcc: Any, missing: str, request: socket.socket) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    signal.alarm(WALL_SECONDS)
    wanted = json.loads(request.makefile("rb").read())
    if bcc is None:
        _send(request, {"error": "no-bcc", "why": missing, "remedy": PACKAGES})
        return
    fds: list[int] = []
    try:
        reply, fds = _compile(bcc, wanted)
    except Exception as failed:  # bcc raises bare Exception; what it means stands in the log
        reply, fds = _failure(str(failed), _text(2)), fds
    _send(request, reply, fds)


def _compile(bcc: Any, wanted: dict[str, Any]) -> tuple[dict[str, Any], list[int]]:
    for name in FOREIGN:
        os.environ.pop(name, None)
    # bcc puts the working directory first on the include path, so it has to be a harmless one
    os.chdir(wanted["kernel_source"] or "/")
    if wanted["kernel_source"]:
        os.environ["BCC_KERNEL_SOURCE"] = wanted["kernel_source"]
    _raise_memlock()

    class Module(bcc.BPF):  # type: ignore[misc]
        def _trace_autoload(self) -> None:
            """Attaches nothing, whatever the functions are called."""

    module = Module(text=wanted["source"].encode(), cflags=wanted["cflags"])
    maps = _maps(bcc.lib, ctypes.c_void_p(module.module))
    names = [
        bcc.lib.bpf_function_name(module.module, i)
        for i in range(bcc.lib.bpf_num_functions(module.module))
    ]
    functions = {name.decode(): module.dump_func(name).hex() for name in names}
    return {"functions": functions, "maps": maps}, [table["fd"] for table in maps]


def _maps(lib: Any, module: ctypes.c_void_p) -> list[dict[str, Any]]:
    """Every map of the module, as JSON. Functions of libbcc that the Python binding leaves out."""
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
    """Before 5.11 maps count as locked memory, and 64 kB of that is nothing."""
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
    """The fds come first, with one byte, then the JSON up to end of file."""
    try:
        socket.send_fds(request, [b"\n"], list(fds))
        request.sendall(json.dumps(reply).encode())
        request.shutdown(socket.SHUT_WR)
    except BrokenPipeError:
        pass  # nobody waits for it any more


def _text(fd: int) -> str:
    size = os.fstat(fd).st_size
    return os.pread(fd, size, 0).decode(errors="replace")


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as control:
        serve(control)
