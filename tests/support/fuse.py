"""A file on a FUSE whose server goes silent: whoever then looks at it waits, and not even SIGKILL
ends that.

    python -P fuse.py FILE      in a mount namespace of its own, as root

It serves a copy of FILE at /mnt under its own name, and a child maps it as a library: "mapped". A
line on standard input makes the server silent: "silent". At end of file all is given up, and
whoever waited is let go.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import select
import stat
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PLACE = "/mnt"
_IN, _OUT = struct.Struct("=IIQQIIII"), struct.Struct("=IiQ")
_NO_ANSWER = (2, 36, 42)  # forget, interrupt, several to forget
_ROOT, _FILE, _ENOSYS, _ENOENT = 1, 2, 38, 2
_CLONE_NEWNS, _MS_REC_PRIVATE, _MNT_FORCE, _PDEATHSIG, _KILL = 0x20000, 0x44000, 1, 1, 9


@contextmanager
def silent(file: Path) -> Iterator[str]:
    """The file's path on it, as others see it, once it has gone silent."""
    with subprocess.Popen(
        [sys.executable, "-P", __file__, str(file)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as server:  # fmt: skip
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            said, pid = server.stdout.readline().split()
            assert said == "mapped"
            server.stdin.write("be silent\n")
            server.stdin.flush()
            assert server.stdout.readline() == "silent\n"
            yield f"/proc/{pid}/root{PLACE}/{file.name}"
        finally:
            server.stdin.close()
            server.wait()


class _Server:
    def __init__(self, file: Path) -> None:
        self._name, self._data = os.fsencode(file.name), file.read_bytes()
        self._fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={self._fd},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(_CLONE_NEWNS) or libc.mount(b"", b"/", None, _MS_REC_PRIVATE, None):
            raise OSError(ctypes.get_errno(), "unshare")
        if libc.mount(b"silent", PLACE.encode(), b"fuse.silent", 0, options):
            raise OSError(ctypes.get_errno(), "mount")
        self.silent = False

    def serve(self) -> None:
        while True:
            ready = select.select([self._fd, 0], [], [])[0]
            if 0 in ready:
                if not os.read(0, 100):
                    return
                self.silent = True
                print("silent", flush=True)
            elif self._fd in ready:
                request = os.read(self._fd, 1 << 18)
                if not self.silent:
                    self._answer(request)

    def _answer(self, request: bytes) -> None:
        _, kind, unique, node, *_ = _IN.unpack_from(request)
        body, error = request[_IN.size :], 0
        match kind:
            case _ if kind in _NO_ANSWER:
                return
            case 26:  # init
                limits = (1 << 17, 0, 16, 12, 1 << 17, 1, 0, 0, 0)
                answer = struct.pack("=IIIIHHIIHHI28x", 7, 31, *limits)
            case 1 if body == self._name + b"\0":  # look up
                answer = struct.pack("=QQQQII", _FILE, 0, 0, 0, 0, 0) + self._about(_FILE)
            case 1:
                answer, error = b"", -_ENOENT
            case 3:  # get attributes
                answer = struct.pack("=QII", 0, 0, 0) + self._about(node)
            case 14 | 27:  # open, a folder
                answer = struct.pack("=QII", 1, 0, 0)
            case 15:  # read
                at, size = struct.unpack_from("=8xQI", body)
                answer = self._data[at : at + size]
            case 18 | 25:  # release, flush
                answer = b""
            case _:
                answer, error = b"", -_ENOSYS
        os.write(self._fd, _OUT.pack(_OUT.size + len(answer), error, unique) + answer)

    def _about(self, node: int) -> bytes:
        if node == _ROOT:
            mode, size = stat.S_IFDIR | 0o755, 0
        else:
            mode, size = stat.S_IFREG | 0o755, len(self._data)
        return struct.pack(
            "=6Q10I", node, size, size // 512 + 1, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0
        )


def _map(file: str) -> None:
    """As a library, and stay."""
    ctypes.CDLL(None).prctl(_PDEATHSIG, _KILL, 0, 0, 0)
    with Path(file).open("rb") as opened:
        held = mmap.mmap(opened.fileno(), 4096, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC)
    print("mapped", os.getpid(), flush=True)
    select.select([], [], [])
    held.close()


def main() -> None:
    file = Path(sys.argv[1])
    server = _Server(file)
    if os.fork() == 0:
        _map(f"{PLACE}/{file.name}")
    server.serve()
    # By itself the kernel may wait for an answer although nobody is there any more.
    ctypes.CDLL(None).umount2(PLACE.encode(), _MNT_FORCE)


if __name__ == "__main__":
    main()
