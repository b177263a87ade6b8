"""A guest as a host without bcc: its programs come from a bundle that was made for it elsewhere.

python -m tests.support.guest.bundled FILE MODULE ARGUMENT...   in the guest
"""

from __future__ import annotations

import lzma
import os
import subprocess
import sys
from pathlib import Path

from probes.compile.bcc_worker import SITES
from tests.support.guest.kernels import Image

NAME = "guest.bundle"
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


def main(file: str, module: str, *arguments: str) -> None:
    for folder in (p / "bcc" for pattern in SITES for p in Path("/usr").glob(pattern)):
        if folder.is_dir():
            subprocess.run(["mount", "-t", "tmpfs", "none", str(folder)], check=True)
    os.environ.pop("EBPFTOP_COMPILE", None)
    os.environ["EBPFTOP_BUNDLE"] = file
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])


if __name__ == "__main__":
    main(*sys.argv[1:])
