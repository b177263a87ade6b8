"""ebpftop in one file: says whether it fits here, unpacks itself once, and runs.

Any Python from 3.6 on reads this, as it says which one is needed; the rest is for that one alone.
"""

import json
import os
import platform
import shutil
import sys
import zipfile
from typing import Any

ARCHIVE = sys.path[0]
PLACES = "/usr/bin:/usr/local/bin:/bin"
Version = Any


def unfit(about: Any, version: Version, machine: str, libc: Version) -> str:
    """Return why this file does not fit Python, machine and C library here; "" if it does.

    about: "python" and "libc" (two numbers each) and "machine" of what is in the file.
    """
    wanted = dotted(about["python"])
    made = f"this file is for Python {wanted} on {about['machine']}"
    if machine != about["machine"]:
        return f"{made}, and this is {machine}. Build one for it: make onefile MACHINE={machine}"
    if list(version) != about["python"]:
        here = dotted(version)
        if tuple(version) < (3, 11):
            return f"{made}, and this is Python {here}. Install python{wanted}"
        return f"{made}, and this is Python {here}. Build one for it: make onefile PYTHON={here}"
    if libc[0] != "glibc" or numbers(libc[1]) < about["libc"]:
        here = " ".join(libc).strip() or "another C library"
        return f"{made} with glibc {dotted(about['libc'])} or newer, and this host has {here}"
    return ""


def dotted(version: Version) -> str:
    return ".".join(map(str, version))


def numbers(version: str) -> Version:
    return [int(part) for part in version.split(".")[:2] if part.isdigit()]


def right_python(about: Any) -> Any:
    """Return the path of the Python that is wanted, if it is here beside this one; else None."""
    if list(sys.version_info[:2]) == about["python"]:
        return None
    return shutil.which(f"python{dotted(about['python'])}", path=PLACES)


def main() -> None:
    """Run ebpftop, or exit with a sentence."""
    with zipfile.ZipFile(ARCHIVE) as packed:
        about = json.loads(packed.read("about.json").decode())
    python = right_python(about)
    if python is not None:
        os.execv(python, [python, "-I", ARCHIVE, *sys.argv[1:]])
    why = unfit(about, sys.version_info[:2], os.uname().machine, platform.libc_ver())
    if why:
        sys.exit(f"ebpftop: {why}.")

    import unpacking  # type: ignore[import-not-found]

    try:
        sys.path[0] = unpacking.unpacked(ARCHIVE, about)
    except unpacking.Refused as refused:
        sys.exit(f"ebpftop: {refused}.")
    import ebpftop  # type: ignore[import-untyped]

    ebpftop.main()


if __name__ == "__main__":
    main()
