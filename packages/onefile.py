"""ebpftop in one executable file: `python -m packages.onefile [--python 3.13] [--machine aarch64]`.

A zip archive that Python runs, with numpy and psutil in it, so it is for one Python and one
architecture. `inside` unpacks it. pex and shiv do that too, into folders of which
they check neither owner nor mode, which is too little for what root runs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import re
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from packages import carried
from packages.carried import Library, NotBuilt
from packages.versions import ROOT, Build, current

INSIDE = Path(__file__).with_name("inside")
PARTS = {"__main__.py": INSIDE / "main.py", "unpacking.py": INSIDE / "unpacking.py"}
SHEBANG = b"#!/usr/bin/python3 -I\n"
_TAG = re.compile(r"-manylinux_(\d+)_(\d+)_(\w+)$")
_OLD = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}
Numbers = tuple[int, int]


def parsed(arguments: list[str] | None = None) -> argparse.Namespace:
    here = ".".join(platform.python_version_tuple()[:2])
    parser = argparse.ArgumentParser(prog="onefile", description="ebpftop in one file")
    parser.add_argument("--python", default=here, metavar="3.N", type=_python)
    parser.add_argument("--machine", default=platform.machine(), metavar="NAME")
    return parser.parse_args(arguments)


def _python(text: str) -> str:
    if not re.fullmatch(r"3\.\d+", text) or int(text[2:]) < 11:
        raise argparse.ArgumentTypeError(f"ebpftop needs Python 3.11 or newer, not {text}")
    return text


def fill(folder: Path, build: Build, python: str, machine: str) -> None:
    """Put ebpftop and all that it needs there. Raises NotBuilt."""
    carried.ourselves(build, folder)
    libraries = carried.needed()
    if (python, machine) == (parsed([]).python, platform.machine()):
        carried.copy(libraries, folder)
    else:
        _fetch(libraries, folder, python, machine)


def _fetch(libraries: Iterable[Library], folder: Path, python: str, machine: str) -> None:
    """Have pip install these versions, built for another Python or machine."""
    command = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    command += ["--no-deps", "--no-compile", "--only-binary=:all:", "--python-version", python]
    command += ["--implementation", "cp"]
    for kind in ("manylinux_2_28", "manylinux_2_27", "manylinux2014", "manylinux2010"):
        command += ["--platform", f"{kind}_{machine}"]
    with tempfile.TemporaryDirectory() as place:
        wanted = [f"{library.name}=={library.version}" for library in libraries]
        done = subprocess.run(
            [*command, "--target", place, *wanted], capture_output=True, text=True, check=False
        )
        if done.returncode:
            why = (done.stderr.splitlines() or ["?"])[-1]
            raise NotBuilt(f"pip has no libraries for Python {python} on {machine}: {why}")
        fetched = Path(place)
        carried.copy_files(fetched, (str(p.relative_to(fetched)) for p in _all(fetched)), folder)


def _all(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def least_libc(folder: Path, machine: str) -> Numbers:
    """Return the oldest glibc that all compiled libraries can be used with. Raises NotBuilt."""
    needed: Numbers = (2, 0)
    for file in sorted(folder.glob("*.dist-info/WHEEL")):
        tags = re.findall(r"^Tag: (.*)$", file.read_text(), re.MULTILINE)
        if not any(tag.endswith("-any") for tag in tags):
            fit = list(_fitting(tags, machine))
            if not fit:
                name = file.parent.name.partition("-")[0]
                raise NotBuilt(f"{name} was built for this host alone: its tag is {tags[0]}")
            needed = max(needed, min(fit))
    return needed


def _fitting(tags: Iterable[str], machine: str) -> Iterator[Numbers]:
    for tag in tags:
        if (found := _TAG.search(tag)) and found[3] == machine:
            yield int(found[1]), int(found[2])
        for name, version in _OLD.items():
            if tag.endswith(f"-{name}_{machine}"):
                yield version


def pack(folder: Path, file: Path, about: dict[str, object], epoch: int) -> None:
    """Write the executable archive; the same bytes for the same build."""
    date = time.gmtime(max(epoch, 315_532_800))[:6]  # zip begins in 1980
    members = {str(path.relative_to(folder)): path.read_bytes() for path in _all(folder)}
    members |= {name: path.read_bytes() for name, path in PARTS.items()}
    about["megabytes"] = sum(map(len, members.values())) * 3 // 2_000_000  # compiled, too
    about["name"] = f"{file.name}-{_digest(members)}"
    members["about.json"] = json.dumps(about, sort_keys=True).encode()
    with file.open("wb") as out:
        out.write(SHEBANG)
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
            for name in sorted(members):
                entry = zipfile.ZipInfo(name, date)
                entry.external_attr = 0o600 << 16
                entry.compress_type = zipfile.ZIP_DEFLATED
                packed.writestr(entry, members[name])
    file.chmod(0o755)


def _digest(members: dict[str, bytes]) -> str:
    total = hashlib.sha256()
    for name in sorted(members):
        total.update(f"{name}\0{len(members[name])}\0".encode() + members[name])
    return total.hexdigest()[:16]


def build_into(out: Path, python: str, machine: str) -> Path:
    """Build it into a folder; return the file. Raises NotBuilt."""
    build = current()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        fill(folder, build, python, machine)
        about: dict[str, object] = {
            "python": [int(part) for part in python.split(".")],
            "machine": machine,
            "libc": least_libc(folder, machine),
        }
        out.mkdir(exist_ok=True)
        file = out / f"ebpftop-{build.debian}-python{python}-{machine}"
        pack(folder, file, about, build.epoch)
    return file


def main() -> int:
    arguments = parsed()
    try:
        file = build_into(ROOT / "dist", arguments.python, arguments.machine)
    except NotBuilt as why:
        print(f"onefile: {why}", file=sys.stderr)
        return 1
    size = file.stat().st_size / 1e6
    print(f"onefile: {file.relative_to(ROOT)}, {size:.1f} MB", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
