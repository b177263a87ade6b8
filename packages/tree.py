"""The files of a distribution package, below a folder, as they lie on the host."""

from __future__ import annotations

import gzip
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from packages import carried
from packages.carried import NotBuilt
from packages.versions import ROOT, Build
from tui.commands import _manual, _shells

FILES = Path(__file__).with_name("files")
PRIVATE = "usr/share/ebpftop"
"""Ours and the carried libraries: on nobody's path but our command's."""
THEIRS = ("numpy", "psutil")
"""Compiled, and recent enough on every distribution that has Python 3.11."""
COMPLETIONS = {
    "bash": "usr/share/bash-completion/completions/ebpftop",
    "zsh": "usr/share/zsh/vendor-completions/_ebpftop",
    "fish": "usr/share/fish/vendor_completions.d/ebpftop.fish",
}
COPIED = {
    "ebpftop": "usr/bin/ebpftop",
    "ebpftop-export.service": "usr/lib/systemd/system/ebpftop-export.service",
    "ebpftop-export.default": "etc/default/ebpftop-export",
    "settings.toml": "etc/ebpftop/settings.toml",
}
DOC = "usr/share/doc/ebpftop"


def make(root: Path, build: Build) -> None:
    """Write everything below `root`, dated to the build. Raises NotBuilt."""
    private = root / PRIVATE
    private.mkdir(parents=True)
    carried.ourselves(build, private)
    carried.copy(carried.needed(THEIRS), private)
    if own := carried.compiled(private):
        raise NotBuilt(f"the package would no longer be for all architectures: {own[0]}")
    for name, place in COPIED.items():
        put(root / place, (FILES / name).read_text())
    (root / "usr/bin/ebpftop").chmod(0o755)
    _papers(root, build)


def _papers(root: Path, build: Build) -> None:
    os.environ["SOURCE_DATE_EPOCH"] = str(build.epoch)  # the manual page has a date
    put(root / "usr/share/man/man1/ebpftop.1.gz", _manual.page())
    for shell, place in COMPLETIONS.items():
        put(root / place, _shells.script(shell))
    put(root / DOC / "changelog.gz", (ROOT / "CHANGELOG.md").read_text())
    for file in (ROOT / "docs/prometheus").iterdir():
        put(root / DOC / "prometheus" / file.name, file.read_text())


def put(file: Path, text: str) -> None:
    """Write a file; compressed, without a date, if it is a .gz."""
    file.parent.mkdir(parents=True, exist_ok=True)
    data = text.encode()
    file.write_bytes(gzip.compress(data, 9, mtime=0) if file.suffix == ".gz" else data)


def settle(root: Path, epoch: int) -> None:
    """Give everything its mode, and no date after the build's."""
    for path in (root, *_entries(root)):
        executable = path.is_dir() or path.stat().st_mode & 0o100
        path.chmod(0o755 if executable else 0o644)
        os.utime(path, (epoch, epoch))


def _entries(root: Path) -> Iterator[Path]:
    return iter(sorted(root.rglob("*")))


def size(root: Path) -> int:
    """Return the kilobytes that it takes when installed."""
    files = [path.stat().st_size for path in root.rglob("*") if path.is_file()]
    return sum(-(-one // 1024) for one in files)


def fresh(folder: Path) -> Path:
    """Return an empty folder of that name."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
