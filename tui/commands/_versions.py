"""What `--version` prints: the program, and what it depends on at run time."""

from __future__ import annotations

import ctypes
import json
import platform
import re
from collections.abc import Iterator
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from probes.compile import bcc_version
from probes.kernel import btf
from tui.commands._run import version

ROOT = Path(__file__).parents[2]
_COMMIT = re.compile(r"[0-9a-f]{40}")
SHORT = 10
"""Digits of a commit that are shown."""


def lines() -> Iterator[str]:
    """Yield one line for each; the first is "ebpftop VERSION", with the commit if it is known."""
    commit = commit_of(ROOT) or _installed_from()
    yield f"ebpftop {version()}" + (f" (commit {commit[:SHORT]})" if commit else "")
    yield f"bcc {bcc_version.installed() or 'not found: install python3-bpfcc (Debian, Ubuntu)'}"
    yield f"libbpf {_libbpf() or 'not found'}"
    yield f"Linux {platform.release()} {platform.machine()}"
    yield f"Python {platform.python_version()}"


def commit_of(tree: Path) -> str:
    """Return the commit that is checked out there, read from git's files; "" if none is known."""
    with suppress(OSError, UnicodeDecodeError, IndexError):
        git = tree / ".git"
        if git.is_file():  # of a work tree beside the repository: "gitdir: PATH"
            git = (tree / git.read_text().split(maxsplit=1)[1].strip()).resolve()
        head = (git / "HEAD").read_text().strip()
        found = _ref(git, head.removeprefix("ref: ")) if head.startswith("ref: ") else head
        return found if _COMMIT.fullmatch(found) else ""
    return ""


def _ref(git: Path, name: str) -> str:
    """Return the commit of a branch, which is a file of its own or a line of `packed-refs`."""
    shared = git / "commondir"
    common = git / shared.read_text().strip() if shared.exists() else git
    if (common / name).is_file():
        return (common / name).read_text().strip()
    packed = (common / "packed-refs").read_text().splitlines()
    return next((line.split()[0] for line in packed if line.endswith(f" {name}")), "")


def _installed_from() -> str:
    """Return the commit that pip, pipx or uv installed, where they fetched it by git (PEP 610)."""
    with suppress(metadata.PackageNotFoundError, ValueError, KeyError, TypeError):
        told = metadata.distribution("ebpftop").read_text("direct_url.json")
        return str(json.loads(told or "{}")["vcs_info"]["commit_id"])
    return ""


def _libbpf() -> str:
    """Return the version, as "1.1"; "" where there is none."""
    with suppress(OSError):
        lib = btf.libbpf()
        if lib is not None and hasattr(lib, "libbpf_version_string"):
            lib.libbpf_version_string.restype = ctypes.c_char_p
            return str(lib.libbpf_version_string().decode().removeprefix("v"))
    return ""
