"""The RPM package: `python -m packages.rpm`, in dist/. Built here; installing it is untested.

The files are those of the Debian package (`tree`), in the places that Fedora has for them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from packages import tree
from packages.carried import NotBuilt
from packages.versions import ROOT, Build, current

SPEC = tree.FILES / "ebpftop.spec"
MOVED = {tree.COMPLETIONS["zsh"]: "usr/share/zsh/site-functions/_ebpftop"}
LICENCES = "usr/share/licenses/ebpftop"
_OWN = (tree.PRIVATE, "etc/ebpftop", tree.DOC, LICENCES, "usr/share/fish", "usr/share/zsh")
"""Folders that are the package's own, or of a shell that need not be there."""


def make(root: Path, build: Build) -> None:
    """Write the package's tree. Raises NotBuilt."""
    tree.make(root, build)
    for old, new in MOVED.items():
        (root / new).parent.mkdir(parents=True)
        (root / old).rename(root / new)
        (root / old).parent.rmdir()
    for licence in ROOT.glob("LICENSE*"):
        tree.put(root / LICENCES / licence.name, licence.read_text())
    tree.settle(root, build.epoch)


def files(root: Path) -> Iterator[str]:
    """Yield the lines of the spec's list of files."""
    yield "%defattr(-,root,root)"
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.is_dir():
            if name.startswith(_OWN):
                yield f"%dir /{name}"
        elif name.startswith("etc/"):
            yield f"%config(noreplace) /{name}"
        else:
            yield f"/{name}"


def build_into(out: Path) -> Path:
    """Build the package into a folder; return its file. Raises NotBuilt."""
    build, work = current(), tree.fresh(ROOT / "build/rpm")
    root, listed = tree.fresh(work / "tree"), work / "files"
    make(root, build)
    listed.write_text("\n".join(files(root)) + "\n")
    defined = {
        "_topdir": str(work),
        "_buildhost": "localhost",
        "_binary_payload": "w12.zstdio",
        "use_source_date_epoch_as_buildtime": "1",
        "clamp_mtime_to_source_date_epoch": "1",
        "ebpftop_version": build.debian,
        "ebpftop_tree": str(root),
        "ebpftop_files": str(listed),
    }
    command = ["rpmbuild", "-bb", "--quiet", "--nodeps", "--target", "noarch"]
    for name, value in defined.items():
        command += ["--define", f"{name} {value}"]
    _run([*command, str(SPEC)], build)
    (built,) = (work / "RPMS").rglob("*.rpm")
    out.mkdir(exist_ok=True)
    return Path(shutil.copy(built, out))


def _run(command: list[str], build: Build) -> None:
    env = os.environ | {"SOURCE_DATE_EPOCH": str(build.epoch)}
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise NotBuilt("there is no rpmbuild here: install rpm (Debian) or rpm-build") from None
    if done.returncode:
        raise NotBuilt(f"rpmbuild: {(done.stderr.splitlines() or ['?'])[-1]}")


def main() -> int:
    try:
        file = build_into(ROOT / "dist")
    except NotBuilt as why:
        print(f"rpm: {why}", file=sys.stderr)
        return 1
    print(f"rpm: {file.relative_to(ROOT)}, {file.stat().st_size / 1e6:.1f} MB", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
