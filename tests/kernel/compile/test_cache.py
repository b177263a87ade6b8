"""What was compiled before is taken from disk, and means the same."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from probes.compile import cache, headers
from probes.compile import compiler as bcc_compiler
from probes.compile.compiler import Compiler, Module
from probes.errors import Denied, Unsupported
from probes.kernel import bpf, rlimits
from tests.support.commands import ROOT

pytestmark = [pytest.mark.kernel, pytest.mark.anywhere]

SOURCE = """
struct key { u32 a; char name[4]; };
BPF_TABLE("hash", struct key, u64, rows, 77);
BPF_TABLE("percpu_array", u32, u64, sums, 3);
BPF_TABLE("lru_hash", u32, u64, recent, 50);
BPF_QUEUE(events, u64, 10);
int one(void *ctx) { u32 first = 0; u64 *sum = sums.lookup(&first); return sum ? 1 : 0; }
"""


@pytest.fixture(autouse=True)
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(headers, "cache_base", lambda: tmp_path / "ebpftop")
    cache._cache.cache_clear()
    yield tmp_path / "ebpftop-compiled"
    cache._cache.cache_clear()


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The compiles that the child was asked for."""
    asked: list[str] = []
    ask = bcc_compiler._Child.ask

    def counting(child: bcc_compiler._Child, request: dict[str, str]) -> object:
        asked.append(request["source"])
        return ask(child, request)

    monkeypatch.setattr(bcc_compiler._Child, "ask", counting)
    return asked


def _compile(source: str = SOURCE) -> Module:
    compiler = Compiler(cached=True)
    try:
        return compiler.compile(source)
    finally:
        compiler.close()


def _described(module: Module) -> dict[str, tuple[int, ...]]:
    wanted = ("map_type", "key_size", "value_size", "max_entries", "map_flags")
    found = {}
    for name, fd in module.fds.items():
        lines = Path(f"/proc/self/fdinfo/{fd}").read_text().splitlines()
        known = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
        found[name] = tuple(int(known[field], 0) for field in wanted)
    return found


def test_the_second_time_asks_no_compiler_and_makes_the_same(children: list[str]) -> None:
    rlimits.raise_memlock()
    with _compile() as first, _compile() as second:
        assert len(children) == 1
        assert _described(first) == _described(second)
        assert first.functions.keys() == second.functions.keys()
        assert set(first.fds.values()).isdisjoint(second.fds.values())
        assert not any(os.get_inheritable(fd) for fd in second.fds.values())
        key, value = bytes(8), (5).to_bytes(8, "little")
        bpf.map_update(second.fds["rows"], key, value)
        assert bpf.map_lookup(first.fds["rows"], key, 8) is None, "maps of its own"
        assert bpf.map_lookup(second.fds["rows"], key, 8) == value


def test_another_source_or_another_bcc_is_compiled(
    children: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _compile().close()
    _compile(SOURCE.replace("77", "78")).close()
    assert len(children) == 2
    monkeypatch.setattr(cache, "_compiler", lambda _: ("another",))
    _compile().close()
    assert len(children) == 3


def test_what_somebody_changed_is_not_used(base: Path, children: list[str]) -> None:
    _compile().close()
    (answer,) = base.glob(f"*/{cache.ANSWER}")
    answer.write_text(answer.read_text().replace("77", "99"))
    with _compile() as module:
        assert _described(module)["rows"][3] == 77
    assert len(children) == 2
    (answer,) = base.glob(f"*/{cache.ANSWER}")
    answer.chmod(0o666)
    _compile().close()
    assert len(children) == 3


def test_without_bcc_nothing_is_used(children: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    _compile().close()
    monkeypatch.setattr(cache, "_SITES", ())
    _compile().close()
    assert len(children) == 2


def test_a_map_that_cannot_be_created_is_named_and_none_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _compile().close()
    before = len(list(Path("/proc/self/fd").iterdir()))
    create = bpf.map_create

    def refusing(kind: int, *sizes: int, **more: object) -> int:
        if more["name"] == "recent":
            raise PermissionError(1, os.strerror(1))
        return create(kind, *sizes, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(bpf, "map_create", refusing)
    with pytest.raises((Denied, Unsupported), match="recent could not be created"):
        _compile()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_where_the_kernel_s_symbols_are_hidden_another_is_made(
    children: list[str], tmp_path: Path
) -> None:
    """bcc calls an older helper there (4, not 113), which others should not be given."""
    source = "int one(void *ctx) { u64 to = 0; bpf_probe_read_kernel(&to, 8, ctx); return to; }"
    (tmp_path / "empty").touch()
    hidden = f"mount --bind {tmp_path}/empty /proc/kallsyms"
    script = f"""
from pathlib import Path
from probes.compile import headers
headers.cache_base = lambda: Path({str(tmp_path / "ebpftop")!r})
from probes.compile.compiler import Compiler
compiler = Compiler(cached=True)
print(compiler.compile({source!r}).functions["one"].hex())
compiler.close()
"""
    inside = ["unshare", "-m", "sh", "-c", f'{hidden} && exec "$@"', "-", sys.executable, "-c"]
    done = subprocess.run([*inside, script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "8500000004000000" in done.stdout
    with _compile(source) as module:
        assert "8500000071000000" in module.functions["one"].hex()
    assert len(children) == 1
