"""Kernel tests: what they share, and how they are skipped where there is no privilege."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from probes import bpf
from probes.attachment import Modules
from probes.hooks import catalogue
from probes.kernel import Compiler


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.geteuid() == 0:
        return
    for item in items:
        if item.get_closest_marker("kernel"):
            item.add_marker(pytest.mark.skip(reason="attaches to the kernel: needs root"))


@pytest.fixture(scope="session")
def modules() -> Iterator[Modules]:
    """One compiler for all tests, as in the program."""
    bpf.raise_memlock()
    compiler = Compiler(catalogue().values())
    yield Modules(compiler)
    compiler.close()
