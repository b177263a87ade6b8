"""Kernel tests: what they share, and how they are skipped where there is no privilege."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from probes.compile import bundle
from probes.compile import compiler as bcc_compiler
from probes.compile.compiler import Compiler
from probes.hooks import catalogue
from probes.kernel import rlimits, tracefs
from probes.ladder.modules import Modules
from probes.sources.live import memory
from tests.support.commands import held, nobody_can_run, readable_tree
from tests.support.guest.compiling import Asking
from tests.support.namespaces import namespace


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.geteuid() == 0:
        return
    for item in items:
        if item.get_closest_marker("kernel"):
            item.add_marker(pytest.mark.skip(reason="attaches to the kernel: needs root"))


_CLONE_NEWNS = 0x20000


@pytest.fixture(scope="session", autouse=True)
def _tracefs() -> None:
    """Mounted where it is not, for these tests alone: in a mount namespace that goes with them."""
    if os.geteuid() or any((root / "events").is_dir() for root in tracefs.ROOTS):
        return
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "unshare")
    place = next(root for root in tracefs.ROOTS if root.is_dir())
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    # Refused under lockdown=confidentiality.
    subprocess.run(
        f"mount -t tracefs tracefs {place}".split(), stderr=subprocess.DEVNULL, check=False
    )


@pytest.fixture(scope="session")
def ready(of_hooks: Compiler) -> None:
    """In a guest, which compiles for minutes: all that the command asks for is in its cache."""
    if isinstance(of_hooks, Asking):
        of_hooks.prepare(catalogue().values())


PACKAGES = ("python3-bpfcc", "libbpf1", "libbpf0", "iproute2", "bpftool")


@pytest.fixture(scope="session", autouse=True)
def _versions(record_testsuite_property: Callable[[str, object], None]) -> None:
    """What was used: the matrix of kernels prints it under its tables."""
    record_testsuite_property("kernel", platform.version())
    record_testsuite_property("python", platform.python_version())
    asked = ("dpkg-query", "-W", "-f", "${Package} ${Version}\n", *PACKAGES)
    try:
        shown = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return  # no Debian
    for line in shown.splitlines():
        name, _, version = line.partition(" ")
        if version:
            record_testsuite_property(name, version)


@pytest.fixture(autouse=True)
def _room(monkeypatch: pytest.MonkeyPatch) -> None:
    """A source here is one of many things in this process, which is beyond its bound by itself."""
    monkeypatch.setattr(memory, "default", lambda: 4_000_000_000)


@pytest.fixture(scope="session")
def of_hooks() -> Iterator[Compiler]:
    """One compiler for all tests, as in the program; it stays, since bcc takes long to load."""
    rlimits.raise_memlock()
    bcc_compiler.IDLE_SECONDS = 60.0
    hooks = catalogue().values()
    if place := os.environ.get("EBPFTOP_COMPILE"):  # in a guest of the matrix
        compiler: Compiler = Asking(Path(place), hooks)
    elif file := os.environ.get("EBPFTOP_BUNDLE"):  # without bcc: test_bundle
        compiler = Compiler(hooks, bundle=bundle.read(Path(file)))
    else:
        compiler = Compiler(hooks, cached=True)
    yield compiler
    compiler.close()


@pytest.fixture(scope="session")
def modules(of_hooks: Compiler) -> Modules:
    return Modules(of_hooks)


@pytest.fixture(scope="session")
def keep(modules: Modules) -> Iterator[Callable[[str], None]]:
    """Keeps the module of a source compiled until the end, with what it has counted.

    For tests that look for rows which no other makes: a compile costs a guest seconds.
    """
    kept: set[str] = set()
    with ExitStack() as stack:

        def take(source: str) -> None:
            if source not in kept:
                kept.add(source)
                modules.take(source, stack)

        yield take


@pytest.fixture
def inside() -> Iterator[None]:
    """A network namespace of the test's own; no program or link is left when it ends."""
    before = held()
    with namespace():
        yield
    assert held() == before


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A copy of the program for a user without privilege, where one can run this Python."""
    if not nobody_can_run():
        pytest.skip("an unprivileged user cannot run this Python")
    with readable_tree() as tree:
        yield tree
