"""clang, where it is installed, reads every source as plain C, with all its warnings."""

from __future__ import annotations

import functools
import platform
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from probes.compile import headers
from probes.droprules import program
from probes.errors import Unsupported
from probes.foreign import counters_c
from probes.hooks import catalogue
from probes.model import Hook

SUPPORT = Path(__file__).parents[2] / "support"
TARGETS = {"syscall-processes": "read"}
LEFT_OUT = (
    *("-Wno-pointer-sign", "-Wno-unused-value", "-Wno-address-of-packed-member"),  # by bcc as well
    "-Wno-unused-function",  # a source has what hooks share, whether it calls all of it or not
)


def _hooks() -> Iterator[Hook]:
    yield from catalogue().values()
    yield program.hook(lambda _: pytest.fail("nothing is attached"))


def _sources() -> Iterator[tuple[str, str]]:
    for hook in _hooks():
        for rung in hook.ladder:
            if rung.source:
                yield f"{hook.name}:{rung.name}", rung.source_for(TARGETS.get(hook.name, "eth0"))
    for name in ("XDP_SOURCE", "TC_SOURCE", "AROUND_SOURCE"):
        yield f"foreign:{name}", getattr(counters_c, name)


@functools.cache
def _tree() -> headers.Tree:
    types = {type for hook in _hooks() for rung in hook.ladder for type in rung.types}
    return headers.tree({*types, *counters_c.XDP_TYPES, *counters_c.TC_TYPES})


@pytest.mark.skipif(shutil.which("clang") is None, reason="no clang")
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the stub has x86's registers")
@pytest.mark.skipif(not Path("/usr/include/linux/bpf.h").exists(), reason="no linux-libc-dev")
@pytest.mark.parametrize("source", [pytest.param(text, id=name) for name, text in _sources()])
def test_clang_has_nothing_to_say_about_a_source(source: str) -> None:
    try:
        tree = _tree()
    except Unsupported as why:
        pytest.skip(why.why)
    if tree.path is None:
        pytest.skip("no BTF")
    stub = ("-I", str(tree.path / "include"), "-include", str(SUPPORT / "bcc.h"))
    flags = ("-target", "bpf", "-fsyntax-only", "-Wall", "-Werror", *LEFT_OUT, *stub, *tree.cflags)
    done = subprocess.run(
        ["clang", *flags, "-x", "c", "-"], input=source, capture_output=True, text=True, check=False
    )
    assert not done.returncode, done.stderr
