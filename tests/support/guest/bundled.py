"""A guest as a host without bcc: its programs come from a bundle that was made for it elsewhere.

`python -m tests.support.guest.bundled KERNEL [WORD]` runs the tests of rungs, as `make matrix`.
"""

from __future__ import annotations

import lzma
import os
import shutil
import subprocess
import sys
from pathlib import Path

from probes.compile.bcc_worker import SITES
from tests.support.guest import boot, kernels
from tests.support.guest.kernels import Image

NAME, INSIDE = "guest.bundle", "--inside"
_XZ, _ELF = b"\xfd7zXZ\x00", b"\x7fELF"


def make(image: Image, folder: Path) -> None:
    """Make it there on this machine, from the type information in the kernel's image."""
    vmlinux = folder / "vmlinux"
    vmlinux.write_bytes(_uncompressed(image.vmlinuz.read_bytes()))
    command = [sys.executable, "-m", "tui.cli", "bundle", "--btf", str(vmlinux)]
    subprocess.run([*command, "--output", str(folder / NAME)], check=True)
    vmlinux.unlink()


def _uncompressed(vmlinuz: bytes) -> bytes:
    """Return the ELF file in a kernel's image, of those that Debian compresses by xz."""
    found = lzma.LZMADecompressor().decompress(vmlinuz[vmlinuz.index(_XZ) :])
    if not found.startswith(_ELF):
        raise ValueError("it is no ELF file")
    return found


def _outside(kernel: str, word: str = "") -> int:
    """Boot the kernel and run the tests of rungs there; return their exit status."""
    wanted = next(b for b in boot.BOOTS if b.name == kernel)
    image, folder = kernels.image(wanted.kernel), kernels.cache() / "runs" / f"{kernel}-bundle"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    make(image, folder)
    print(f"{kernel}: booting {image.release}; its tests are logged to {folder / 'log'}")
    chosen = [*(("-k", word) if word else ()), "tests/kernel/hooks/test_rungs.py"]
    module = ("tests.support.guest.bundled", INSIDE, f"{boot.FOLDER}/{NAME}")
    tests = ("pytest", "-v", "-p", "no:cacheprovider", *chosen)
    status = boot.run(wanted, image, folder, [*module, *tests], boot.TIMEOUT)
    print((folder / "log").read_text().splitlines()[-1])
    return 1 if status is None else status


def _inside(file: str, module: str, *arguments: str) -> None:
    """Hide bcc, and become a module that takes programs from the bundle."""
    for folder in (p / "bcc" for pattern in SITES for p in Path("/usr").glob(pattern)):
        if folder.is_dir():
            subprocess.run(["mount", "-t", "tmpfs", "none", str(folder)], check=True)
    os.environ.pop("EBPFTOP_COMPILE", None)
    os.environ["EBPFTOP_BUNDLE"] = file
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])


if __name__ == "__main__":
    if sys.argv[1] == INSIDE:
        _inside(*sys.argv[2:])
    sys.exit(_outside(*sys.argv[1:]))
