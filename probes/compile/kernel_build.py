"""Identity of a kernel build: what was compiled for one is of no use to another."""

from __future__ import annotations

import os
import platform
from typing import NamedTuple

from probes.kernel import btf


class KernelBuild(NamedTuple):
    """A kernel build. release, version: as uname says, "" where only the BTF is known.

    btf: SHA-256 of its type information; "" where it has none.
    """

    release: str
    version: str
    machine: str
    btf: str

    def __str__(self) -> str:
        known = f"Linux {self.release}" if self.release else f"a kernel with BTF {self.btf[:12]}"
        return f"{known} ({self.machine})"

    def differs_from(self, other: KernelBuild) -> str:
        """Return in words how this build, a bundle's, is not the other, this host's; "" if it is.

        Where the release is not known, the type information decides: programs rely on that.
        """
        if (self.release and self.release != other.release) or self.machine != other.machine:
            return f"it was made for {self}, and this is {other}"
        if self.release and self.version != other.version:
            return f"it was made for the build {self.version} of {self}, not for {other.version}"
        if self.btf != other.btf:
            mine, theirs = (b.btf[:12] or "none" for b in (self, other))
            return f"it was made for a kernel with BTF {mine}, and this one's is {theirs}"
        return ""


def in_use() -> KernelBuild:
    """Return the build of the running kernel, or of the one whose BTF is read in its place."""
    uname, machine = os.uname(), platform.machine()
    if btf.given():
        return KernelBuild("", "", machine, btf.digest())
    return KernelBuild(uname.release, uname.version, machine, btf.digest())
